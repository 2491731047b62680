//go:build gc && !purego

#include "go_asm.h"
#include "textflag.h"

// One key, with PMULL.
//
// The bytes of a message are the coefficients of a polynomial M over GF(2),
// the first bit the highest, and the checksum is M·x^16 mod P. As it starts at
// 0, leading zero bytes change nothing: a key of 0 to 64 bytes is taken as one
// to four blocks of 16 bytes that end where the key ends, with zeros in front.
// A block is H·x^64 + L, with H in the low lane and L in the high one: byte d^8
// of the vector is the byte at distance d from the block's end. REV64 makes that
// of 16 bytes as they lie in memory, and the other way round.
//
// Block j, counted from the end, stands for H·x^(128j+64) + L·x^(128j), which
// two carry-less products with constants of 16 bits bring to 80 bits. The sum
// of all,
//
//	T = sum over j of H·(x^(128j+80) mod P) + L·(x^(128j+16) mod P)
//
// is to be divided by P. The constants are stored times x^48, so that the high
// lane of a product is its floor(.../x^16), and the top 16 bits of its low lane
// are it mod x^16. L of the last block needs no product: it is to be multiplied
// by x^16, so that it is what it adds to the high lane, where it is already, and
// adds nothing to the rest. With R the sum of all other products,
//
//	S = R + last block    has floor(T/x^16) as its high lane
//	R                     has T mod x^16 as the top of its low lane
//
// The division is Barrett's. With mu = floor(x^80/P), 65 bits of which the
// highest is known, the quotient is
//
//	q = high lane of (mu - x^64)·S.high, plus S.high
//
// and the remainder is (q·P + T) mod x^16. As P is stored times x^48 too, it is
// read off the top 16 bits of the low lane of (P - x^16)·x^48·q + R. A key of up
// to 16 bytes takes three products.
//
// No load touches a byte that is not the key's: keys may be memory with tagged
// granules (MTE). Up to 3 bytes are loaded one by one. From 4 to 16 bytes, two
// loads of 4 or of 8 bytes overlap, so that they cover the key, and one TBL picks
// each byte once. From 17 bytes on the head of the key is a block that starts
// where the key starts, from which a TBL drops what later blocks have.
//
// Hash tags: all blocks are compared with '{'. Most keys have none. If there is
// one, the comparisons with '{' and '}' are packed to 64 bits each, four or one
// for each byte, the last byte of the key the lowest. Two CLZ then find the tag.
// One of up to 16 bytes is moved to the end of a block by a TBL; a longer one is
// loaded again, as a key without the rule.
//
// All of this was verified, but never timed, for want of an arm64 machine.
// bench/results/mca.md has what a model of some CPUs predicts.

// Constants. Each has its definition behind it; a test derives it again.

#define BLOCK0H 0xeb23000000000000 // (x^80 mod P) << 48
#define BLOCK1L 0x10e2000000000000 // (x^144 mod P) << 48
#define BLOCK1H 0x45b4000000000000 // (x^208 mod P) << 48
#define BLOCK2L 0x8ddc000000000000 // (x^272 mod P) << 48
#define BLOCK2H 0xb8e0000000000000 // (x^336 mod P) << 48
#define BLOCK3L 0xbd64000000000000 // (x^400 mod P) << 48
#define BLOCK3H 0x9fe5000000000000 // (x^464 mod P) << 48
#define MU64    0x11303471a041b343 // floor(x^80 / P) mod x^64
#define POLY48  0x1021000000000000 // (x^16 mod P) << 48

#define DIAGONAL 0x8040201008040201 // bit i of byte i

// What blocks are multiplied by: the low lane by the first, the high one by the
// second. BLOCK0H and MU64 are for the last block and its division.
DATA ·factors+0x00(SB)/8, $BLOCK0H
DATA ·factors+0x08(SB)/8, $MU64
DATA ·factors+0x18(SB)/8, $POLY48
DATA ·factors+0x20(SB)/8, $BLOCK1H
DATA ·factors+0x28(SB)/8, $BLOCK1L
DATA ·factors+0x30(SB)/8, $BLOCK2H
DATA ·factors+0x38(SB)/8, $BLOCK2L
DATA ·factors+0x40(SB)/8, $BLOCK3H
DATA ·factors+0x48(SB)/8, $BLOCK3L
GLOBL ·factors(SB), RODATA|NOPTR, $0x50

// Registers.
#define PTR R0        // the key
#define LEN R1        // its length
#define REST R2       // LEN - 8
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
#define BLOCK0 V16    // factors: BLOCK0H and MU64
#define POLY V17      // POLY48 in the high lane
#define OPEN V18      // '{' in each byte
#define CLOSE V19     // '}' in each byte
#define R V20         // the sum of the products
#define S V21         // R plus the last block
#define BITS V22      // 1, 2, 4 … 128 in bytes 0 to 7 and in bytes 8 to 15
#define EIGHTS V23    // 8 in each byte

// CONSTANTS loads what does not change from key to key.
#define CONSTANTS \
	MOVD  $·indexes(SB), INDEXES \
	MOVD  $·factors(SB), FACTORS \
	FLDPQ (FACTORS), (F16, F17)

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

// WORDS loads 4 to 8 bytes, HALVES 8 to 16: what the key starts and ends with.
#define WORDS \
	ADD   PTR, LEN, TMP2 \
	FMOVS (PTR), F0      \
	FMOVS -4(TMP2), F1

#define HALVES \
	FMOVD (PTR), F0 \
	FMOVD (PTR)(REST), F1

// GATHER makes block X0 of what these loaded.
#define GATHER \
	ADD   LEN<<4, INDEXES, TMP        \
	FMOVQ indexTables_gather(TMP), F4 \
	VTBL  X4.B16, [X0.B16, X1.B16], X0.B16

// HEAD1 loads blocks X0 and X1 of 17 to 32 bytes: the last 16 bytes, and of
// the first 16 the n-16 that stand in front of them.
#define HEAD1 \
	ADD    PTR, LEN, TMP2                \
	FMOVQ  -16(TMP2), F0                 \
	FMOVQ  (PTR), F1                     \
	ADD    LEN<<4, INDEXES, TMP          \
	FMOVQ  indexTables_heads(TMP), F4    \
	VREV64 X0.B16, X0.B16                \
	VTBL   X4.B16, [X1.B16], X1.B16

// HEAD3 loads blocks X0 to X3 of 33 to 64 bytes: two blocks at the end, of the
// block at s = max(n-48, 0) the n-32-s bytes, 1 to 16, in front of those, and
// of the first block the s bytes that are left, none up to 48 bytes.
#define HEAD3 \
	ADD    PTR, LEN, TMP2                  \
	FMOVQ  -16(TMP2), F0                   \
	FMOVQ  -32(TMP2), F1                   \
	SUBS   $48, LEN, TMP1                  \
	CSEL   HS, TMP1, ZR, TMP1              \
	ADD    PTR, TMP1, TMP                  \
	FMOVQ  (TMP), F2                       \
	FMOVQ  (PTR), F3                       \
	ADD    TMP1<<4, INDEXES, TMP           \
	FMOVQ  (indexTables_heads+16*16)(TMP), F5 \
	SUB    TMP1, LEN, TMP                  \
	ADD    TMP<<4, INDEXES, TMP            \
	FMOVQ  (indexTables_heads-16*16)(TMP), F4 \
	VREV64 X0.B16, X0.B16                  \
	VREV64 X1.B16, X1.B16                  \
	VTBL   X4.B16, [X2.B16], X2.B16        \
	VTBL   X5.B16, [X3.B16], X3.B16

// OPEN0, OPEN1 and OPEN3 jump to tag if there is a '{' in block X0, in X0 and
// X1, or in any block. Bytes of comparisons are 0 or -1, and two such never add
// to 0 unless both are. OPEN0 leaves the comparison in X4.
#define OPEN0(tag) \
	VMOVI $0x7b, OPEN.B16          \
	VCMEQ X0.B16, OPEN.B16, X4.B16 \
	VADDP X4.B16, X4.B16, X5.B16   \
	VMOV  X5.D[0], TMP             \
	CBNZ  TMP, tag

#define OPEN1(tag) \
	VMOVI $0x7b, OPEN.B16          \
	VCMEQ X0.B16, OPEN.B16, X4.B16 \
	VCMEQ X1.B16, OPEN.B16, X5.B16 \
	VORR  X4.B16, X5.B16, X4.B16   \
	VADDP X4.B16, X4.B16, X4.B16   \
	VMOV  X4.D[0], TMP             \
	CBNZ  TMP, tag

#define OPEN3(tag) \
	VMOVI $0x7b, OPEN.B16          \
	VCMEQ X0.B16, OPEN.B16, X4.B16 \
	VCMEQ X1.B16, OPEN.B16, X5.B16 \
	VCMEQ X2.B16, OPEN.B16, X6.B16 \
	VCMEQ X3.B16, OPEN.B16, X7.B16 \
	VORR  X4.B16, X5.B16, X4.B16   \
	VORR  X6.B16, X7.B16, X6.B16   \
	VORR  X4.B16, X6.B16, X4.B16   \
	VADDP X4.B16, X4.B16, X4.B16   \
	VMOV  X4.D[0], TMP             \
	CBNZ  TMP, tag

// PRODUCT adds block x, times the factors at FACTORS+at, which it loads to f,
// to R.
#define PRODUCT(x, at, f, v, t) \
	FMOVQ   at(FACTORS), f      \
	VPMULL  x.D1, v.D1, t.Q1    \
	VPMULL2 x.D2, v.D2, v.Q1    \
	VEOR    t.B16, R.B16, R.B16 \
	VEOR    v.B16, R.B16, R.B16

// SUM0, SUM1 and SUM3 set R to the products of block X0, of X0 and X1, or of
// all four.
#define SUM0 \
	VPMULL X0.D1, BLOCK0.D1, R.Q1

#define SUM1 \
	SUM0 \
	PRODUCT(X1, 0x20, F5, X5, X4)

#define SUM3 \
	SUM1                          \
	PRODUCT(X2, 0x30, F6, X6, X4) \
	PRODUCT(X3, 0x40, F7, X7, X4)

// REMAINDER sets r to T mod P, and returns it.
#define REMAINDER(r) \
	VEOR    X0.B16, R.B16, S.B16       \
	VPMULL2 BLOCK0.D2, S.D2, X4.Q1     \
	VEOR    S.B16, X4.B16, X4.B16      \
	VPMULL2 POLY.D2, X4.D2, X4.Q1      \
	VEOR    R.B16, X4.B16, X4.B16      \
	VMOV    X4.H[3], r

// NIBBLES sets g to four bits for each byte of comparison x of X0, the last
// byte of the key the lowest.
#define NIBBLES(x, g) \
	VUSHR $4, x.H8, x.H8        \
	VUZP1 x.B16, x.B16, x.B16   \
	VMOV  x.D[0], g             \
	ROR   $32, g, g

// PLACES sets g to a bit for each byte of the key, 1 if that is the byte of c,
// the last one the lowest.
#define PLACES(c, g) \
	VCMEQ  X0.B16, c.B16, X4.B16    \
	VCMEQ  X1.B16, c.B16, X5.B16    \
	VCMEQ  X2.B16, c.B16, X6.B16    \
	VCMEQ  X3.B16, c.B16, X7.B16    \
	VAND   X4.B16, BITS.B16, X4.B16 \
	VAND   X5.B16, BITS.B16, X5.B16 \
	VAND   X6.B16, BITS.B16, X6.B16 \
	VAND   X7.B16, BITS.B16, X7.B16 \
	VADDP  X5.B16, X4.B16, X4.B16   \
	VADDP  X7.B16, X6.B16, X6.B16   \
	VADDP  X6.B16, X4.B16, X4.B16   \
	VADDP  X4.B16, X4.B16, X4.B16   \
	VMOV   X4.D[0], g               \
	REV16  g, g

// BETWEEN finds the tag by the masks in TMP, of '{', and TMP1, of '}', which have
// width bits for each byte. With k = CLZ of the first, the '{' has k bits in
// front of it, and as many plus width are shifted off the second: its CLZ is
// width times the length of the tag, 0 if that is empty and 64 if there is no
// '}'. It sets TMP to k and TMP1 to that, and jumps to whole if there is no tag.
#define BETWEEN(width, whole) \
	CLZ TMP, TMP            \
	LSL TMP, TMP1, TMP1     \
	LSL $width, TMP1, TMP1  \
	CLZ TMP1, TMP1          \
	SUB $1, TMP1, TMP2      \
	CMP $63, TMP2           \
	BHS whole

// INDEX makes X6 the index vector that makes a block of the TMP1 <= 16 bytes of a
// tag from the blocks of the key. TMP2 is the distance of the tag's first byte from
// the end of the key.
#define INDEX \
	ADD   TMP1<<4, INDEXES, TMP             \
	FMOVQ (indexTables_heads+16*16)(TMP), F6 \
	VMOVI $8, EIGHTS.B16                    \
	VDUP  TMP2, X7.B16                      \
	VSUB  X6.B16, X7.B16, X6.B16            \
	VEOR  EIGHTS.B16, X6.B16, X6.B16

// func of(key string) uint64
//
// The checksum of the hashed part of key. A key of more than 64 bytes is left
// to ofLong, and all keys to ofGeneric where that is the kernel in use. A tag of
// more than 16 bytes takes the place of the key in the arguments.
// Requires: PMULL.
TEXT ·of(SB), NOSPLIT|NOFRAME, $0-24
	MOVBU ·tier(SB), TMP
	LDP   key_base+0(FP), (PTR, LEN)
	CBZ   TMP, generic
	CONSTANTS
	SUB   $8, LEN, REST
	CMP   $8, REST
	BHI   not16
	HALVES

gather:
	GATHER
	OPEN0(tag0)

fold0:
	SUM0

remainder:
	REMAINDER(TMP)
	MOVD TMP, ret+16(FP)
	RET

not16:
	CMP  $16, LEN
	BHI  over16
	CBZ  LEN, empty
	CMP  $4, LEN
	BLO  tiny
	WORDS
	B    gather

tiny:
	TINY
	B gather

empty:
	MOVD ZR, ret+16(FP)
	RET

over16:
	CMP $32, LEN
	BHI over32
	HEAD1
	OPEN1(tag1)
	SUM1
	B   remainder

over32:
	CMP $64, LEN
	BHI long
	HEAD3
	OPEN3(tag3)

fold3:
	SUM3
	B remainder

tag0:
	VMOVI $0x7d, CLOSE.B16
	VCMEQ X0.B16, CLOSE.B16, X5.B16
	NIBBLES(X4, TMP)
	NIBBLES(X5, TMP1)
	BETWEEN(4, fold0)
	LSR   $2, TMP1, TMP1
	MOVD  $14, TMP2
	SUB   TMP>>2, TMP2, TMP2
	INDEX
	VTBL  X6.B16, [X0.B16], X0.B16
	B     fold0

tag1:
	VMOVI $0, X2.B16
	VMOVI $0, X3.B16

tag3:
	VMOVI $0x7d, CLOSE.B16
	VMOVQ $DIAGONAL, $DIAGONAL, BITS
	PLACES(OPEN, TMP)
	PLACES(CLOSE, TMP1)
	BETWEEN(1, fold3)
	MOVD  $62, TMP2
	SUB   TMP, TMP2, TMP2
	CMP   $16, TMP1
	BHI   again
	INDEX
	VTBL  X6.B16, [X0.B16, X1.B16, X2.B16, X3.B16], X0.B16
	B     fold0

again:
	ADD  PTR, LEN, PTR
	SUB  TMP2, PTR, PTR
	SUB  $1, PTR
	MOVD PTR, key_base+0(FP)
	MOVD TMP1, key_len+8(FP)
	B    ·sum(SB)

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
	SUB  $8, LEN, REST
	CMP  $8, REST
	BHI  not16
	HALVES

gather:
	GATHER
	SUM0

remainder:
	REMAINDER(TMP)
	MOVD TMP, ret+16(FP)
	RET

not16:
	CMP  $16, LEN
	BHI  over16
	CBZ  LEN, empty
	CMP  $4, LEN
	BLO  tiny
	WORDS
	B    gather

tiny:
	TINY
	B gather

empty:
	MOVD ZR, ret+16(FP)
	RET

over16:
	CMP $32, LEN
	BHI over32
	HEAD1
	SUM1
	B   remainder

over32:
	HEAD3
	SUM3
	B remainder
