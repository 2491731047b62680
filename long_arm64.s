//go:build gc && !purego

#include "go_asm.h"
#include "textflag.h"

// Long buffers.
//
// fold is for 64 bytes to a few kilobytes: four vectors of 16 bytes are the
// message so far, brought to 64 bytes. A step multiplies each by x^512 mod P,
// its two lanes H·x^64 + L apart, and adds the next 64 bytes.
//
// long is for more than that, and divides without any product. Squaring over
// GF(2) squares each term, so that
//
//	P^128 = x^2048 + x^1536 + x^640 + 1
//
// is a multiple of P whose gaps are whole vectors: 16, 12 and 5 of 128 bits.
// Division by it, with vectors as digits, is the recurrence
//
//	b[i] = d[i] ^ b[i-4] ^ b[i-11] ^ b[i-16]
//
// for all vectors but the last sixteen, and the remainder is what b adds to
// those. Nothing crosses a byte, so the vectors stay as they lie in memory;
// only the remainder, 256 bytes, is reversed and folded. Vector i of b lives in
// register i mod 16, where b[i-16] was. With EOR3, of the SHA3 extension, a
// vector takes two instructions, without it three. The long way through b[i-4]
// is one EOR for each four vectors in both.
//
// Checksums of messages are continued by adding the checksum so far to the
// first two bytes.
//
// All of this was verified, but never timed, for want of an arm64 machine.

#define CRC R8        // the checksum so far
#define SRC R9        // the next byte
#define LEFT R10      // bytes that are left
#define FACTORS R11   // ·factors, of crc16_arm64.s
#define INDEXES R12   // ·indexes

// fold and the end of long. V0 to V15 may be the sixteen vectors of long.
#define F512 V30      // the factors of 512 bits
#define REVERSE V31   // the index vector that reverses a vector
#define A0 V16        // the message so far, brought to four vectors, A0 first
#define A1 V17
#define A2 V18
#define A3 V19
#define T0 V20        // for a moment only
#define T1 V21
#define T2 V22
#define T3 V23
#define S0 V24
#define S1 V25
#define S2 V26
#define S3 V27

// FOLDCONSTANTS loads F512 and REVERSE.
#define FOLDCONSTANTS \
	MOVD  $·factors(SB), FACTORS \
	MOVD  $·indexes(SB), INDEXES \
	FMOVQ 0x60(FACTORS), F30     \
	FMOVQ indexTables_slide(INDEXES), F31

// TIMES sets a to a·x^512, brought to 80 bits.
#define TIMES(a, t) \
	VPMULL  a.D1, F512.D1, t.Q1 \
	VPMULL2 a.D2, F512.D2, a.Q1 \
	VEOR    t.B16, a.B16, a.B16

// FOLD brings the message so far and the four vectors d0 to d3, as they lie in
// memory, to A0 to A3. It clobbers d0 to d3 and T0 to T3.
#define FOLD(d0, d1, d2, d3) \
	VTBL REVERSE.B16, [d0.B16], d0.B16 \
	VTBL REVERSE.B16, [d1.B16], d1.B16 \
	VTBL REVERSE.B16, [d2.B16], d2.B16 \
	VTBL REVERSE.B16, [d3.B16], d3.B16 \
	TIMES(A0, T0)                      \
	TIMES(A1, T1)                      \
	TIMES(A2, T2)                      \
	TIMES(A3, T3)                      \
	VEOR d0.B16, A0.B16, A0.B16        \
	VEOR d1.B16, A1.B16, A1.B16        \
	VEOR d2.B16, A2.B16, A2.B16        \
	VEOR d3.B16, A3.B16, A3.B16

// PRODUCT sets t to a times the factors f, and clobbers a.
#define PRODUCT(a, f, t) \
	VPMULL  a.D1, f.D1, t.Q1 \
	VPMULL2 a.D2, f.D2, a.Q1 \
	VEOR    a.B16, t.B16, t.B16

// REMAINDER sets CRC to the checksum of A0 to A3. The mathematics is that of
// crc16_arm64.s.
#define REMAINDER \
	FLDPQ   0x00(FACTORS), (F24, F25) \
	FLDPQ   0x20(FACTORS), (F26, F27) \
	PRODUCT(A3, S0, T0)               \
	PRODUCT(A2, S1, T1)               \
	PRODUCT(A1, S2, T2)               \
	PRODUCT(A0, S3, T3)               \
	FLDPQ   0x40(FACTORS), (F24, F25) \
	VEOR    T1.B16, T0.B16, T0.B16    \
	VEOR    T3.B16, T2.B16, T2.B16    \
	VEOR    T2.B16, T0.B16, T0.B16    \
	VPMULL2 S0.D2, T0.D2, T1.Q1       \
	VEOR    T0.B16, T1.B16, T1.B16    \
	VPMULL2 S1.D2, T1.D2, T1.Q1       \
	VEOR    T0.B16, T1.B16, T1.B16    \
	VMOV    T1.H[3], CRC

// func fold(crc uint64, p *byte, n uint64) uint64
//
// The checksum of a message of which the first part has the checksum crc and
// the rest is the n bytes at p, a multiple of 64 and at least 64.
// Requires: PMULL.
TEXT ·fold(SB), NOSPLIT|NOFRAME, $0-32
	MOVD   crc+0(FP), CRC
	LDP    p+8(FP), (SRC, LEFT)
	FOLDCONSTANTS
	VLD1.P 64(SRC), [V16.B16, V17.B16, V18.B16, V19.B16]
	VTBL   REVERSE.B16, [A0.B16], A0.B16
	VTBL   REVERSE.B16, [A1.B16], A1.B16
	VTBL   REVERSE.B16, [A2.B16], A2.B16
	VTBL   REVERSE.B16, [A3.B16], A3.B16
	LSL    $48, CRC
	VEOR   T0.B16, T0.B16, T0.B16
	VMOV   CRC, T0.D[1]
	VEOR   T0.B16, A0.B16, A0.B16
	SUBS   $64, LEFT
	BEQ    done

next:
	VLD1.P 64(SRC), [V24.B16, V25.B16, V26.B16, V27.B16]
	FOLD(S0, S1, S2, S3)
	SUBS   $64, LEFT
	BNE    next

done:
	REMAINDER
	MOVD CRC, ret+24(FP)
	RET

// A step of the recurrence: b becomes b[i], from b[i-16], d[i], b[i-4] and
// b[i-11].
#define STEP(b, d, b4, b11) \
	VEOR d.B16, b.B16, b.B16   \
	VEOR b11.B16, b.B16, b.B16 \
	VEOR b4.B16, b.B16, b.B16

#define STEP3(b, d, b4, b11) \
	VEOR3 b11.B16, d.B16, b.B16, b.B16 \
	VEOR  b4.B16, b.B16, b.B16

// ROUND takes sixteen vectors, 256 bytes, by STEP or STEP3.
#define ROUND(step) \
	VLD1.P 64(SRC), [V16.B16, V17.B16, V18.B16, V19.B16] \
	VLD1.P 64(SRC), [V20.B16, V21.B16, V22.B16, V23.B16] \
	step(V0, V16, V12, V5)                               \
	step(V1, V17, V13, V6)                               \
	step(V2, V18, V14, V7)                               \
	step(V3, V19, V15, V8)                               \
	VLD1.P 64(SRC), [V24.B16, V25.B16, V26.B16, V27.B16] \
	step(V4, V20, V0, V9)                                \
	step(V5, V21, V1, V10)                               \
	step(V6, V22, V2, V11)                               \
	step(V7, V23, V3, V12)                               \
	VLD1.P 64(SRC), [V28.B16, V29.B16, V30.B16, V31.B16] \
	step(V8, V24, V4, V13)                               \
	step(V9, V25, V5, V14)                               \
	step(V10, V26, V6, V15)                              \
	step(V11, V27, V7, V0)                               \
	step(V12, V28, V8, V1)                               \
	step(V13, V29, V9, V2)                               \
	step(V14, V30, V10, V3)                              \
	step(V15, V31, V11, V4)

// BEGIN clears the sixteen vectors, but for the checksum so far. Were it
// b[-16], it would be added to the first two bytes, and so it is.
#define BEGIN \
	VEOR   V0.B16, V0.B16, V0.B16 \
	VMOV   V0.B16, V1.B16         \
	VMOV   V0.B16, V2.B16         \
	VMOV   V0.B16, V3.B16         \
	VMOV   V0.B16, V4.B16         \
	VMOV   V0.B16, V5.B16         \
	VMOV   V0.B16, V6.B16         \
	VMOV   V0.B16, V7.B16         \
	VMOV   V0.B16, V8.B16         \
	VMOV   V0.B16, V9.B16         \
	VMOV   V0.B16, V10.B16        \
	VMOV   V0.B16, V11.B16        \
	VMOV   V0.B16, V12.B16        \
	VMOV   V0.B16, V13.B16        \
	VMOV   V0.B16, V14.B16        \
	VMOV   V0.B16, V15.B16        \
	REV16W CRC, CRC               \
	VMOV   CRC, V0.H[0]

#define ADD1(b, x) \
	VEOR x.B16, b.B16, b.B16

#define ADD2(b, x, y) \
	ADD1(b, x) \
	ADD1(b, y)

// END adds the quotient b to the last sixteen vectors of the message: as no
// digits follow, a vector takes those of b[i-4], b[i-11] and b[i-16] that
// exist. Each V is b[i-16] until it is overwritten, and no V is used by another
// after that.
#define END \
	ADD2(V0, V12, V5) \
	ADD2(V1, V13, V6) \
	ADD2(V2, V14, V7) \
	ADD2(V3, V15, V8) \
	ADD1(V4, V9)      \
	ADD1(V5, V10)     \
	ADD1(V6, V11)     \
	ADD1(V7, V12)     \
	ADD1(V8, V13)     \
	ADD1(V9, V14)     \
	ADD1(V10, V15)

// LAST adds the next four vectors of the message to b0 to b3.
#define LAST(b0, b1, b2, b3) \
	VLD1.P 64(SRC), [V24.B16, V25.B16, V26.B16, V27.B16] \
	VEOR   V24.B16, b0.B16, b0.B16                       \
	VEOR   V25.B16, b1.B16, b1.B16                       \
	VEOR   V26.B16, b2.B16, b2.B16                       \
	VEOR   V27.B16, b3.B16, b3.B16

// FINISH sets CRC to the checksum of the quotient's share and the last 256
// bytes of the message.
#define FINISH \
	END                                \
	FOLDCONSTANTS                      \
	LAST(V0, V1, V2, V3)               \
	LAST(V4, V5, V6, V7)               \
	LAST(V8, V9, V10, V11)             \
	LAST(V12, V13, V14, V15)           \
	VTBL REVERSE.B16, [V0.B16], A0.B16 \
	VTBL REVERSE.B16, [V1.B16], A1.B16 \
	VTBL REVERSE.B16, [V2.B16], A2.B16 \
	VTBL REVERSE.B16, [V3.B16], A3.B16 \
	FOLD(V4, V5, V6, V7)               \
	FOLD(V8, V9, V10, V11)             \
	FOLD(V12, V13, V14, V15)           \
	REMAINDER

// func long(crc uint64, p *byte, n uint64) uint64
//
// As fold, for a multiple of 256 bytes, and at least 256.
// Requires: PMULL.
TEXT ·long(SB), NOSPLIT|NOFRAME, $0-32
	MOVD crc+0(FP), CRC
	LDP  p+8(FP), (SRC, LEFT)
	BEGIN
	SUBS $256, LEFT
	BEQ  finish

next:
	ROUND(STEP)
	SUBS $256, LEFT
	BNE  next

finish:
	FINISH
	MOVD CRC, ret+24(FP)
	RET

// func longSHA3(crc uint64, p *byte, n uint64) uint64
//
// As long.
// Requires: PMULL, SHA3 (EOR3).
TEXT ·longSHA3(SB), NOSPLIT|NOFRAME, $0-32
	MOVD crc+0(FP), CRC
	LDP  p+8(FP), (SRC, LEFT)
	BEGIN
	SUBS $256, LEFT
	BEQ  finish

next:
	ROUND(STEP3)
	SUBS $256, LEFT
	BNE  next

finish:
	FINISH
	MOVD CRC, ret+24(FP)
	RET
