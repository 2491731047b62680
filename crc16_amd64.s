//go:build gc && !purego

#include "go_asm.h"
#include "textflag.h"

// One key at a time: the checksum of a key, or of its hash tag.
//
// A message M of n bytes is a polynomial over GF(2), its first bit the highest
// power; its checksum is M(x)·x^16 mod P with P = x^16 + x^12 + x^5 + 1. The
// checksum starts at 0, so leading zero bytes change nothing: a key is taken to
// the end of a register, with zeros in front of it, and all constants depend
// only on how far a byte is from the end.
//
//  1. Load the bytes that end with the key. A load that would leave the key's
//     page of 4 KiB is moved to the other side of the key.
//  2. Hash tag. '{' is looked for in the register. Only where there is one does
//     the key take the path that resolves the tag: it moves the bytes of the tag
//     to the end of the register and goes on as if they were the key.
//  3. Fold. A block of 16 bytes is H·x^64 + L. With constants x^k mod P the
//     products of H and L add up to a number T of less than 80 bits that is
//     congruent to M·x^16. The constants are shifted left by 48: the high quadword
//     of T is then floor(T/x^16), the low one has the rest on top. For the last
//     block floor(L·x^16/x^16) is L itself, without a product.
//  4. Reduce (Barrett). q = floor(T.high·MU/x^64) is the quotient by P, where
//     MU = floor(x^80/P); its highest bit, x^64, is added by an XOR. The checksum
//     is the rest in T plus the low 16 bits of q·P, which is q·(x^12 + x^5 + 1).
//
// Which form. A branch on the length that is not predicted costs more than a whole
// key (9 ns here; 7 on Zen 4), so that all keys of up to 64 bytes share one path, in a
// register of 512 bits. A table has a row of 64 bytes for each length, with which one
// VPSHUFB both reverses a key and cuts off what is in front of it; a mask made of the
// length takes three instructions more, and 4 to 10 % longer. Limits of lengths are in
// units of 1/8 byte, so that one LEAQ makes both the index of a row and what is compared.
// No form is best for all keys. One with a branch at 16 bytes takes 0.92 to 1.0 of the
// time up to there, 0.8 for tagged keys; but 1.5 to 2.3 times as long where lengths are
// on both sides, as those of real keys are, and 1.15 to 1.3 from 17 bytes on: see the
// table in docs/performance.md. To load the tag again takes nine instructions less, and
// is no faster. Six bytes at a time, as parts of a fraction, need no step 4: 4 % faster
// up to 48 bytes, 1.5 times as long for 32 to 64 unpredictable (Intel, family 6, 207).
// The path in registers of 256 bits is for Zen 4, whose vector units have 256 bits. Up to 32
// bytes it takes 12.5 cycles there and the path in 512 bits 17, tags 19 and 25. Where
// lengths lie on both sides of 32 bytes the one path is ahead, 18 cycles against 27 for
// unpredictable 1..64. Zen 4 jumps to its path, by the first jump of of: behind a second one
// the path takes half a cycle to one more. This comparison costs avx512 nothing, and clmul
// one cycle from 17 bytes on, in some loops.
//
// Registers from 16 up have no legacy half, so that no VZEROUPPER is due. An
// instruction of more than 128 bits must not write X0 to X15 either: the next
// legacy SSE instruction, in Go's return from assembly, and the next VEX one
// would take over a hundred nanoseconds each. One of 128 bits may.
//
// Constants. Each has its definition behind it; a test derives it again.

#define BLOCK0L  0x1021000000000000 // (x^16 mod P) << 48
#define BLOCK0H  0xeb23000000000000 // (x^80 mod P) << 48
#define BLOCK1L  0x10e2000000000000 // (x^144 mod P) << 48
#define BLOCK1H  0x45b4000000000000 // (x^208 mod P) << 48
#define BLOCK2L  0x8ddc000000000000 // (x^272 mod P) << 48
#define BLOCK2H  0xb8e0000000000000 // (x^336 mod P) << 48
#define BLOCK3L  0xbd64000000000000 // (x^400 mod P) << 48
#define BLOCK3H  0x9fe5000000000000 // (x^464 mod P) << 48
#define FOLDL    0x000000000000aefc // x^128 mod P
#define FOLDH    0x000000000000650b // x^192 mod P
#define FOLD4L   0x00000000000013fc // x^512 mod P
#define FOLD4H   0x0000000000008832 // x^576 mod P
#define MU       0x11303471a041b343 // floor(x^80 / P) mod x^64
#define REST     0x0000000000001021 // x^16 mod P

#define OPEN  0x7b7b7b7b7b7b7b7b // '{' in every byte
#define CLOSE 0x7d7d7d7d7d7d7d7d // '}' in every byte

// The constants of the four blocks of a 64-byte register. The block that ends
// the key is the highest.
DATA blocks<>+0(SB)/8, $BLOCK3L
DATA blocks<>+8(SB)/8, $BLOCK3H
DATA blocks<>+16(SB)/8, $BLOCK2L
DATA blocks<>+24(SB)/8, $BLOCK2H
DATA blocks<>+32(SB)/8, $BLOCK1L
DATA blocks<>+40(SB)/8, $BLOCK1H
DATA blocks<>+48(SB)/8, $BLOCK0L
DATA blocks<>+56(SB)/8, $BLOCK0H
GLOBL blocks<>(SB), RODATA|NOPTR, $64

DATA barrett<>+0(SB)/8, $MU
DATA barrett<>+8(SB)/8, $REST
GLOBL barrett<>(SB), RODATA|NOPTR, $16

DATA foldBy1<>+0(SB)/8, $FOLDL
DATA foldBy1<>+8(SB)/8, $FOLDH
GLOBL foldBy1<>(SB), RODATA|NOPTR, $16

DATA foldBy4<>+0(SB)/8, $FOLD4L
DATA foldBy4<>+8(SB)/8, $FOLD4H
GLOBL foldBy4<>(SB), RODATA|NOPTR, $16

DATA open<>+0(SB)/8, $OPEN
DATA open<>+8(SB)/8, $OPEN
DATA open<>+16(SB)/8, $OPEN
DATA open<>+24(SB)/8, $OPEN
GLOBL open<>(SB), RODATA|NOPTR, $32

DATA close<>+0(SB)/8, $CLOSE
DATA close<>+8(SB)/8, $CLOSE
DATA close<>+16(SB)/8, $CLOSE
DATA close<>+24(SB)/8, $CLOSE
GLOBL close<>(SB), RODATA|NOPTR, $32

// PSHUFB controls. ending<>+16n takes the last n bytes of a register: the last
// eight, reversed, to the high quadword, those in front of them to the low one, and
// zeros to the rest, for n = 0..16. starting<>+(16-n) reverses the first n, and
// puts zeros above them; starting<> itself reverses all 16.
DATA ending<>+0(SB)/8, $0x8080808080808080
DATA ending<>+8(SB)/8, $0x8080808080808080
DATA ending<>+16(SB)/8, $0x8080808080808080
DATA ending<>+24(SB)/8, $0x808080808080800f
DATA ending<>+32(SB)/8, $0x8080808080808080
DATA ending<>+40(SB)/8, $0x8080808080800e0f
DATA ending<>+48(SB)/8, $0x8080808080808080
DATA ending<>+56(SB)/8, $0x80808080800d0e0f
DATA ending<>+64(SB)/8, $0x8080808080808080
DATA ending<>+72(SB)/8, $0x808080800c0d0e0f
DATA ending<>+80(SB)/8, $0x8080808080808080
DATA ending<>+88(SB)/8, $0x8080800b0c0d0e0f
DATA ending<>+96(SB)/8, $0x8080808080808080
DATA ending<>+104(SB)/8, $0x80800a0b0c0d0e0f
DATA ending<>+112(SB)/8, $0x8080808080808080
DATA ending<>+120(SB)/8, $0x80090a0b0c0d0e0f
DATA ending<>+128(SB)/8, $0x8080808080808080
DATA ending<>+136(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+144(SB)/8, $0x8080808080808007
DATA ending<>+152(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+160(SB)/8, $0x8080808080800607
DATA ending<>+168(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+176(SB)/8, $0x8080808080050607
DATA ending<>+184(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+192(SB)/8, $0x8080808004050607
DATA ending<>+200(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+208(SB)/8, $0x8080800304050607
DATA ending<>+216(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+224(SB)/8, $0x8080020304050607
DATA ending<>+232(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+240(SB)/8, $0x8001020304050607
DATA ending<>+248(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+256(SB)/8, $0x0001020304050607
DATA ending<>+264(SB)/8, $0x08090a0b0c0d0e0f
GLOBL ending<>(SB), RODATA|NOPTR, $272

DATA starting<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA starting<>+8(SB)/8, $0x0001020304050607
DATA starting<>+16(SB)/8, $0x8080808080808080
DATA starting<>+24(SB)/8, $0x8080808080808080
GLOBL starting<>(SB), RODATA|NOPTR, $32

// A VPERMB index that leaves all bytes as they are; with n added to each it takes
// the n bytes in front of byte n to the end.
DATA upward<>+0(SB)/8, $0x0706050403020100
DATA upward<>+8(SB)/8, $0x0f0e0d0c0b0a0908
DATA upward<>+16(SB)/8, $0x1716151413121110
DATA upward<>+24(SB)/8, $0x1f1e1d1c1b1a1918
DATA upward<>+32(SB)/8, $0x2726252423222120
DATA upward<>+40(SB)/8, $0x2f2e2d2c2b2a2928
DATA upward<>+48(SB)/8, $0x3736353433323130
DATA upward<>+56(SB)/8, $0x3f3e3d3c3b3a3938
GLOBL upward<>(SB), RODATA|NOPTR, $64

// Registers.
#define P   SI // the key, or what is left of it
#define N   CX // its length
#define N8  AX // 8·(N-1): above all limits for the empty key
#define T   X0 // its last block so far, then the number T of step 3
#define A   X1
#define B   X2
#define TAG X4 // 0xff where a '{' was
#define REV X3 // starting<>: reverses 16 bytes
#define KEY Z16 // the key, ending the register, and its halves
#define KEYY Y16
#define RAW  Z18 // the 64 bytes that end with it, and their last 32
#define RAWY Y18

// LOAD16 loads the key of N = 1..16 bytes at P into T as ending<> says, by N8. DX is
// lost. The load ends with the key if that stays in the page where the key
// starts; at EDGE16 it starts with the key.
#define LOAD16(atEdge, loaded) \
	TESTL  $0xff0, P;                \
	JZ     atEdge;                   \
	MOVOU  -16(P)(N*1), T;           \
	LEAQ   ending<>+16(SB), DX;      \
	PSHUFB (DX)(N8*2), T;            \
loaded:

#define EDGE16(atEdge, loaded) \
atEdge:                                  \
	MOVOU  (P), T;                   \
	LEAQ   starting<>+16(SB), DX;    \
	SUBQ   N, DX;                    \
	MOVOU  (DX), A;                  \
	PSHUFB A, T;                     \
	SWAP;                            \
	JMP    loaded

// SWAP exchanges the quadwords of T, which LOAD16 leaves the other way round than
// HEAD and NEXT.
#define SWAP PSHUFD $0x4e, T, T

// TAG16 sets P and N to the tag of the key of BX = 1..16 bytes at P that is in T
// and has a '{' where AX has a bit. If the key has no tag it goes to WHOLE, with
// T as it was. Once the quadwords are exchanged, bit i of a mask stands for byte
// BX-1-i: the first '{' is the highest bit, the first '}' behind it the highest
// below that.
#define TAG16(whole) \
	MOVOU    close<>(SB), A;         \
	PCMPEQB  T, A;                   \
	PMOVMSKB A, DX;                  \
	ROLW     $8, AX;                 \
	ROLW     $8, DX;                 \
	BSRL     AX, CX;                 \
	MOVL     $1, AX;                 \
	SHLL     CX, AX;                 \
	DECL     AX;                     \
	ANDL     AX, DX;                 \
	JZ       whole;                  \
	BSRL     DX, DX;                 \
	SUBL     CX, BX;                 \
	SUBL     DX, CX;                 \
	DECL     CX;                     \
	JZ       whole;                  \
	ADDQ     BX, P

// FOLD16 makes A the product of the high half of the last block, which is the low
// quadword of T.
#define FOLD16 \
	MOVO      T, A;                  \
	PCLMULQDQ $0x10, blocks<>+48(SB), A

// REDUCE leaves the checksum in the low 16 bits of B, and anything above them. The
// number T of step 3 is A plus the high quadword of the register T, the low half
// of the last block.
#define REDUCE \
	PXOR      A, T;                  \
	MOVO      T, B;                  \
	PCLMULQDQ $0x01, barrett<>(SB), B; \
	PXOR      T, B;                  \
	PSRLQ     $48, A;                \
	PCLMULQDQ $0x11, barrett<>(SB), B; \
	PXOR      A, B

// BLOCK16 loads a block of a key, notes in TAG where it has a '{', which is in every
// byte of X5, and reverses it. PLACE16 multiplies such a block by its place and adds
// it to A.
#define BLOCK16(from, x) \
	MOVOU   from, x;                 \
	MOVO    x, X7;                   \
	PCMPEQB X5, X7;                  \
	POR     X7, TAG;                 \
	PSHUFB  REV, x

#define PLACE16(x, place) \
	MOVO      x, X7;                 \
	PCLMULQDQ $0x00, place, x;       \
	PCLMULQDQ $0x11, place, X7;      \
	PXOR      x, A;                  \
	PXOR      X7, A

// HEAD16 makes x, the first 16 bytes of a key of behind+1 to behind+16, reversed
// ones of those that have behind bytes behind them.
#define HEAD16(x, behind) \
	LEAQ   starting<>+(16+behind)(SB), DX; \
	SUBQ   N, DX;                    \
	MOVOU  (DX), X7;                 \
	PSHUFB X7, x

// LAST16 loads the block that ends the key into T.
#define LAST16 \
	MOVOU   -16(P)(N*1), T;          \
	MOVO    T, X7;                   \
	PCMPEQB X5, X7;                  \
	POR     X7, TAG;                 \
	PSHUFB  ending<>+256(SB), T

// FIRST16 loads the block that begins the key into x.
#define FIRST16(x) \
	MOVOU   (P), x;                  \
	MOVO    X5, TAG;                 \
	PCMPEQB x, TAG

// MIDDLE16 adds to A the products of all blocks of a key of 65 to 320 bytes but the last.
// Of x, which has the first 16 bytes, it takes those that no other block has. AX is N-1.
// AX, DX, R8 and P are lost. ·places is in long_amd64.s.
#define MIDDLE16(x, y, next) \
	MOVL  AX, DX;                    \
	ANDL  $15, DX;                   \
	LEAQ  starting<>+15(SB), R8;     \
	SUBQ  DX, R8;                    \
	MOVOU (R8), X7;                  \
	PSHUFB X7, x;                    \
	ANDL  $-16, AX;                  \
	LEAQ  ·places+304(SB), R8;       \
	SUBQ  AX, R8;                    \
	PLACE16(x, (R8));                \
	SUBQ  $16, AX;                   \
	ADDQ  AX, R8;                    \
	ADDQ  DX, P;                     \
	ADDQ  AX, P;                     \
	NEGQ  AX;                        \
next:                                    \
	BLOCK16(1(P)(AX*1), y);          \
	PLACE16(y, 16(R8)(AX*1));        \
	ADDQ  $16, AX;                   \
	JNZ   next

// HEAD makes T, the first 16 bytes of a key of more, its first AX = (N-1)&15 + 1
// bytes, reversed and right-aligned. P is then behind the key, and N how far in
// front of that the rest is, less than 0.
#define HEAD \
	LEAQ   starting<>+16(SB), DX;    \
	SUBQ   AX, DX;                   \
	MOVOU  (DX), A;                  \
	PSHUFB A, T;                     \
	ADDQ   N, P;                     \
	SUBQ   N, AX;                    \
	MOVQ   AX, N

// NEXT folds T over the next block, in X2, and adds it. It sets the flag Z behind
// the last one.
#define NEXT \
	MOVO      T, A;                  \
	PCLMULQDQ $0x00, X6, T;          \
	PCLMULQDQ $0x11, X6, A;          \
	PXOR      X2, T;                 \
	PXOR      A, T;                  \
	ADDQ      $16, N

// LOAD64 loads the 64 bytes that end with the key into RAW, and the key alone into
// KEY, where it ends the register, each block reversed, with zeros in front of it. DX is
// gfni afterwards; R8 is lost. A load that would begin in the page before that of the key is
// left to EDGE64, for keys that start in the first 64 bytes of a page: it loads 64 bytes
// from there, and VPEXPANDB takes as many as the key has. The key must not be empty: the
// address of an empty one may be of no page at all.
#define LOAD64(atEdge, loaded) \
	TESTL        $0xfc0, P;          \
	JZ           atEdge;             \
	VMOVDQU64    -64(P)(N*1), RAW;     \
loaded:                                  \
	MOVQ         ·gfni(SB), DX;      \
	VPSHUFB      (matrices_ends+64)(DX)(N8*8), RAW, KEY

#define EDGE64(atEdge, loaded) \
atEdge:                                  \
	LEAQ         -1(N), R8;          \
	MOVQ         $1<<63, DX;         \
	SARXQ        R8, DX, DX;         \
	KMOVQ        DX, K1;             \
	VMOVDQU64    (P), RAW;             \
	VPEXPANDB.Z  RAW, K1, RAW;             \
	JMP          loaded

// FIND64 goes to TAGGED if KEY has a '{'. It tests a general register: on Zen 4, KORTEST in
// front of a product takes one cycle a key more. TAG64 then leaves nothing but the tag in
// KEY, or goes to WHOLE if there is none. Bit i of a mask stands for byte i of RAW;
// N shifts out those in front of the key. R8 is the first '{', R9 the first '}'
// behind it, then the length of the tag.
#define FIND64(tagged) \
	VBROADCASTI32X4 open<>(SB), Z17; \
	VPCMPEQB        Z17, KEY, K2;    \
	KMOVQ           K2, AX;          \
	TESTQ           AX, AX;          \
	JNZ             tagged

#define TAG64(whole) \
	VPCMPEQB     Z17, RAW, K2;       \
	VBROADCASTI32X4 close<>(SB), Z17; \
	VPCMPEQB     Z17, RAW, K3;       \
	KMOVQ        K2, R10;            \
	KMOVQ        K3, R9;             \
	NEGQ         N;                  \
	SHRXQ        N, R10, R10;        \
	SHLXQ        N, R10, R10;        \
	TZCNTQ       R10, R8;            \
	BLSMSKQ      R10, R10;           \
	ANDNQ        R9, R10, R9;        \
	JZ           whole;              \
	TZCNTQ       R9, R9;             \
	VPBROADCASTB R9, Z17;            \
	SUBL         R8, R9;             \
	DECL         R9;                 \
	JZ           whole;              \
	VPADDB       upward<>(SB), Z17, Z17; \
	VPERMB       RAW, Z17, RAW;       \
	SHLQ         $6, R9;             \
	VPSHUFB      matrices_ends(DX)(R9*1), RAW, KEY

// LOAD32 and so on do the same for keys of up to 32 bytes with half of the register.
#define LOAD32(atEdge, loaded) \
	TESTL        $0xfe0, P;          \
	JZ           atEdge;             \
	VMOVDQU64    -32(P)(N*1), RAWY;    \
loaded:                                  \
	MOVQ         ·gfni(SB), DX;      \
	VPSHUFB      (matrices_ends+64+32)(DX)(N8*8), RAWY, KEYY

#define EDGE32(atEdge, loaded) \
atEdge:                                  \
	LEAQ         -1(N), R8;          \
	MOVL         $1<<31, DX;         \
	SARXL        R8, DX, DX;         \
	KMOVD        DX, K1;             \
	VMOVDQU64    (P), RAWY;            \
	VPEXPANDB.Z  RAWY, K1, RAWY;           \
	JMP          loaded

#define FIND32(tagged) \
	VPCMPEQB        open<>(SB), KEYY, K2; \
	KMOVD           K2, AX;          \
	TESTL           AX, AX;          \
	JNZ             tagged

#define TAG32(whole) \
	VPCMPEQB     open<>(SB), RAWY, K2;  \
	VPCMPEQB     close<>(SB), RAWY, K3; \
	KMOVD        K2, R10;            \
	KMOVD        K3, R9;             \
	NEGL         N;                  \
	SHRXL        N, R10, R10;        \
	SHLXL        N, R10, R10;        \
	TZCNTL       R10, R8;            \
	BLSMSKL      R10, R10;           \
	ANDNL        R9, R10, R9;        \
	JZ           whole;              \
	TZCNTL       R9, R9;             \
	VPBROADCASTB R9, Y17;            \
	SUBL         R8, R9;             \
	DECL         R9;                 \
	JZ           whole;              \
	VPADDB       upward<>(SB), Y17, Y17; \
	VPERMB       RAWY, Y17, RAWY;     \
	SHLQ         $6, R9;             \
	VPSHUFB      (matrices_ends+32)(DX)(R9*1), RAWY, KEYY

// SUM64 and SUM32 add up the quadwords of a register to two, in T.
#define SUM64 \
	VEXTRACTI64X4 $1, Z16, Y17;      \
	VPXORQ        Y17, Y16, Y16;     \
	SUM32

#define SUM32 \
	VEXTRACTI64X2 $1, Y16, X17;      \
	VPXORQ        X17, X16, T

// FOLD64 makes T of the four blocks in Z16, reversed.
#define FOLD64 \
	VMOVDQU64     blocks<>(SB), Z18; \
	VPCLMULQDQ    $0x00, Z18, Z16, Z17; \
	VPCLMULQDQ    $0x11, Z18, Z16, Z16; \
	VPXORQ        Z17, Z16, Z16;     \
	SUM64

// FOLD32 makes T of the two blocks in KEYY.
#define FOLD32 \
	VPCLMULQDQ    $0x00, blocks<>+32(SB), Y16, Y17; \
	VPCLMULQDQ    $0x11, blocks<>+32(SB), Y16, Y16; \
	VPXORQ        Y17, Y16, Y16;     \
	SUM32

// REDUCEV leaves the checksum in the low 16 bits of T, and anything above them.
#define REDUCEV \
	VPCLMULQDQ $0x01, barrett<>(SB), T, A; \
	VPXOR      T, A, A;              \
	VPSRLQ     $48, T, T;            \
	VPCLMULQDQ $0x11, barrett<>(SB), A, A; \
	VPXOR      A, T, T

// REDUCEVS leaves it in the low 16 bits of the high quadword of T. In place of the
// second product it has shifts, which is for keys of up to 32 bytes on Zen 4: a product is
// four micro-operations there.
#define REDUCEVS \
	VPCLMULQDQ $0x01, barrett<>(SB), T, A; \
	VPXOR      T, A, A;              \
	VPSLLQ     $5, A, B;             \
	VPSLLQ     $12, A, X5;           \
	VPSLLDQ    $2, T, T;             \
	VPTERNLOGQ $0x96, B, X5, A;      \
	VPXOR      A, T, T

#define REV4  Z20 // starting<> in each block
#define FOLD4 Z21 // foldBy4<> in each block
#define OPEN4 Z22 // '{' in every byte

// HEAD64 loads the first (N-1)&63 + 1 bytes of more than 64 into Z16, from
// inside of them, and steps over them. AX is N-1. Bytes that follow them come along, until
// VPEXPANDB with K1 leaves them out and takes the others to the register's end.
#define HEAD64 \
	VBROADCASTI32X4 starting<>(SB), REV4; \
	VBROADCASTI32X4 foldBy4<>(SB), FOLD4; \
	MOVQ        $1<<63, DX;          \
	SARXQ       AX, DX, DX;          \
	KMOVQ       DX, K1;              \
	MOVL        AX, DX;              \
	ANDL        $63, DX;             \
	INCL        DX;                  \
	VMOVDQU64   (P), Z16;            \
	ADDQ        DX, P;               \
	SUBQ        DX, N

// NEXT64 folds the four blocks in Z16, reversed, over the next four, in Z18,
// and adds those.
#define NEXT64 \
	VPSHUFB    REV4, Z18, Z18;       \
	VPCLMULQDQ $0x00, FOLD4, Z16, Z17; \
	VPCLMULQDQ $0x11, FOLD4, Z16, Z16; \
	VPTERNLOGQ $0x96, Z17, Z18, Z16; \
	ADDQ       $64, P;               \
	SUBQ       $64, N

// END64 and END32 end the work on the key in KEY.
#define END64 \
	FOLD64;                          \
	REDUCEV;                         \
	VMOVQ T, ret+16(FP);             \
	RET

#define END32 \
	FOLD32;                          \
	REDUCEVS;                        \
	VMOVHPS T, ret+16(FP);           \
	RET

// func of(key string) uint64
//
// The low 16 bits are the checksum of the hashed part of key, for a key of any
// length; the others may be anything. Go takes over for keys of more than 4096
// bytes. Kernels of AVX-512 hash keys of up to 64 bytes here, avx512-256 those of up to 32
// in half of a register. What is left goes where choice.longer says. It starts at a cache
// line: with its first jumps in two lines, clmul took a fifth longer now and then (Zen 4).
//
// Requires: nothing if choice.upTo64 is 0; else what of64 does.
TEXT ·of(SB), NOSPLIT, $0-24
	PCALIGN $64
	MOVQ key_base+0(FP), P
	MOVQ key_len+8(FP), N
	LEAQ -8(N*8), N8
	CMPQ N8, ·choice+choices_upTo32(SB)
	JCS  upTo32
	CMPQ N8, ·choice+choices_upTo64(SB)
	JCC  longer
	LOAD64(edge64, loaded64)
	FIND64(tagged64)

whole64:
	END64

upTo32:
	LOAD32(edge32, loaded32)
	FIND32(tagged32)

whole32:
	END32

longer:
	MOVQ ·choice+choices_longer(SB), DX
	JMP  DX

	EDGE64(edge64, loaded64)

tagged64:
	TAG64(whole64)
	END64

	EDGE32(edge32, loaded32)

tagged32:
	TAG32(whole32)
	END32

// The rest of of, by kernel: P, N and N8 = 8·(N-1) are as of leaves them. Each is
// what choice.longer can be.

// of64 takes keys of more than 64 bytes, four blocks after four, and the empty one.
//
// Requires: PCLMULQDQ, SSSE3, AVX512F, BW, VL, DQ, VBMI, VBMI2, VPCLMULQDQ, BMI1, BMI2.
TEXT ·of64(SB), NOSPLIT, $0-24
	LEAQ  -1(N), AX
	CMPQ  AX, $4095
	JHI   long
	HEAD64
	VBROADCASTI32X4 open<>(SB), OPEN4
	VPCMPEQB    OPEN4, Z16, K3
	VPEXPANDB.Z Z16, K1, Z16
	VPSHUFB     REV4, Z16, Z16
	KMOVQ       K3, DX
	TESTQ       DX, DX
	JNZ         search // most tags begin early

next64:
	VMOVDQU64 (P), Z18
	VPCMPEQB  OPEN4, Z18, K4
	KORQ      K4, K3, K3
	NEXT64
	JNZ       next64
	KORTESTQ  K3, K3
	JNZ       search
	END64

long:
	JMP ·ofLong(SB)

search:
	JMP ·ofSearch64(SB)

// ofSearch64 takes keys of 65 to 4096 bytes with a '{'. It looks at blocks of 64 bytes, the
// last of which ends with the key.
//
// Requires: what of64 does. OPEN4 must be set.
TEXT ·ofSearch64(SB), NOSPLIT, $0-24
	// R8 is where the search is, R9 where the last block starts.
	MOVQ key_base+0(FP), P
	MOVQ key_len+8(FP), R9
	SUBQ $64, R9
	XORL R8, R8

open:
	VPCMPEQB (P)(R8*1), OPEN4, K2
	KMOVQ    K2, AX
	TESTQ    AX, AX
	JNZ      opened
	ADDQ     $64, R8
	CMPQ     R8, R9
	CMOVQGT  R9, R8
	JMP      open

opened:
	TZCNTQ AX, AX
	LEAQ   1(R8)(AX*1), R8 // where the tag starts
	MOVQ   R8, R10         // and how far it was looked at
	VBROADCASTI32X4 close<>(SB), Z17

close:
	CMPQ     R10, key_len+8(FP)
	JGE      whole
	MOVQ     R10, R11
	CMPQ     R11, R9
	CMOVQGT  R9, R11
	VPCMPEQB (P)(R11*1), Z17, K2
	KMOVQ    K2, AX
	MOVQ     R10, CX
	SUBQ     R11, CX      // bytes of the block that were looked at before
	SHRXQ    CX, AX, AX
	TESTQ    AX, AX
	JNZ      closed
	LEAQ     64(R11), R10
	JMP      close

whole:
	MOVQ key_len+8(FP), N
	JMP  plain

closed:
	TZCNTQ AX, N
	ADDQ   R10, N
	SUBQ   R8, N          // the length of the tag
	JZ     whole
	ADDQ   R8, P
	LEAQ   -8(N*8), N8
	CMPQ   N8, $(8*63)
	JHI    plain
	LOAD64(edge64, loaded64)
	END64

	EDGE64(edge64, loaded64)

plain:
	LEAQ        -1(N), AX
	HEAD64
	VPEXPANDB.Z Z16, K1, Z16
	VPSHUFB     REV4, Z16, Z16

next:
	VMOVDQU64 (P), Z18
	NEXT64
	JNZ       next
	END64

// of16 takes all lengths, by blocks of 16 bytes.
//
// Requires: PCLMULQDQ, SSSE3, SSE4.1.
TEXT ·of16(SB), NOSPLIT, $0-24
	CMPQ N8, $(8*15)
	JHI  over16
	LOAD16(edge16, loaded16)
	MOVOU    open<>(SB), A
	PCMPEQB  T, A
	PMOVMSKB A, AX
	TESTL    AX, AX
	JNZ      tagged16

fold16:
	FOLD16

reduce16:
	REDUCE
	MOVQ B, ret+16(FP)
	RET

	EDGE16(edge16, loaded16)

tagged16:
	MOVQ key_len+8(FP), BX
	TAG16(fold16)
	LEAQ -8(N*8), N8
	LOAD16(edgeTag, loadedTag)
	JMP  fold16

	EDGE16(edgeTag, loadedTag)

over16:
	CMPQ    N8, $(8*31)
	JHI     over32
	MOVOU   open<>(SB), X5
	FIRST16(X2)
	LAST16
	FOLD16

	HEAD16(X2, 16)
	PLACE16(X2, blocks<>+32(SB))

found:
	PMOVMSKB TAG, AX
	TESTL    AX, AX
	JZ       reduce16

search:
	JMP ·ofSearch(SB)

over32:
	CMPQ    N8, $(8*63)
	JHI     blocks16
	MOVOU   open<>(SB), X5
	MOVOU   starting<>(SB), REV
	FIRST16(X2)
	LAST16
	FOLD16
	BLOCK16(-32(P)(N*1), X6)
	PLACE16(X6, blocks<>+32(SB))
	CMPQ    N8, $(8*47)
	JHI     over48
	HEAD16(X2, 32)
	PLACE16(X2, blocks<>+16(SB))
	JMP     found

over48:
	BLOCK16(-48(P)(N*1), X6)
	PLACE16(X6, blocks<>+16(SB))
	HEAD16(X2, 48)
	PLACE16(X2, blocks<>+0(SB))
	JMP     found

blocks16:
	LEAQ  -1(N), AX
	// Products do not wait for each other, as the steps of the loop below do. There are
	// places for 320 bytes.
	CMPQ  AX, $319
	JHI   over320
	MOVOU open<>(SB), X5
	MOVOU starting<>(SB), REV
	FIRST16(X2)
	LAST16
	FOLD16
	MIDDLE16(X2, X6, middle)
	JMP   found

over320:
	// A key of up to 4096 bytes, one block after the other.
	CMPQ  AX, $4095
	JHI   long
	ANDL  $15, AX
	INCL  AX
	MOVOU open<>(SB), X5
	MOVOU starting<>(SB), REV
	MOVOU foldBy1<>(SB), X6
	MOVOU (P), TAG
	PCMPEQB X5, TAG
	MOVOU (P), T
	HEAD

next:
	MOVOU   (P)(N*1), X2
	MOVO    X2, X7
	PSHUFB  REV, X2
	PCMPEQB X5, X7
	POR     X7, TAG
	NEXT
	JNZ     next
	SWAP
	PMOVMSKB TAG, AX
	TESTL   AX, AX
	JZ      fold16
	JMP     search

long:
	JMP ·ofLong(SB)

// ofSearch takes keys of 17 to 4096 bytes with a '{'.
//
// Requires: PCLMULQDQ, SSSE3, SSE4.1, and what sum does. X5 must have a '{' in each byte.
TEXT ·ofSearch(SB), NOSPLIT, $0-24
	// R8 is where in the key the search is: it goes by blocks of
	// 16 bytes, the last of which ends with the key.
	MOVQ key_base+0(FP), P
	MOVQ key_len+8(FP), N
	LEAQ -16(N), R9
	XORL R8, R8

open:
	MOVOU    (P)(R8*1), A
	PCMPEQB  X5, A
	PMOVMSKB A, AX
	TESTL    AX, AX
	JNZ      opened
	ADDQ     $16, R8
	CMPQ     R8, R9
	CMOVQGT  R9, R8
	JMP      open

opened:
	BSFL  AX, AX
	LEAQ  1(R8)(AX*1), R8 // where the tag starts
	MOVQ  R8, R10         // and how far it was looked at
	MOVOU close<>(SB), X5

close:
	MOVQ     R10, R11
	CMPQ     R11, R9
	CMOVQGT  R9, R11
	MOVOU    (P)(R11*1), A
	PCMPEQB  X5, A
	PMOVMSKB A, AX
	MOVQ     R10, CX
	SUBQ     R11, CX      // bytes of the block that were looked at before
	SHRL     CX, AX
	TESTL    AX, AX
	JNZ      closed
	LEAQ     16(R11), R10
	CMPQ     R10, key_len+8(FP)
	JLT      close
	JMP      ·sum(SB)

closed:
	BSFL AX, AX
	ADDQ R10, AX
	SUBQ R8, AX           // the length of the tag
	JZ   whole
	ADDQ R8, P
	MOVQ P, key_base+0(FP)
	MOVQ AX, key_len+8(FP)

whole:
	JMP  ·sum(SB)

// func sum(s string) uint64
//
// The low 16 bits are the checksum of s, without the tag rule, for s of 0 to 4096
// bytes; the others may be anything.
//
// Requires: PCLMULQDQ, SSSE3, SSE4.1; AVX512F, BW, VL, DQ, VBMI2, VPCLMULQDQ, BMI2
// for avx512. It must not be called in tier generic.
TEXT ·sum(SB), NOSPLIT, $0-24
	MOVQ s_base+0(FP), P
	MOVQ s_len+8(FP), N
	LEAQ -8(N*8), N8
	CMPQ N8, $(8*15)
	JHI  over16
	LOAD16(edge16, loaded16)

fold16:
	FOLD16
	REDUCE
	MOVQ B, ret+16(FP)
	RET

	EDGE16(edge16, loaded16)

over16:
	CMPB ·tier(SB), $3
	JNE  blocks16
	CMPQ N8, $(8*63)
	JHI  blocks16
	LOAD64(edge64, loaded64)
	END64

	EDGE64(edge64, loaded64)

blocks16:
	TESTQ N, N
	JZ    empty
	LEAQ  -1(N), AX
	ANDL  $15, AX
	INCL  AX
	MOVOU starting<>(SB), REV
	MOVOU foldBy1<>(SB), X6
	MOVOU (P), T
	HEAD

next:
	MOVOU  (P)(N*1), X2
	PSHUFB REV, X2
	NEXT
	JNZ    next
	SWAP
	JMP    fold16

empty:
	MOVQ $0, ret+16(FP)
	RET

// func useOf(kernel uint8)
//
// Makes choice.longer one of the kernels above, by the constants of tier_amd64.go.
TEXT ·useOf(SB), NOSPLIT, $0-1
	MOVBLZX kernel+0(FP), CX
	LEAQ    ·ofPlain(SB), AX
	LEAQ    ·of16(SB), DX
	CMPL    CX, $const_longerOf16
	CMOVQEQ DX, AX
	LEAQ    ·of64(SB), DX
	CMPL    CX, $const_longerOf64
	CMOVQEQ DX, AX
	MOVQ    AX, ·choice+choices_longer(SB)
	RET

// ofPlain is the kernel of tier generic.
TEXT ·ofPlain(SB), NOSPLIT, $0-24
	JMP ·ofGeneric(SB)

#define DST  DI // where the next slot goes
#define KEYS R12 // the next key
#define LEFT R13 // keys still to do

// func slots1(dst *Slot, keys *string, n int) int
//
// The slots of n >= 1 keys to dst, one after the other: what of does, without a
// call for each. It stops in front of the first key that is empty, has more
// than 4096 bytes, or more than 16 and a '{', and returns the number of keys
// done.
//
// Requires: PCLMULQDQ, SSSE3, SSE4.1.
TEXT ·slots1(SB), NOSPLIT, $0-32
	MOVQ  dst+0(FP), DST
	MOVQ  keys+8(FP), KEYS
	MOVQ  n+16(FP), LEFT
	MOVOU open<>(SB), X5
	MOVOU starting<>(SB), REV
	MOVOU foldBy1<>(SB), X6

key:
	MOVQ 0(KEYS), P
	MOVQ 8(KEYS), N
	LEAQ -8(N*8), N8
	CMPQ N8, $(8*15)
	JHI  over16
	LOAD16(edge16, loaded16)
	MOVO     X5, TAG
	PCMPEQB  T, TAG
	PMOVMSKB TAG, AX
	TESTL    AX, AX
	JNZ      tagged16

fold16:
	FOLD16

reduce16:
	REDUCE
	MOVQ B, AX
	ANDL $0x3fff, AX
	MOVW AX, (DST)
	ADDQ $2, DST
	ADDQ $16, KEYS
	DECQ LEFT
	JNZ  key

done:
	MOVQ n+16(FP), AX
	SUBQ LEFT, AX
	MOVQ AX, ret+24(FP)
	RET

	EDGE16(edge16, loaded16)

tagged16:
	MOVQ 8(KEYS), BX
	TAG16(fold16)
	LEAQ -8(N*8), N8
	LOAD16(edgeTag, loadedTag)
	JMP  fold16

	EDGE16(edgeTag, loadedTag)

over16:
	CMPQ    N8, $(8*31)
	JHI     over32
	FIRST16(X2)
	LAST16
	FOLD16
	HEAD16(X2, 16)
	PLACE16(X2, blocks<>+32(SB))

found:
	PMOVMSKB TAG, AX
	TESTL    AX, AX
	JZ       reduce16
	JMP      done

over32:
	CMPQ    N8, $(8*63)
	JHI     blocks16
	FIRST16(X2)
	LAST16
	FOLD16
	BLOCK16(-32(P)(N*1), X8)
	PLACE16(X8, blocks<>+32(SB))
	CMPQ    N8, $(8*47)
	JHI     over48
	HEAD16(X2, 32)
	PLACE16(X2, blocks<>+16(SB))
	JMP     found

over48:
	BLOCK16(-48(P)(N*1), X8)
	PLACE16(X8, blocks<>+16(SB))
	HEAD16(X2, 48)
	PLACE16(X2, blocks<>+0(SB))
	JMP     found

blocks16:
	LEAQ  -1(N), AX
	CMPQ    AX, $4095
	JHI     done
	MOVOU   (P), TAG
	PCMPEQB X5, TAG
	ANDL    $15, AX
	INCL    AX
	MOVOU (P), T
	HEAD

next:
	MOVOU   (P)(N*1), X2
	MOVO    X2, X7
	PSHUFB  REV, X2
	PCMPEQB X5, X7
	POR     X7, TAG
	NEXT
	JNZ     next
	SWAP
	PMOVMSKB TAG, AX
	TESTL   AX, AX
	JNZ     done
	JMP     fold16
