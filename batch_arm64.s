//go:build gc && !purego

#include "go_asm.h"
#include "textflag.h"

// Many keys, with PMULL.
//
// The mathematics is that of crc16_arm64.s. What a key waits for, loads and
// products, is done for others meanwhile: four keys take each step together, in
// registers of their own, with no branch between them. There are four ways, by
// the lengths of the four:
//
//	8 to 16     two loads of 8 bytes and one TBL make the block
//	17 to 32    the last 16 bytes are a block; from the first 16 a TBL drops what
//	            that one has
//	8 to 32     four loads of 8 bytes overlap, so that two vectors have the first
//	            and the last 16 bytes; of up to 15, the first and the last 8
//	            twice. One TBL makes the last block, as it would of two loads,
//	            another the block in front of it, of zeros if there is none
//	17 to 64    four blocks, the first ones of zeros if there are fewer
//
// Four keys with another length among them, or a '{', are done one by one, by a
// call of of. Four with more than 64 bytes among them end the batch.
//
// No load touches a byte that is not of a key, but for prefetches: they never
// fault.

// Registers. A call of of clobbers them all.
#define P0 R0         // the four keys
#define N0 R1         // and their lengths
#define P1 R2
#define N1 R3
#define P2 R4
#define N2 R5
#define P3 R6
#define N3 R7
#define T0 R8         // their lengths less 8
#define T1 R9
#define T2 R10
#define T3 R11
#define TMP R12       // for a moment only, like TMP1 and MORE
#define TMP1 R13
#define MORE R14
#define FAR R15       // the header of a key ahead
#define LONGEST R17   // 64
#define SLOTS R19     // where the next four slots go
#define HEADERS R20   // the headers of the next four keys
#define STRIDE R21    // from one header to the next
#define LEFT R22      // keys that are left
#define LAST R24      // the last four headers
#define INDEXES R25   // ·indexes

#define MASK V24      // 0x3fff in each 16 bits
#define BLOCK0 V25    // the factors of crc16_arm64.s: BLOCK0H and MU64
#define POLY V26      // POLY48
#define BLOCK1 V27    // BLOCK1H and BLOCK1L
#define OPEN V28      // '{' in each byte
#define BLOCK2 V29    // BLOCK2H and BLOCK2L
#define BLOCK3 V30    // BLOCK3H and BLOCK3L

// LOAD16 loads the first 8 bytes of a key, of 8 to 16, to fa, its last 8 to fb,
// and what GATHER takes to fi.
#define LOAD16(p, n, t, fa, fb, fi) \
	FMOVD (p), fa               \
	MOVD  (FAR), MORE           \
	FMOVD (p)(t), fb            \
	ADD   n<<4, INDEXES, TMP    \
	FMOVQ indexTables_gather(TMP), fi \
	ADD   STRIDE, FAR           \
	PRFM  (MORE), PLDL1KEEP

// LOADMIXED loads the first 16 bytes of a key, of 8 to 32, to a, the last 8 and
// the 8 in front of these to b, and makes of them the last block, i, and the one
// in front of it, j. A key of up to 15 bytes has the first 8 twice in a, and the
// last in b.
#define LOADMIXED(p, n, t, a, fa, b, fb, i, fi, j, fj) \
	ORR    t>>1, t, TMP                 \
	AND    $8, TMP, TMP                 \
	ADD    p, t, TMP1                   \
	FMOVD  (p), fa                      \
	FMOVD  (TMP1), fb                   \
	SUB    TMP, TMP1, TMP1              \
	ADD    p, TMP, TMP                  \
	VLD1   (TMP), a.D[1]                \
	VLD1   (TMP1), b.D[1]               \
	ADD    n<<4, INDEXES, TMP           \
	FMOVQ  indexTables_gather(TMP), fi  \
	FMOVQ  indexTables_heads(TMP), fj   \
	VTBL   i.B16, [a.B16, b.B16], i.B16 \
	VTBL   j.B16, [a.B16], j.B16        \
	ASK

// LOAD32 loads the last block of a key, of 17 to 32 bytes, to i, and the one in
// front of it to j.
#define LOAD32(p, n, t, i, fi, j, fj, fk, k) \
	ADD    p, t, TMP                    \
	FMOVQ  -8(TMP), fi                  \
	FMOVQ  (p), fj                      \
	ADD    n<<4, INDEXES, TMP           \
	FMOVQ  indexTables_heads(TMP), fk   \
	VREV64 i.B16, i.B16                 \
	VTBL   k.B16, [j.B16], j.B16        \
	ASK

// LOAD64 loads the blocks of a key, of 17 to 64 bytes, to x0 to x3, the last one
// first: from the end of the key, from s = max(n-32, 0), max(n-48, 0) and 0 on. Of
// the second n-16-s bytes count, and of the others as many as are in front of
// that, or none.
#define LOAD64(p, n, x0, f0, x1, f1, x2, f2, x3, f3) \
	ADD    p, n, TMP                    \
	FMOVQ  -16(TMP), f0                 \
	SUBS   $32, n, TMP                  \
	CSEL   HS, TMP, ZR, TMP             \
	SUBS   $48, n, TMP1                 \
	CSEL   HS, TMP1, ZR, TMP1           \
	ADD    p, TMP, MORE                 \
	FMOVQ  (MORE), f1                   \
	ADD    p, TMP1, MORE                \
	FMOVQ  (MORE), f2                   \
	FMOVQ  (p), f3                      \
	SUB    TMP, n, TMP                  \
	ADD    TMP<<4, INDEXES, TMP         \
	FMOVQ  indexTables_heads(TMP), F5   \
	SUB    TMP1, n, TMP                 \
	ADD    TMP<<4, INDEXES, TMP         \
	FMOVQ  (indexTables_heads-16*16)(TMP), F6 \
	ADD    TMP1<<4, INDEXES, TMP        \
	FMOVQ  (indexTables_heads+16*16)(TMP), F7 \
	VREV64 x0.B16, x0.B16               \
	VTBL   V5.B16, [x1.B16], x1.B16    \
	VTBL   V6.B16, [x2.B16], x2.B16    \
	VTBL   V7.B16, [x3.B16], x3.B16    \
	ASK

// KEY64 does so, with the last block in x, and sets r to the products and o to
// not 0 if there is a '{'.
#define KEY64(p, n, x, fx, r, o) \
	LOAD64(p, n, x, fx, V1, F1, V2, F2, V3, F3) \
	OPENS(x, V1, V2, V3, o, V5, V6, V7)         \
	SUM4(x, V1, V2, V3, r, V5)

// ASK asks for the first bytes of the key whose header is at FAR.
#define ASK \
	MOVD  (FAR), MORE           \
	ADD   STRIDE, FAR           \
	PRFM  (MORE), PLDL1KEEP

// SUM2 sets r to the products of block i and of j, which is in front of it.
#define SUM2(i, j, r, t) \
	VPMULL i.D1, BLOCK0.D1, r.Q1  \
	PRODUCTS(j, BLOCK1, r, t)

// SUM4 sets r to the products of four blocks, the last one first.
#define SUM4(x0, x1, x2, x3, r, t) \
	SUM2(x0, x1, r, t)        \
	PRODUCTS(x2, BLOCK2, r, t) \
	PRODUCTS(x3, BLOCK3, r, t)

// PRODUCTS adds the products of block x to r.
#define PRODUCTS(x, factors, r, t) \
	VPMULL  x.D1, factors.D1, t.Q1 \
	VPMULL2 x.D2, factors.D2, x.Q1 \
	VEOR    t.B16, r.B16, r.B16    \
	VEOR    x.B16, r.B16, r.B16

// FOUR does a step for all four keys.
#define FOUR(step, a0, b0, c0, a1, b1, c1, a2, b2, c2, a3, b3, c3) \
	step(a0, b0, c0) \
	step(a1, b1, c1) \
	step(a2, b2, c2) \
	step(a3, b3, c3)

#define GATHER(a, b, i) VTBL i.B16, [a.B16, b.B16], a.B16
#define PRODUCT(x, r, s) VPMULL x.D1, BLOCK0.D1, r.Q1
#define ADDBLOCK(x, r, s) VEOR x.B16, r.B16, s.B16
#define TIMESMU(x, r, s) VPMULL2 BLOCK0.D2, s.D2, x.Q1
#define ADDTOP(x, r, s) VEOR s.B16, x.B16, x.B16
#define TIMESP(x, r, s) VPMULL2 POLY.D2, x.D2, x.Q1
#define ADDREST(x, r, s) VEOR r.B16, x.B16, x.B16

// OPENS makes t0 not 0 if there is a '{' in one of four blocks, and TEST jumps to
// tag then. Bytes of comparisons are 0 or -1, and two such never add to 0 unless
// both are.
#define OPENS(x0, x1, x2, x3, t0, t1, t2, t3) \
	VCMEQ x0.B16, OPEN.B16, t0.B16 \
	VCMEQ x1.B16, OPEN.B16, t1.B16 \
	VCMEQ x2.B16, OPEN.B16, t2.B16 \
	VCMEQ x3.B16, OPEN.B16, t3.B16 \
	VORR  t0.B16, t1.B16, t0.B16   \
	VORR  t2.B16, t3.B16, t2.B16   \
	VORR  t0.B16, t2.B16, t0.B16

#define TEST(t, tag) \
	VADDP t.B16, t.B16, t.B16 \
	VMOV  t.D[0], TMP         \
	CBNZ  TMP, tag

// STORE divides what is in x, block and slot, r, the products, and stores four
// slots: their 16 bits are the highest of the low lanes.
#define STORE(x0, r0, s0, x1, r1, s1, x2, r2, s2, x3, r3, s3, fx3) \
	FOUR(ADDBLOCK, x0, r0, s0, x1, r1, s1, x2, r2, s2, x3, r3, s3) \
	FOUR(TIMESMU, x0, r0, s0, x1, r1, s1, x2, r2, s2, x3, r3, s3)  \
	FOUR(ADDTOP, x0, r0, s0, x1, r1, s1, x2, r2, s2, x3, r3, s3)   \
	FOUR(TIMESP, x0, r0, s0, x1, r1, s1, x2, r2, s2, x3, r3, s3)   \
	FOUR(ADDREST, x0, r0, s0, x1, r1, s1, x2, r2, s2, x3, r3, s3)  \
	VMOV    x0.H[3], x3.H[0]        \
	VMOV    x1.H[3], x3.H[1]        \
	VMOV    x2.H[3], x3.H[2]        \
	VAND    MASK.B16, x3.B16, x3.B16 \
	FMOVD.P fx3, 8(SLOTS)

// AHEAD makes FAR the header eight keys further on, or the last but three, as
// the reordering of many cores reaches only a few keys ahead. What
// loads a key asks for the first bytes of one there.
#define AHEAD \
	ADD  STRIDE<<3, HEADERS, FAR \
	CMP  LAST, FAR               \
	CSEL LO, FAR, LAST, FAR

// NEXT4 loads four headers.
#define NEXT4 \
	LDP (HEADERS), (P0, N0)      \
	ADD STRIDE, HEADERS, TMP     \
	LDP (TMP), (P1, N1)          \
	ADD STRIDE, TMP, TMP1        \
	LDP (TMP1), (P2, N2)         \
	ADD STRIDE, TMP1, TMP        \
	LDP (TMP), (P3, N3)          \
	SUB $8, N0, T0               \
	SUB $8, N1, T1               \
	SUB $8, N2, T2               \
	SUB $8, N3, T3

// MOST sets the flags so that HI says that one of four numbers is greater than
// most, LEAST so that LO says that one is less than least: each of these is a
// constant of up to 31 or a register.
#define MOST(most, t0, t1, t2, t3) \
	CMP  most, t0         \
	CCMP LS, t1, most, $2 \
	CCMP LS, t2, most, $2 \
	CCMP LS, t3, most, $2

#define LEAST(least, t0, t1, t2, t3) \
	CMP  least, t0         \
	CCMP HS, t1, least, $0 \
	CCMP HS, t2, least, $0 \
	CCMP HS, t3, least, $0

// func batch(slots *Slot, headers unsafe.Pointer, stride, n uint64) (done uint64)
//
// The slots of n keys, a multiple of 4, and at least 4. Headers are a pointer and
// a length, stride bytes apart: strings or byte slices. The batch ends early,
// after a multiple of 4 keys, in front of four that have one of more than 64
// bytes among them, and returns the number of slots written.
// Requires: PMULL.
TEXT ·batch(SB), NOSPLIT, $56-40
	LDP   slots+0(FP), (SLOTS, HEADERS)
	LDP   stride+16(FP), (STRIDE, LEFT)

begin:
	MOVD  $·indexes(SB), INDEXES
	MOVD  $·factors(SB), TMP
	FLDPQ (TMP), (F25, F26)
	FMOVQ 0x20(TMP), F27
	FLDPQ 0x30(TMP), (F29, F30)
	VMOVI $0x7b, OPEN.B16
	MOVD  $0x3fff, TMP
	VDUP  TMP, MASK.H8
	MOVD  $64, LONGEST
	SUB   $4, LEFT, TMP
	MADD  TMP, HEADERS, STRIDE, LAST

next:
	NEXT4
	AHEAD
	MOST($8, T0, T1, T2, T3)
	BHI  over16
	LOAD16(P0, N0, T0, F0, F1, F2)
	LOAD16(P1, N1, T1, F4, F5, F6)
	LOAD16(P2, N2, T2, F8, F9, F10)
	LOAD16(P3, N3, T3, F12, F13, F14)
	FOUR(GATHER, V0, V1, V2, V4, V5, V6, V8, V9, V10, V12, V13, V14)
	OPENS(V0, V4, V8, V12, V2, V6, V10, V14)
	TEST(V2, apart)
	FOUR(PRODUCT, V0, V16, V2, V4, V17, V6, V8, V18, V10, V12, V19, V14)

store:
	STORE(V0, V16, V20, V4, V17, V21, V8, V18, V22, V12, V19, V23, F12)

advance:
	ADD  STRIDE<<2, HEADERS
	SUBS $4, LEFT
	BNE  next

done:
	MOVD n+24(FP), TMP
	SUB  LEFT, TMP
	MOVD TMP, ret+32(FP)
	RET

over16:
	MOST($24, T0, T1, T2, T3)
	BHI  over32
	LEAST($9, T0, T1, T2, T3)
	BLO  mixed
	LOAD32(P0, N0, T0, V0, F0, V1, F1, F2, V2)
	LOAD32(P1, N1, T1, V4, F4, V5, F5, F6, V6)
	LOAD32(P2, N2, T2, V8, F8, V9, F9, F10, V10)
	LOAD32(P3, N3, T3, V12, F12, V13, F13, F14, V14)

sum2:
	OPENS(V0, V4, V8, V12, V16, V17, V18, V19)
	OPENS(V1, V5, V9, V13, V20, V21, V22, V23)
	VORR V20.B16, V16.B16, V16.B16
	TEST(V16, apart)
	SUM2(V0, V1, V16, V20)
	SUM2(V4, V5, V17, V21)
	SUM2(V8, V9, V18, V22)
	SUM2(V12, V13, V19, V23)
	B    store

mixed:
	LOADMIXED(P0, N0, T0, V2, F2, V3, F3, V0, F0, V1, F1)
	LOADMIXED(P1, N1, T1, V6, F6, V7, F7, V4, F4, V5, F5)
	LOADMIXED(P2, N2, T2, V10, F10, V11, F11, V8, F8, V9, F9)
	LOADMIXED(P3, N3, T3, V14, F14, V15, F15, V12, F12, V13, F13)
	B    sum2

over32:
	MOST(LONGEST, N0, N1, N2, N3)
	BHI  done
	LEAST($17, N0, N1, N2, N3)
	BLO  apart
	KEY64(P0, N0, V0, F0, V16, V20)
	KEY64(P1, N1, V4, F4, V17, V21)
	KEY64(P2, N2, V8, F8, V18, V22)
	KEY64(P3, N3, V12, F12, V19, V23)
	VORR V21.B16, V20.B16, V20.B16
	VORR V23.B16, V22.B16, V22.B16
	VORR V22.B16, V20.B16, V20.B16
	TEST(V20, apart)
	B    store

apart:
	STP (SLOTS, HEADERS), 32(RSP)
	STP (STRIDE, LEFT), 48(RSP)

one:
	LDP    (HEADERS), (P0, N0)
	STP    (P0, N0), 8(RSP)
	CALL   ·of(SB)
	MOVD   24(RSP), TMP
	LDP    32(RSP), (SLOTS, HEADERS)
	LDP    48(RSP), (STRIDE, LEFT)
	AND    $0x3fff, TMP
	MOVH.P TMP, 2(SLOTS)
	ADD    STRIDE, HEADERS
	SUB    $1, LEFT
	STP    (SLOTS, HEADERS), 32(RSP)
	STP    (STRIDE, LEFT), 48(RSP)
	TST    $3, LEFT
	BNE    one
	CBNZ   LEFT, begin
	B      done
