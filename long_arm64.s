//go:build gc && !purego

#include "go_asm.h"
#include "textflag.h"

// Long buffers.
//
// fold is for 64 bytes to a kilobyte: four vectors of 16 bytes are the message
// so far, brought to 64 bytes. A step multiplies each by x^512 mod P, its two
// lanes H·x^64 + L apart, and adds the next 64 bytes.
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
// those. Nothing crosses a byte, so the vectors stay as they lie in memory; only
// the remainder, which never leaves the registers, is reversed and folded. Vector
// i of b lives in register i mod 16, where b[i-16] was. With EOR3, of the SHA3
// extension, a vector takes two instructions, without it three. The long way
// through b[i-4] is one EOR for each four vectors in both.
//
// The first four vectors are the 1 to 64 bytes after which whole 64 are left, with
// zeros in front. They are put into the registers from which the last of sixteen
// steps falls on the last vector to be divided, and the loop is entered behind
// them: what would be in front of them is zeros, which change nothing.
//
// Checksums of messages are continued by adding the checksum so far to the
// first two bytes.
//
// All of this was verified, but never timed, for want of an arm64 machine.
// bench/results/mca.md has what a model of some CPUs predicts.

#define FOLD4L 0x00000000000013fc // x^512 mod P
#define FOLD4H 0x0000000000008832 // x^576 mod P

DATA folding<>+0x00(SB)/8, $FOLD4L
DATA folding<>+0x08(SB)/8, $FOLD4H
GLOBL folding<>(SB), RODATA|NOPTR, $0x10

#define CRC R8        // the checksum so far
#define SRC R9        // the next byte
#define LEFT R10      // bytes that are left
#define FACTORS R11   // ·factors, of crc16_arm64.s
#define INDEXES R12   // ·indexes
#define FIRST R14     // how many bytes are taken first, less 1

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
	MOVD  $folding<>(SB), FACTORS \
	FMOVQ (FACTORS), F30          \
	MOVD  $·factors(SB), FACTORS  \
	MOVD  $·indexes(SB), INDEXES  \
	FMOVQ indexTables_reverse(INDEXES), F31

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

// PRODUCT sets t to a times the factors at FACTORS+at, which it loads to f, and
// clobbers a. The lanes of a are those of the factors the other way round.
#define PRODUCT(a, at, f, v, t) \
	FMOVQ   at(FACTORS), f           \
	VEXT    $8, a.B16, a.B16, a.B16  \
	VPMULL  a.D1, v.D1, t.Q1         \
	VPMULL2 a.D2, v.D2, a.Q1         \
	VEOR    a.B16, t.B16, t.B16

// REMAINDER sets CRC to the checksum of A0 to A3. The mathematics is that of
// crc16_arm64.s: A3 is the last block.
#define REMAINDER \
	FLDPQ   (FACTORS), (F24, F25)     \
	VEXT    $8, A3.B16, A3.B16, A3.B16 \
	VPMULL  A3.D1, S0.D1, T0.Q1       \
	PRODUCT(A2, 0x20, F26, S2, T1)    \
	PRODUCT(A1, 0x30, F27, S3, T2)    \
	PRODUCT(A0, 0x40, F28, V28, T3)   \
	VEOR    T1.B16, T0.B16, T0.B16    \
	VEOR    T3.B16, T2.B16, T2.B16    \
	VEOR    T2.B16, T0.B16, T0.B16    \
	VEOR    A3.B16, T0.B16, T1.B16    \
	VPMULL2 S0.D2, T1.D2, T2.Q1       \
	VEOR    T1.B16, T2.B16, T2.B16    \
	VPMULL2 S1.D2, T2.D2, T2.Q1       \
	VEOR    T0.B16, T2.B16, T2.B16    \
	VMOV    T2.H[3], CRC

// HEAD64 prepares the first FIRST+1 = (LEFT-1)%64 + 1 bytes: S0 to S3 are the 64
// bytes at SRC, T3 is 16 in each byte, and T0 has the places in S0 to S3 of the
// last 16 of the first bytes, in the order of distances, an index vector. There is
// no byte at a place less than 0, which is 192 or more. The checksum so far is
// added, and SRC and LEFT are those of what follows.
#define HEAD64(distances) \
	SUB    $1, LEFT, FIRST                             \
	AND    $63, FIRST, FIRST                           \
	VLD1   (SRC), [V24.B16, V25.B16, V26.B16, V27.B16] \
	VDUP   FIRST, T0.B16                               \
	FMOVQ  distances(INDEXES), F21                     \
	VSUB   T1.B16, T0.B16, T0.B16                      \
	VMOVI  $16, T3.B16                                 \
	SUB    FIRST, LEFT                                 \
	SUB    $1, LEFT                                    \
	ADD    FIRST, SRC                                  \
	ADD    $1, SRC                                     \
	REV16W CRC, CRC                                    \
	VMOVI  $0, T1.B16                                  \
	VMOV   CRC, T1.H[0]                                \
	VEOR   T1.B16, S0.B16, S0.B16

// TAKE64 makes a0 to a3 of what HEAD64 has prepared, a0 first: the first bytes,
// with zeros in front of them.
#define TAKE64(a0, a1, a2, a3) \
	VTBL T0.B16, [V24.B16, V25.B16, V26.B16, V27.B16], a3.B16 \
	VSUB T3.B16, T0.B16, T0.B16                               \
	VTBL T0.B16, [V24.B16, V25.B16, V26.B16, V27.B16], a2.B16 \
	VSUB T3.B16, T0.B16, T0.B16                               \
	VTBL T0.B16, [V24.B16, V25.B16, V26.B16, V27.B16], a1.B16 \
	VSUB T3.B16, T0.B16, T0.B16                               \
	VTBL T0.B16, [V24.B16, V25.B16, V26.B16, V27.B16], a0.B16

// func fold(crc uint64, p *byte, n uint64) uint64
//
// The checksum of a message of which the first part has the checksum crc and
// the rest is the n >= 64 bytes at p. If crc is not 0, n is a multiple of 64.
// Requires: PMULL.
TEXT ·fold(SB), NOSPLIT|NOFRAME, $0-32
	MOVD crc+0(FP), CRC
	LDP  p+8(FP), (SRC, LEFT)
	FOLDCONSTANTS
	HEAD64(indexTables_ahead)
	TAKE64(A0, A1, A2, A3)
	CBZ  LEFT, done

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

// ROUND takes sixteen vectors, 256 bytes, by STEP or STEP3. It is entered behind
// four, eight, twelve or all of them.
#define ROUND(step) \
	VLD1.P 64(SRC), [V16.B16, V17.B16, V18.B16, V19.B16] \
	step(V0, V16, V12, V5)                               \
	step(V1, V17, V13, V6)                               \
	step(V2, V18, V14, V7)                               \
	step(V3, V19, V15, V8)                               \
from4: \
	VLD1.P 64(SRC), [V20.B16, V21.B16, V22.B16, V23.B16] \
	step(V4, V20, V0, V9)                                \
	step(V5, V21, V1, V10)                               \
	step(V6, V22, V2, V11)                               \
	step(V7, V23, V3, V12)                               \
from8: \
	VLD1.P 64(SRC), [V24.B16, V25.B16, V26.B16, V27.B16] \
	step(V8, V24, V4, V13)                               \
	step(V9, V25, V5, V14)                               \
	step(V10, V26, V6, V15)                              \
	step(V11, V27, V7, V0)                               \
from12: \
	VLD1.P 64(SRC), [V28.B16, V29.B16, V30.B16, V31.B16] \
	step(V12, V28, V8, V1)                               \
	step(V13, V29, V9, V2)                               \
	step(V14, V30, V10, V3)                              \
	step(V15, V31, V11, V4)                              \
from16: \
	SUBS $256, LEFT                                      \
	BHS  next

// CLEAR16 clears the sixteen vectors.
#define CLEAR16 \
	VMOVI $0, V0.B16  \
	VMOVI $0, V1.B16  \
	VMOVI $0, V2.B16  \
	VMOVI $0, V3.B16  \
	VMOVI $0, V4.B16  \
	VMOVI $0, V5.B16  \
	VMOVI $0, V6.B16  \
	VMOVI $0, V7.B16  \
	VMOVI $0, V8.B16  \
	VMOVI $0, V9.B16  \
	VMOVI $0, V10.B16 \
	VMOVI $0, V11.B16 \
	VMOVI $0, V12.B16 \
	VMOVI $0, V13.B16 \
	VMOVI $0, V14.B16 \
	VMOVI $0, V15.B16

// ENTER makes the first four vectors of what HEAD64 has prepared, and goes on behind
// them in a round. LEFT becomes what is left for rounds: all but the last 256
// bytes. Of those in front of a multiple of 256, the first round takes what there
// is.
#define ENTER \
	SUB    $256, LEFT             \
	TBNZ   $7, LEFT, half         \
	TBNZ   $6, LEFT, to12         \
	TAKE64(V12, V13, V14, V15)    \
	B      from16                 \
to12: \
	TAKE64(V8, V9, V10, V11)      \
	B      from12                 \
half: \
	TBNZ   $6, LEFT, to4          \
	TAKE64(V4, V5, V6, V7)        \
	B      from8                  \
to4: \
	TAKE64(V0, V1, V2, V3)        \
	B      from4

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

// LAST4 adds the next four vectors of the message to b0 to b3.
#define LAST4(b0, b1, b2, b3) \
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
	LAST4(V0, V1, V2, V3)              \
	LAST4(V4, V5, V6, V7)              \
	LAST4(V8, V9, V10, V11)            \
	LAST4(V12, V13, V14, V15)          \
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
// As fold, for n > 256.
// Requires: PMULL.
TEXT ·long(SB), NOSPLIT|NOFRAME, $0-32
	MOVD crc+0(FP), CRC
	LDP  p+8(FP), (SRC, LEFT)
	MOVD $·indexes(SB), INDEXES
	HEAD64(indexTables_reverse)
	CLEAR16
	ENTER

next:
	ROUND(STEP)
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
	MOVD $·indexes(SB), INDEXES
	HEAD64(indexTables_reverse)
	CLEAR16
	ENTER

next:
	ROUND(STEP3)
	FINISH
	MOVD CRC, ret+24(FP)
	RET
