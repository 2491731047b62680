//go:build gc && !purego

#include "go_asm.h"
#include "textflag.h"

// One key and many keys, with PMULL.
//
// The bytes of a message are the coefficients of a polynomial M over GF(2),
// the first bit the highest, and the checksum is M·x^16 mod P. As it starts at
// 0, leading zero bytes change nothing: a key of 0 to 64 bytes is taken as one
// to four blocks of 16 bytes that end where the key ends, with zeros in front.
// Each block is a vector whose byte d is the byte at distance d from the
// block's end, that is the number H·x^64 + L with L in the low lane.
//
// Block j, counted from the end, stands for H·x^(128j+64) + L·x^(128j). It is
// brought to 80 bits by two carry-less products with 16-bit constants, and all
// blocks are added:
//
//	T = sum over j of L·(x^(128j+16) mod P) + H·(x^(128j+80) mod P)
//
// The constants are stored times x^48. So T comes out times x^48: the high
// lane is floor(T/x^16), and the top 16 bits of the low lane are T mod x^16.
//
// The division by P is Barrett's. With mu = floor(x^80/P), 65 bits of which the
// highest is known, the quotient is
//
//	q = high lane of (mu - x^64)·floor(T/x^16), plus floor(T/x^16)
//
// and the remainder is (q·P + T) mod x^16. As P is stored times x^48 too, it is
// read off the top 16 bits of the low lane of (P - x^16)·x^48·q + T.
//
// No load touches a byte that is not the key's: keys may be memory with tagged
// granules (MTE). Up to 3 bytes are loaded one by one. From 4 to 16 bytes, four
// words of 32 bits overlap, so that they cover the key without a branch, and
// one TBL picks each byte once. From 17 bytes on the head of the key is a block
// that starts where the key starts, from which a TBL drops what later blocks
// have.
//
// Hash tags: all blocks are compared with '{'. Most keys have none. If there
// is one, the comparisons with '{' and '}' are packed to 64 bits each, bit d for
// the byte at distance d from the end; two CLZ find the tag, and the kernel
// starts over with the tag as the key and the test for '{' off.
//
// All of this was verified, but never timed, for want of an arm64 machine.

// Constants. Each has its definition behind it; a test derives it again.

#define BLOCK0L 0x1021000000000000 // (x^16 mod P) << 48
#define BLOCK0H 0xeb23000000000000 // (x^80 mod P) << 48
#define BLOCK1L 0x10e2000000000000 // (x^144 mod P) << 48
#define BLOCK1H 0x45b4000000000000 // (x^208 mod P) << 48
#define BLOCK2L 0x8ddc000000000000 // (x^272 mod P) << 48
#define BLOCK2H 0xb8e0000000000000 // (x^336 mod P) << 48
#define BLOCK3L 0xbd64000000000000 // (x^400 mod P) << 48
#define BLOCK3H 0x9fe5000000000000 // (x^464 mod P) << 48
#define MU64    0x11303471a041b343 // floor(x^80 / P) mod x^64
#define POLY48  0x1021000000000000 // (x^16 mod P) << 48
#define FOLD4L  0x00000000000013fc // x^512 mod P
#define FOLD4H  0x0000000000008832 // x^576 mod P

#define DIAGONAL 0x8040201008040201 // bit i of byte i

// The factors of the four blocks, those of Barrett, each for the high lane, and
// those that fold 64 bytes, for long_arm64.s.
DATA ·factors+0x00(SB)/8, $BLOCK0L
DATA ·factors+0x08(SB)/8, $BLOCK0H
DATA ·factors+0x10(SB)/8, $BLOCK1L
DATA ·factors+0x18(SB)/8, $BLOCK1H
DATA ·factors+0x20(SB)/8, $BLOCK2L
DATA ·factors+0x28(SB)/8, $BLOCK2H
DATA ·factors+0x30(SB)/8, $BLOCK3L
DATA ·factors+0x38(SB)/8, $BLOCK3H
DATA ·factors+0x48(SB)/8, $MU64
DATA ·factors+0x58(SB)/8, $POLY48
DATA ·factors+0x60(SB)/8, $FOLD4L
DATA ·factors+0x68(SB)/8, $FOLD4H
GLOBL ·factors(SB), RODATA|NOPTR, $0x70

// Registers of one key.
#define PTR R0        // the key; the tag, once that is known
#define LEN R1        // its length, at most 64
#define TEST R2       // -1 to look for a tag, 0 not to
#define TMP R3        // for a moment only, like TMP1, TMP2 and X4 to X7
#define TMP1 R4
#define TMP2 R5
#define INDEXES R6    // ·indexes
#define FACTORS R7    // ·factors

#define X0 V0         // the blocks of the key, the last one first
#define X1 V1
#define X2 V2
#define X3 V3
#define X4 V4
#define X5 V5
#define X6 V6
#define X7 V7
#define FACTOR0 V16   // the factors of block 0
#define MU V17
#define POLY V18
#define OPEN V19      // '{' in each byte
#define SUM V20       // T, the sum of all products
#define REVERSE V21   // the index vector that reverses a block

// CONSTANTS loads what does not change from key to key.
#define CONSTANTS \
	MOVD  $·indexes(SB), INDEXES    \
	MOVD  $·factors(SB), FACTORS   \
	FMOVQ (FACTORS), F16            \
	FLDPQ 0x40(FACTORS), (F17, F18) \
	VMOVI $0x7b, OPEN.B16

// TINY loads 1 to 3 bytes: the first, the middle and the last one, the same
// byte more than once if there are fewer.
#define TINY \
	LSR   $1, LEN, TMP1      \
	MOVBU (PTR), TMP         \
	MOVBU (PTR)(TMP1), TMP1  \
	ADD   PTR, LEN, TMP2     \
	MOVBU -1(TMP2), TMP2     \
	ORR   TMP1<<8, TMP, TMP  \
	ORR   TMP2<<16, TMP, TMP \
	FMOVD TMP, F0

// WORDS loads 4 to 16 bytes: the words at 0, s, n-4-s and n-4 for s = n/8*4.
#define WORDS \
	LSR   $3, LEN, TMP1    \
	LSL   $2, TMP1, TMP1   \
	ADD   PTR, LEN, TMP2   \
	FMOVS (PTR), F0        \
	FMOVS (PTR)(TMP1), F1  \
	FMOVS -4(TMP2), F3     \
	SUB   TMP1, TMP2, TMP2 \
	FMOVS -4(TMP2), F2

// GATHER makes block X0 of what TINY or WORDS loaded.
#define GATHER \
	ADD   LEN<<4, INDEXES, TMP        \
	FMOVQ indexTables_gather(TMP), F4 \
	VTBL  X4.B16, [X0.B16, X1.B16, X2.B16, X3.B16], X0.B16

// HEAD1 loads blocks X0 and X1 of 17 to 32 bytes: the last 16 bytes, and of
// the first 16 the n-16 that stand in front of them.
#define HEAD1 \
	ADD   PTR, LEN, TMP2                  \
	FMOVQ -16(TMP2), F0                   \
	FMOVQ (PTR), F1                       \
	SUB   LEN, INDEXES, TMP               \
	FMOVQ indexTables_slide(INDEXES), F21 \
	FMOVQ (indexTables_slide+32)(TMP), F4 \
	VTBL  REVERSE.B16, [X0.B16], X0.B16   \
	VTBL  X4.B16, [X1.B16], X1.B16

// HEAD3 loads blocks X0 to X3 of 33 to 64 bytes: two blocks at the end, of the
// block at s = max(n-48, 0) the n-32-s bytes, 1 to 16, in front of those, and
// of the first block the s bytes that are left, none up to 48 bytes.
#define HEAD3 \
	ADD   PTR, LEN, TMP2                  \
	FMOVQ -16(TMP2), F0                   \
	FMOVQ -32(TMP2), F1                   \
	SUBS  $48, LEN, TMP1                  \
	CSEL  HS, TMP1, ZR, TMP1              \
	ADD   PTR, TMP1, TMP                  \
	FMOVQ (TMP), F2                       \
	FMOVQ (PTR), F3                       \
	FMOVQ indexTables_slide(INDEXES), F21 \
	SUB   LEN, INDEXES, TMP               \
	ADD   TMP1, TMP, TMP                  \
	FMOVQ (indexTables_slide+48)(TMP), F4 \
	SUB   TMP1, INDEXES, TMP              \
	FMOVQ (indexTables_slide+16)(TMP), F5 \
	VTBL  REVERSE.B16, [X0.B16], X0.B16   \
	VTBL  REVERSE.B16, [X1.B16], X1.B16   \
	VTBL  X4.B16, [X2.B16], X2.B16        \
	VTBL  X5.B16, [X3.B16], X3.B16

// PRODUCT sets sum to block x times the factors f.
#define PRODUCT(x, f, sum, t) \
	VPMULL  x.D1, f.D1, sum.Q1 \
	VPMULL2 x.D2, f.D2, t.Q1   \
	VEOR    t.B16, sum.B16, sum.B16

// ANYOF sets the flags to not equal if a byte of x is not 0, unless TEST is 0.
#define ANYOF(x) \
	VADDP x.B16, x.B16, x.B16 \
	VMOV  x.D[0], TMP         \
	TST   TMP, TEST

// OPEN0, OPEN1 and OPEN3 set the flags to not equal if there is a '{' to look
// at in block X0, in X0 and X1, or in any block. Bytes of comparisons are 0 or
// -1, and two such never add to 0 unless both are.
#define OPEN0 \
	VCMEQ X0.B16, OPEN.B16, X4.B16 \
	ANYOF(X4)

#define OPEN1 \
	VCMEQ X0.B16, OPEN.B16, X4.B16 \
	VCMEQ X1.B16, OPEN.B16, X5.B16 \
	VORR  X4.B16, X5.B16, X4.B16   \
	ANYOF(X4)

#define OPEN3 \
	VCMEQ X0.B16, OPEN.B16, X4.B16 \
	VCMEQ X1.B16, OPEN.B16, X5.B16 \
	VCMEQ X2.B16, OPEN.B16, X6.B16 \
	VCMEQ X3.B16, OPEN.B16, X7.B16 \
	VORR  X4.B16, X5.B16, X4.B16   \
	VORR  X6.B16, X7.B16, X6.B16   \
	VORR  X4.B16, X6.B16, X4.B16   \
	ANYOF(X4)

// SUM0, SUM1 and SUM3 set SUM to T of block X0, of X0 and X1, or of all four.
#define SUM0 \
	PRODUCT(X0, FACTOR0, SUM, X4)

#define SUM1 \
	FMOVQ 0x10(FACTORS), F6       \
	PRODUCT(X0, FACTOR0, SUM, X4) \
	PRODUCT(X1, X6, X7, X5)       \
	VEOR  X7.B16, SUM.B16, SUM.B16

#define SUM3 \
	SUM1                          \
	FLDPQ 0x20(FACTORS), (F0, F1) \
	PRODUCT(X2, X0, X4, X5)       \
	PRODUCT(X3, X1, X6, X7)       \
	VEOR  X4.B16, X6.B16, X4.B16  \
	VEOR  X4.B16, SUM.B16, SUM.B16

// PLACES sets bit d of g to 1 if the byte of the key at distance d from its end
// is that of vector c. BITS has the values 1, 2, 4 … 128 in bytes 0 to 7 and
// again in bytes 8 to 15.
#define BITS V22
#define PLACES(c, g) \
	VCMEQ X0.B16, c.B16, X4.B16    \
	VCMEQ X1.B16, c.B16, X5.B16    \
	VCMEQ X2.B16, c.B16, X6.B16    \
	VCMEQ X3.B16, c.B16, X7.B16    \
	VAND  X4.B16, BITS.B16, X4.B16 \
	VAND  X5.B16, BITS.B16, X5.B16 \
	VAND  X6.B16, BITS.B16, X6.B16 \
	VAND  X7.B16, BITS.B16, X7.B16 \
	VADDP X5.B16, X4.B16, X4.B16   \
	VADDP X7.B16, X6.B16, X6.B16   \
	VADDP X6.B16, X4.B16, X4.B16   \
	VADDP X4.B16, X4.B16, X4.B16   \
	VMOV  X4.D[0], g

// TAG makes PTR and LEN those of the tag, if the key, which has a '{', has one.
// With k = CLZ of the bits of '{', the first '{' is at distance 63-k, and the
// byte behind it at PTR+LEN-63+k. The bits of '}' are shifted until that byte
// has the highest: their CLZ is the length of the tag, 0 if that is empty and
// 64 if there is no '}'.
#define CLOSE V23
#define TAG \
	VMOVI $0x7d, CLOSE.B16           \
	VMOVQ $DIAGONAL, $DIAGONAL, BITS \
	PLACES(OPEN, TMP)                \
	PLACES(CLOSE, TMP1)              \
	CLZ   TMP, TMP                   \
	LSL   TMP, TMP1, TMP1            \
	LSL   $1, TMP1, TMP1             \
	CLZ   TMP1, TMP1                 \
	ADD   PTR, LEN, TMP2             \
	ADD   TMP, TMP2, TMP2            \
	SUB   $63, TMP2, TMP2            \
	SUB   $1, TMP1, TMP              \
	CMP   $63, TMP                   \
	CSEL  LO, TMP2, PTR, PTR         \
	CSEL  LO, TMP1, LEN, LEN

// KEY sets SUM to T of the LEN <= 64 bytes at PTR: of their tag, if TEST is -1
// and they have one. It clobbers PTR, LEN, TEST, TMP to TMP2, X0 to X7 and V21
// to V23. A function can have it once, for its labels.
#define KEY \
again:                                   \
	CMP  $16, LEN                    \
	BHI  over16                      \
	CMP  $4, LEN                     \
	BLO  under4                      \
	WORDS                            \
gather:                                  \
	GATHER                           \
	OPEN0                            \
	BNE  tag0                        \
	SUM0                             \
	B    summed                      \
under4:                                  \
	VEOR SUM.B16, SUM.B16, SUM.B16   \
	CBZ  LEN, summed                 \
	TINY                             \
	B    gather                      \
over16:                                  \
	CMP  $32, LEN                    \
	BHI  over32                      \
	HEAD1                            \
	OPEN1                            \
	BNE  tag1                        \
	SUM1                             \
	B    summed                      \
over32:                                  \
	HEAD3                            \
	OPEN3                            \
	BNE  tag3                        \
	SUM3                             \
	B    summed                      \
tag0:                                    \
	VEOR X1.B16, X1.B16, X1.B16      \
tag1:                                    \
	VEOR X2.B16, X2.B16, X2.B16      \
	VEOR X3.B16, X3.B16, X3.B16      \
tag3:                                    \
	TAG                              \
	MOVD $0, TEST                    \
	B    again                       \
summed:

// REMAINDER sets the top 16 bits of the low lane of r to sum mod P.
#define REMAINDER(sum, r) \
	VPMULL2 MU.D2, sum.D2, r.Q1   \
	VEOR    sum.B16, r.B16, r.B16 \
	VPMULL2 POLY.D2, r.D2, r.Q1   \
	VEOR    sum.B16, r.B16, r.B16

// func of(key string) uint64
//
// The checksum of the hashed part of key. A key of more than 64 bytes is left
// to ofLong, and all keys to ofGeneric where that is the kernel in use.
// Requires: PMULL.
TEXT ·of(SB), NOSPLIT|NOFRAME, $0-24
	MOVBU ·tier(SB), TMP
	LDP   key_base+0(FP), (PTR, LEN)
	CBZ   TMP, generic
	CMP   $64, LEN
	BHI   long
	CONSTANTS
	MOVD  $-1, TEST
	KEY
	REMAINDER(SUM, X0)
	VMOV  X0.H[3], TMP
	MOVD  TMP, ret+16(FP)
	RET

long:
	B ·ofLong(SB)

generic:
	B ·ofGeneric(SB)

// func sum(s string) uint64
//
// The checksum of the at most 64 bytes of s, without the hash tag rule.
// Requires: PMULL.
TEXT ·sum(SB), NOSPLIT|NOFRAME, $0-24
	LDP  s_base+0(FP), (PTR, LEN)
	CONSTANTS
	MOVD $0, TEST
	KEY
	REMAINDER(SUM, X0)
	VMOV X0.H[3], TMP
	MOVD TMP, ret+16(FP)
	RET

// Registers of the batch.
#define SLOTS R8      // where the next four slots go
#define HEADERS R9    // the header of the next key
#define STRIDE R10    // from one header to the next
#define COUNT R11     // keys that are left, a multiple of 4 between rounds
#define DONE R12      // keys done
#define LAST R13      // the last header
#define MASK V28      // 0x3fff in each 16 bits

// AHEAD asks for the first bytes of the key eight headers further on, or of the
// last key, as the reordering of many cores reaches only two or three ahead.
#define AHEAD \
	ADD  STRIDE<<3, HEADERS, TMP \
	CMP  LAST, TMP               \
	CSEL LO, TMP, LAST, TMP      \
	MOVD (TMP), TMP              \
	PRFM (TMP), PLDL1KEEP

// func batch(slots *Slot, headers unsafe.Pointer, stride, n uint64) (done uint64)
//
// The slots of n keys, a multiple of 4, and at least 4. Headers are a pointer and a length,
// stride bytes apart: strings or byte slices. The batch ends early, after a
// multiple of 4 keys, in front of four that have one of more than 64 bytes
// among them, and returns the number of slots written.
//
// The sums of four keys wait in V24 to V27 to be divided together: what the
// division waits for one key, it does for others.
// Requires: PMULL.
TEXT ·batch(SB), NOSPLIT|NOFRAME, $0-40
	LDP  slots+0(FP), (SLOTS, HEADERS)
	LDP  stride+16(FP), (STRIDE, COUNT)
	CONSTANTS
	MOVD $0x3fff, TMP
	VDUP TMP, MASK.H8
	MOVD $0, DONE
	SUB  $1, COUNT, TMP
	MADD TMP, HEADERS, STRIDE, LAST

next:
	LDP  (HEADERS), (PTR, LEN)
	AHEAD
	ADD  STRIDE, HEADERS
	MOVD $-1, TEST
	CMP  $64, LEN
	BHI  done
	KEY
	VMOV V25.B16, V24.B16
	VMOV V26.B16, V25.B16
	VMOV V27.B16, V26.B16
	VMOV SUM.B16, V27.B16
	SUB  $1, COUNT
	TST  $3, COUNT
	BNE  next

	REMAINDER(V24, X0)
	REMAINDER(V25, X1)
	REMAINDER(V26, X2)
	REMAINDER(V27, X3)
	VMOV    X0.H[3], X4.H[0]
	VMOV    X1.H[3], X4.H[1]
	VMOV    X2.H[3], X4.H[2]
	VMOV    X3.H[3], X4.H[3]
	VAND    MASK.B16, X4.B16, X4.B16
	FMOVD.P F4, 8(SLOTS)
	ADD     $4, DONE
	CBNZ    COUNT, next

done:
	MOVD DONE, ret+32(FP)
	RET
