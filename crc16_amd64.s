//go:build gc && !purego

#include "textflag.h"

// One key at a time: the checksum of a key, or of its hash tag.
//
// A message M of n bytes is a polynomial over GF(2), its first bit the highest
// power; its checksum is M(x)·x^16 mod P with P = x^16 + x^12 + x^5 + 1. The
// checksum starts at 0, so leading zero bytes change nothing: a key is put
// right-aligned into blocks of 16 bytes, and all constants depend only on how
// far a block is from the end.
//
//  1. Load. PSHUFB reverses the bytes of a block, so that the last byte of the
//     key is the lowest of the register, and puts zeros in front of the first.
//     A load that would leave the key's page of 4 KiB is moved to the other
//     side of the key.
//  2. Hash tag. '{' is looked for in the loaded bytes. Only where there is one
//     does the key take the path that resolves the tag.
//  3. Fold. Each block is H·x^64 + L. With constants x^k mod P the products
//     of H and L are added up to one number T of less than 80 bits that is
//     congruent to M·x^16. The constants are shifted left by 48: the high
//     quadword of T is then floor(T/x^16), the low one has the rest on top.
//  4. Reduce (Barrett). q = floor(T.high·MU/x^64) is the quotient by P, where
//     MU = floor(x^80/P); its highest bit, x^64, is added by an XOR. The checksum
//     is the rest in T plus the low 16 bits of q·P.
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
#define POLY     0x1021000000000000 // (x^16 mod P) << 48

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
DATA barrett<>+8(SB)/8, $POLY
GLOBL barrett<>(SB), RODATA|NOPTR, $16

DATA foldBy1<>+0(SB)/8, $FOLDL
DATA foldBy1<>+8(SB)/8, $FOLDH
GLOBL foldBy1<>(SB), RODATA|NOPTR, $16

DATA foldBy4<>+0(SB)/8, $FOLD4L
DATA foldBy4<>+8(SB)/8, $FOLD4H
GLOBL foldBy4<>(SB), RODATA|NOPTR, $16

DATA open<>+0(SB)/8, $OPEN
DATA open<>+8(SB)/8, $OPEN
GLOBL open<>(SB), RODATA|NOPTR, $16

DATA close<>+0(SB)/8, $CLOSE
DATA close<>+8(SB)/8, $CLOSE
GLOBL close<>(SB), RODATA|NOPTR, $16

// PSHUFB controls. ending<>+16n reverses the last n bytes of a register and
// puts zeros above them, for n = 0..16. starting<>+(16-n) does so with the
// first n; starting<> itself reverses all 16.
DATA ending<>+0(SB)/8, $0x8080808080808080
DATA ending<>+8(SB)/8, $0x8080808080808080
DATA ending<>+16(SB)/8, $0x808080808080800f
DATA ending<>+24(SB)/8, $0x8080808080808080
DATA ending<>+32(SB)/8, $0x8080808080800e0f
DATA ending<>+40(SB)/8, $0x8080808080808080
DATA ending<>+48(SB)/8, $0x80808080800d0e0f
DATA ending<>+56(SB)/8, $0x8080808080808080
DATA ending<>+64(SB)/8, $0x808080800c0d0e0f
DATA ending<>+72(SB)/8, $0x8080808080808080
DATA ending<>+80(SB)/8, $0x8080800b0c0d0e0f
DATA ending<>+88(SB)/8, $0x8080808080808080
DATA ending<>+96(SB)/8, $0x80800a0b0c0d0e0f
DATA ending<>+104(SB)/8, $0x8080808080808080
DATA ending<>+112(SB)/8, $0x80090a0b0c0d0e0f
DATA ending<>+120(SB)/8, $0x8080808080808080
DATA ending<>+128(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+136(SB)/8, $0x8080808080808080
DATA ending<>+144(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+152(SB)/8, $0x8080808080808007
DATA ending<>+160(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+168(SB)/8, $0x8080808080800607
DATA ending<>+176(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+184(SB)/8, $0x8080808080050607
DATA ending<>+192(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+200(SB)/8, $0x8080808004050607
DATA ending<>+208(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+216(SB)/8, $0x8080800304050607
DATA ending<>+224(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+232(SB)/8, $0x8080020304050607
DATA ending<>+240(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+248(SB)/8, $0x8001020304050607
DATA ending<>+256(SB)/8, $0x08090a0b0c0d0e0f
DATA ending<>+264(SB)/8, $0x0001020304050607
GLOBL ending<>(SB), RODATA|NOPTR, $272

DATA starting<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA starting<>+8(SB)/8, $0x0001020304050607
DATA starting<>+16(SB)/8, $0x8080808080808080
DATA starting<>+24(SB)/8, $0x8080808080808080
GLOBL starting<>(SB), RODATA|NOPTR, $32

// Registers.
#define P   SI // the key, or what is left of it
#define N   CX // its length
#define T   X0 // its last block so far, then the number T of step 3
#define A   X1
#define TAG X4 // 0xff where a '{' was
#define REV X3 // starting<>: reverses 16 bytes

// LOAD16 loads the key of N = 1..16 bytes at P, reversed and right-aligned,
// into T. It uses N and DX. The load ends with the key if that stays in the
// page where the key starts; at EDGE16 it starts with the key.
#define LOAD16(atEdge, loaded) \
	TESTL  $0xff0, P;                \
	JZ     atEdge;                   \
	MOVOU  -16(P)(N*1), T;           \
	SHLQ   $4, N;                    \
	LEAQ   ending<>(SB), DX;         \
	PSHUFB (DX)(N*1), T;             \
loaded:

#define EDGE16(atEdge, loaded) \
atEdge:                                  \
	MOVOU  (P), T;                   \
	LEAQ   starting<>+16(SB), DX;    \
	SUBQ   N, DX;                    \
	MOVOU  (DX), A;                  \
	PSHUFB A, T;                     \
	JMP    loaded

// TAG16 sets P and N to the tag of the key of BX = 1..16 bytes at P that is in T
// and has a '{' where AX has a bit. If the key has no tag it goes to WHOLE, with
// T as it was. Bit i of a mask stands for byte BX-1-i: the first '{' is the
// highest bit, the first '}' behind it the highest below that.
#define TAG16(whole) \
	MOVOU    close<>(SB), A;         \
	PCMPEQB  T, A;                   \
	PMOVMSKB A, DX;                  \
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

// FOLD16 makes T = block·x^16 mod P, not reduced, of the last block in T.
#define FOLD16 \
	MOVO      T, A;                  \
	PCLMULQDQ $0x00, blocks<>+48(SB), T; \
	PCLMULQDQ $0x11, blocks<>+48(SB), A; \
	PXOR      A, T

// REDUCE leaves T mod P in AX.
#define REDUCE \
	MOVO      T, A;                  \
	PCLMULQDQ $0x01, barrett<>(SB), A; \
	PXOR      T, A;                  \
	PCLMULQDQ $0x11, barrett<>(SB), A; \
	PXOR      A, T;                  \
	PEXTRW    $3, T, AX

// HEAD makes T, the first 16 bytes of a key of more, its first AX = (N-1)&15 + 1
// bytes, reversed and right-aligned, and steps over them.
#define HEAD \
	LEAQ   starting<>+16(SB), DX;    \
	SUBQ   AX, DX;                   \
	MOVOU  (DX), A;                  \
	PSHUFB A, T;                     \
	ADDQ   AX, P;                    \
	SUBQ   AX, N

// NEXT folds T over the next block, in X2, and adds it.
#define NEXT \
	MOVO      T, A;                  \
	PCLMULQDQ $0x00, X6, T;          \
	PCLMULQDQ $0x11, X6, A;          \
	PXOR      X2, T;                 \
	PXOR      A, T;                  \
	ADDQ      $16, P;                \
	SUBQ      $16, N

// REDUCEV is REDUCE of the T in X16.
#define REDUCEV \
	VPCLMULQDQ $0x01, barrett<>(SB), X16, X17; \
	VPXORQ     X16, X17, X17;        \
	VPCLMULQDQ $0x11, barrett<>(SB), X17, X17; \
	VPXORQ     X17, X16, X16;        \
	VPEXTRW    $3, X16, AX

// LOAD64 loads a key of 1 to 64 bytes into Z16, so that it ends the register,
// with zeros in front of it. What is masked off is not read; but a load that
// touches a page which is not there costs over a hundred nanoseconds, masked or
// not, so EDGE64 takes the keys that start in the first 64 bytes of a page: it
// loads 64 bytes from there, and VPEXPANDB takes as many as the key has.
#define LOAD64(atEdge, loaded) \
	MOVQ         $1<<63, AX;         \
	LEAQ         -1(N), DX;          \
	SARXQ        DX, AX, AX;         \
	KMOVQ        AX, K1;             \
	TESTL        $0xfc0, P;          \
	JZ           atEdge;             \
	VMOVDQU8.Z   -64(P)(N*1), K1, Z16; \
loaded:

#define EDGE64(atEdge, loaded) \
atEdge:                                  \
	VMOVDQU64    (P), Z16;           \
	VPEXPANDB.Z  Z16, K1, Z16;       \
	JMP          loaded

// REVERSE64 reverses the four blocks in Z16. Registers from 16 up have no legacy
// half, so that no VZEROUPPER is due.
#define REVERSE64 \
	VBROADCASTI32X4 starting<>(SB), Z17; \
	VPSHUFB       Z17, Z16, Z16

// FOLD64 makes T, in X16, of the four blocks in Z16, reversed.
#define FOLD64 \
	VMOVDQU64     blocks<>(SB), Z18;  \
	VPCLMULQDQ    $0x00, Z18, Z16, Z17; \
	VPCLMULQDQ    $0x11, Z18, Z16, Z16; \
	VPXORQ        Z17, Z16, Z16;      \
	VEXTRACTI64X4 $1, Z16, Y17;       \
	VPXORQ        Y17, Y16, Y16;      \
	VEXTRACTI64X2 $1, Y16, X17;       \
	VPXORQ        X17, X16, X16

#define REV4  Z20 // starting<> in each block
#define FOLD4 Z21 // foldBy4<> in each block
#define OPEN4 Z22 // '{' in every byte

// HEAD64 loads the first (N-1)&63 + 1 bytes of more than 64 into Z16, from
// inside of them, and steps over them. Bytes that follow them come along, until
// VPEXPANDB with K1 leaves them out and takes the others to the register's end.
#define HEAD64 \
	VBROADCASTI32X4 starting<>(SB), REV4; \
	VBROADCASTI32X4 foldBy4<>(SB), FOLD4; \
	LEAQ        -1(N), DX;           \
	ANDQ        $63, DX;             \
	MOVQ        $1<<63, AX;          \
	SARXQ       DX, AX, AX;          \
	KMOVQ       AX, K1;              \
	INCQ        DX;                  \
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

// func of(key string) uint64
//
// The checksum of the hashed part of key, for a key of any length. The plain
// Go takes over for an empty key and for those of more than 4096 bytes, and in
// avx512 for those of more than 64 with a '{'.
//
// Requires: nothing for tier generic; PCLMULQDQ, SSSE3, SSE4.1 for clmul and
// avx2; AVX512F, BW, VL, DQ, VBMI2, VPCLMULQDQ, BMI1, BMI2 for avx512.
TEXT ·of(SB), NOSPLIT, $0-24
	MOVQ key_base+0(FP), P
	MOVQ key_len+8(FP), N
	CMPB ·tier(SB), $1
	JB   generic
	LEAQ -1(N), AX
	CMPQ AX, $15
	JHI  not16

	LOAD16(edge16, loaded16)
	MOVOU    open<>(SB), A
	PCMPEQB  T, A
	PMOVMSKB A, AX
	TESTL    AX, AX
	JNZ      tagged16

fold16:
	FOLD16

	REDUCE
	MOVQ AX, ret+16(FP)
	RET

	EDGE16(edge16, loaded16)

tagged16:
	MOVQ key_len+8(FP), BX
	TAG16(fold16)
	LOAD16(edgeTag, loadedTag)
	JMP  fold16

	EDGE16(edgeTag, loadedTag)

not16:
	CMPB ·tier(SB), $3
	JNE  blocks16
	CMPQ AX, $63
	JHI  blocks64
	LOAD64(edge64, loaded64)
	VBROADCASTI32X4 open<>(SB), Z17
	VPCMPEQB Z17, Z16, K2
	KORTESTQ K2, K2
	JNZ      tagged64
	REVERSE64
	FOLD64
	REDUCEV
	MOVQ     AX, ret+16(FP)
	RET

	EDGE64(edge64, loaded64)

tagged64:
	// Bit i of a mask stands for byte i of the register.
	VBROADCASTI32X4 close<>(SB), Z17
	VPCMPEQB   Z17, Z16, K3
	KMOVQ      K2, AX
	KMOVQ      K3, DX
	TZCNTQ     AX, R8 // the first '{'
	BLSMSKQ    AX, AX
	ANDNQ      DX, AX, DX
	TZCNTQ     DX, R9 // the first '}' behind it, or 64
	SUBQ       R8, R9
	DECQ       R9     // the length of the tag
	JZ         whole
	TESTQ      DX, DX
	JZ         whole
	ADDQ       N, P
	LEAQ       -63(P)(R8*1), P // behind the '{'
	MOVQ       P, key_base+0(FP)
	MOVQ       R9, key_len+8(FP)

whole:
	JMP ·sum(SB)

blocks64:
	// A key of more than 64 bytes, four blocks after four.
	CMPQ  AX, $4095
	JHI   generic
	HEAD64
	VBROADCASTI32X4 open<>(SB), OPEN4
	VPCMPEQB    OPEN4, Z16, K3
	VPEXPANDB.Z Z16, K1, Z16
	VPSHUFB     REV4, Z16, Z16

next64:
	VMOVDQU64 (P), Z18
	VPCMPEQB  OPEN4, Z18, K4
	KORQ      K4, K3, K3
	NEXT64
	JNZ       next64
	KORTESTQ  K3, K3
	JNZ       generic
	FOLD64
	REDUCEV
	MOVQ      AX, ret+16(FP)
	RET

blocks16:
	// A key of 17 to 4096 bytes, one block after the other.
	CMPQ  AX, $4095
	JHI   generic
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
	MOVOU   (P), X2
	MOVO    X2, X7
	PSHUFB  REV, X2
	PCMPEQB X5, X7
	POR     X7, TAG
	NEXT
	JNZ     next
	PMOVMSKB TAG, AX
	TESTL   AX, AX
	JZ      fold16

	// There is a '{'. R8 is where in the key the search is: it goes by blocks of
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
	JMP      whole

closed:
	BSFL AX, AX
	ADDQ R10, AX
	SUBQ R8, AX           // the length of the tag
	JZ   whole
	ADDQ R8, P
	MOVQ P, key_base+0(FP)
	MOVQ AX, key_len+8(FP)
	JMP  ·sum(SB)

generic:
	JMP ·ofGeneric(SB)

// func sum(s string) uint64
//
// The checksum of s, without the tag rule, for s of 0 to 64 bytes; of up to 4096
// bytes in tiers below avx512.
//
// Requires: PCLMULQDQ, SSSE3, SSE4.1; AVX512F, BW, VL, DQ, VBMI2, VPCLMULQDQ, BMI2
// for avx512. It must not be called in tier generic.
TEXT ·sum(SB), NOSPLIT, $0-24
	MOVQ s_base+0(FP), P
	MOVQ s_len+8(FP), N
	LEAQ -1(N), AX
	CMPQ AX, $15
	JHI  not16
	LOAD16(edge16, loaded16)

fold16:
	FOLD16
	REDUCE
	MOVQ AX, ret+16(FP)
	RET

	EDGE16(edge16, loaded16)

not16:
	CMPB ·tier(SB), $3
	JNE  blocks16
	CMPQ AX, $63
	JHI  empty
	LOAD64(edge64, loaded64)
	REVERSE64
	FOLD64
	REDUCEV
	MOVQ AX, ret+16(FP)
	RET

	EDGE64(edge64, loaded64)

blocks16:
	TESTQ N, N
	JZ    empty
	ANDL  $15, AX
	INCL  AX
	MOVOU starting<>(SB), REV
	MOVOU foldBy1<>(SB), X6
	MOVOU (P), T
	HEAD

next:
	MOVOU  (P), X2
	PSHUFB REV, X2
	NEXT
	JNZ    next
	JMP    fold16

empty:
	MOVQ $0, ret+16(FP)
	RET

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
	LEAQ -1(N), AX
	CMPQ AX, $15
	JHI  blocks16
	LOAD16(edge16, loaded16)
	MOVO     X5, TAG
	PCMPEQB  T, TAG
	PMOVMSKB TAG, AX
	TESTL    AX, AX
	JNZ      tagged16

fold16:
	FOLD16
	REDUCE
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
	LOAD16(edgeTag, loadedTag)
	JMP  fold16

	EDGE16(edgeTag, loadedTag)

blocks16:
	CMPQ    AX, $4095
	JHI     done
	MOVOU   (P), TAG
	PCMPEQB X5, TAG
	ANDL    $15, AX
	INCL    AX
	MOVOU (P), T
	HEAD

next:
	MOVOU   (P), X2
	MOVO    X2, X7
	PSHUFB  REV, X2
	PCMPEQB X5, X7
	POR     X7, TAG
	NEXT
	JNZ     next
	PMOVMSKB TAG, AX
	TESTL   AX, AX
	JNZ     done
	JMP     fold16
