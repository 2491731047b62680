//go:build gc && !purego

#include "textflag.h"

// Many keys at a time.
//
// A checksum is linear: that of a key is the XOR of what each of its bits adds,
// and a bit adds x^(8p+16+m) mod P, where m is its place in a byte and p the
// number of bytes behind it. So a byte at p is multiplied by a matrix of 16x8
// bits that depends on p alone. GF2P8AFFINEQB multiplies the eight bytes of a
// quadword by one 8x8 matrix. Eight keys side by side, byte p of each in one
// quadword, therefore take two instructions for eight places p at once: one
// for the low, one for the high byte of the checksum. There is no reduction,
// and the length of a key plays no part but in which bytes are zero: the code
// has no branch that depends on it.
//
//  1. Load eight keys and zero what is not theirs.
//  2. Look for '{'. If there is one, find for each of the eight what is hashed,
//     and load that instead.
//  3. Transpose, so that a quadword has the bytes at one place of all keys.
//  4. Multiply, and XOR all quadwords into two: the low and the high bytes of
//     the eight slots. The matrices leave out the two bits above a slot.
//
// The matrices are made in batch_amd64.go.

#define OPEN  0x7b7b7b7b7b7b7b7b // '{' in every byte
#define CLOSE 0x7d7d7d7d7d7d7d7d // '}' in every byte

// Added to pointers and lengths, to test that each key is of 1 to 16 bytes and
// 16 bytes can be read from its start without leaving its page: then no bit
// of SHORT16 is set in pointer^(pointer+15) and length-1.
DATA step<>+0(SB)/8, $15
DATA step<>+8(SB)/8, $-1
GLOBL step<>(SB), RODATA|NOPTR, $16

DATA pointers<>+0(SB)/8, $-1
DATA pointers<>+8(SB)/8, $0
GLOBL pointers<>(SB), RODATA|NOPTR, $16

DATA short16<>+0(SB)/8, $0x1000
DATA short16<>+8(SB)/8, $~15
GLOBL short16<>(SB), RODATA|NOPTR, $16

DATA short32<>+0(SB)/8, $0
DATA short32<>+8(SB)/8, $~31
GLOBL short32<>(SB), RODATA|NOPTR, $16

DATA short64<>+0(SB)/8, $0
DATA short64<>+8(SB)/8, $~63
GLOBL short64<>(SB), RODATA|NOPTR, $16

// zip<> takes byte i of the low and of the high quadword to bytes 2i, 2i+1.
DATA zip<>+0(SB)/8, $0x0b030a0209010800
DATA zip<>+8(SB)/8, $0x0f070e060d050c04
GLOBL zip<>(SB), RODATA|NOPTR, $16

// The same four bytes sixteen times, one dword for each place p from the end:
// of four strings in memory the low byte of each length.
DATA lengths<>+0(SB)/4, $0x38281808
GLOBL lengths<>(SB), RODATA|NOPTR, $4

DATA braces<>+0(SB)/8, $OPEN
DATA braces<>+8(SB)/8, $CLOSE
GLOBL braces<>(SB), RODATA|NOPTR, $16

// Registers, the same throughout.
#define DST  DI // where the next eight slots go
#define KEYS SI // behind the eight keys at hand: strings, slices, or ends
#define LOW  AX // the headers of the first four of them: KEYS, or strings in the frame
#define HIGH BX // those of the second four
#define SIZE  R14 // of a header
#define SIZE3 R15 // of three
#define MAT  DX // the matrices

// Where in the matrices the other tables are.
#define PLACES 1024
#define FIRSTS 1088
#define AT16   1152
#define AT32   1408
#define SLICES 1920 // where in two registers of slices the headers of strings are
#define PAIRS  2048 // the same of addresses and lengths
#define TOPS   2176 // [n] has the n highest bits set

#define STEP     Z16
#define POINTERS Z17
#define SHORT16  Z18
#define LENGTHS  Z19
#define PLACE    Z20 // p in each byte of its dword
#define FIRST    Z21 // 16k-1-p: where a key of length 0 would have byte p
#define OPENS    Z22
#define CLOSES   Z23
#define ZIP      X24
#define SHORT64  Z25
#define SHORT32  Z26
#define ENDS     Y27 // of packed keys, those of the eight before
#define LOW0     Z28 // the matrices of LOAD16's two registers
#define HIGH0    Z29
#define LOW1     Z30
#define HIGH1    Z31

// HEADERn(field) is a field of the header of key n: its address, 0, its length, 8.
#define HEADER0(field) field(LOW)
#define HEADER1(field) field(LOW)(SIZE*1)
#define HEADER2(field) field(LOW)(SIZE*2)
#define HEADER3(field) field(LOW)(SIZE3*1)
#define HEADER4(field) field(HIGH)
#define HEADER5(field) field(HIGH)(SIZE*1)
#define HEADER6(field) field(HIGH)(SIZE*2)
#define HEADER7(field) field(HIGH)(SIZE3*1)

// LOAD16 loads four keys of 1 to 16 bytes, whose headers are at base and in h,
// and makes z of them: dword p has the byte p from the end of each.
#define LOAD16(base, h, x, z, len, k) \
	MOVQ         (base), R8;           \
	MOVQ         (base)(SIZE*1), R9;   \
	MOVQ         (base)(SIZE*2), R10;  \
	MOVQ         (base)(SIZE3*1), R11; \
	VMOVDQU      (R8), x;              \
	VINSERTI32X4 $1, (R9), z, z;       \
	VINSERTI32X4 $2, (R10), z, z;      \
	VINSERTI32X4 $3, (R11), z, z;      \
	VPERMB       h, LENGTHS, len;      \
	VPCMPUB      $6, PLACE, len, k;    \
	VPADDB       FIRST, len, len;      \
	VPERMB.Z     z, len, k, z

// KEY takes a key by its header: its address and its length.
#define KEY(header) \
	MOVQ       header(0), R8;          \
	MOVQ       header(8), R9

// PLACE64 loads the key of R9 = 1 to 64 bytes at R8 so that it ends the
// register, zeros in front. What is masked off is not read; but a load that
// touches a page which is not there costs over a hundred nanoseconds, masked or
// not, so EDGE64 takes the keys that start in the first 64 bytes of a page: it
// loads 64 bytes from there, and VPEXPANDB takes as many as the key has.
#define PLACE64(z, atEdge, placed) \
	TESTL      $0xfc0, R8;             \
	JZ         atEdge;                 \
	KMOVQ      TOPS(MAT)(R9*8), K1;    \
	VMOVDQU8.Z -64(R8)(R9*1), K1, z;   \
placed:

#define EDGE64(z, atEdge, placed) \
atEdge:                                    \
	KMOVQ      TOPS(MAT)(R9*8), K1;    \
	VMOVDQU64  (R8), z;                \
	VPEXPANDB.Z z, K1, z;              \
	JMP        placed

// LOW32 loads a key of R9 = 1 to 32 bytes so that it ends the lower half z of a
// register, HIGH32 another so that it ends the upper.
#define LOW32(z, atEdge, placed) \
	TESTL      $0xfe0, R8;             \
	JZ         atEdge;                 \
	KMOVD      (TOPS+4)(MAT)(R9*8), K1; \
	VMOVDQU8.Z -32(R8)(R9*1), K1, z;   \
placed:

#define LOWEDGE32(z, atEdge, placed) \
atEdge:                                    \
	KMOVD      (TOPS+4)(MAT)(R9*8), K1; \
	VMOVDQU    (R8), z;                \
	VPEXPANDB.Z z, K1, z;              \
	JMP        placed

#define HIGH32(z, atEdge, placed) \
	TESTL      $0xfc0, R8;             \
	JZ         atEdge;                 \
	KMOVQ      TOPS(MAT)(R9*8), K1;    \
	VMOVDQU8   -64(R8)(R9*1), K1, z;   \
placed:

#define HIGHEDGE32(z, atEdge, placed) \
atEdge:                                    \
	KMOVQ      TOPS(MAT)(R9*8), K1;    \
	VMOVDQU64  (R8), Z8;               \
	VPEXPANDB  Z8, K1, z;              \
	JMP        placed

// BRACES sets R10 and R11 to where z has '{' and '}'.
#define BRACES(z) \
	VPCMPEQB   OPENS, z, K2;           \
	VPCMPEQB   CLOSES, z, K3;          \
	KMOVQ      K2, R10;                \
	KMOVQ      K3, R11

// TAG finds the tag of the key of R9 bytes at R8, that ends a register or half
// of one, size bytes, with '{' where open has a bit and '}' where close has. If
// it has one, R8 and R9 are set to the tag. R13 becomes the address behind the
// first '{', close the '}' behind that, and open the length of the tag if there
// is one of these.
#define TAG(size, open, close) \
	TZCNTQ     open, R13;              \
	BLSMSKQ    open, open;             \
	ANDNQ      close, open, close;     \
	TZCNTQ     close, open;            \
	SUBQ       R13, open;              \
	DECQ       open;                   \
	ADDQ       R9, R13;                \
	LEAQ       (1-size)(R8)(R13*1), R13; \
	TESTQ      close, close;           \
	CMOVQEQ    close, open;            \
	TESTQ      open, open;             \
	CMOVQNE    R13, R8;                \
	CMOVQNE    open, R9

#define LOAD64(header, z, atEdge, placed) \
	KEY(header);                       \
	PLACE64(z, atEdge, placed)

#define LOADTAG64(header, z, atEdge, placed) \
	KEY(header);                       \
	BRACES(z);                         \
	TAG(64, R10, R11);                 \
	PLACE64(z, atEdge, placed)

#define LOAD32(low, high, y, z, lowEdge, lowPlaced, highEdge, highPlaced) \
	KEY(low);                          \
	LOW32(y, lowEdge, lowPlaced);      \
	KEY(high);                         \
	HIGH32(z, highEdge, highPlaced)

#define LOADTAG32(low, high, y, z, lowEdge, lowPlaced, highEdge, highPlaced) \
	BRACES(z);                         \
	MOVL       R10, R12;               \
	MOVL       R11, CX;                \
	SHRQ       $32, R10;               \
	SHRQ       $32, R11;               \
	KEY(low);                          \
	TAG(32, R12, CX);                  \
	MOVQ       R10, R12;               \
	LOW32(y, lowEdge, lowPlaced);      \
	KEY(high);                         \
	TAG(32, R12, R11);                 \
	HIGH32(z, highEdge, highPlaced)

// FRAME puts the header of packed key n, which begins at R8, into the frame, and
// R8 to its end. R10 is where the packed keys are.
#define FRAME(n) \
	MOVL       (4*n)(KEYS), R9;        \
	MOVQ       R8, (16*n)(SP);         \
	ADDQ       R10, R9;                \
	MOVQ       R9, R11;                \
	SUBQ       R8, R9;                 \
	MOVQ       R9, (16*n+8)(SP);       \
	MOVQ       R11, R8

// PREFETCH asks for the keys whose headers are at KEYS+at and behind.
#define PREFETCH(at) \
	MOVQ       (at+0)(KEYS), R8;       \
	MOVQ       (at+16)(KEYS), R9;      \
	MOVQ       (at+32)(KEYS), R10;     \
	MOVQ       (at+48)(KEYS), R11;     \
	PREFETCHT0 (R8);                   \
	PREFETCHT0 (R9);                   \
	PREFETCHT0 (R10);                  \
	PREFETCHT0 (R11)

// MULTIPLY multiplies the places in z by the two matrices at MAT+at.
#define MULTIPLY(at, z, low, high) \
	VGF2P8AFFINEQB $0, (at+0)(MAT), z, low; \
	VGF2P8AFFINEQB $0, (at+64)(MAT), z, high

// STORE sums up the quadwords of Z8, the low bytes, and of Z9, the high bytes,
// and stores eight slots.
#define STORE \
	VPUNPCKLQDQ   Z9, Z8, Z10;  \
	VPUNPCKHQDQ   Z9, Z8, Z11;  \
	VPXORQ        Z11, Z10, Z10; \
	VEXTRACTI64X4 $1, Z10, Y11; \
	VPXORQ        Y11, Y10, Y10; \
	VEXTRACTI64X2 $1, Y10, X11; \
	VPXORQ        X11, X10, X10; \
	VPSHUFB       ZIP, X10, X10; \
	VMOVDQU       X10, (DST)

// func slots8(dst *Slot, keys unsafe.Pointer, n int, form uintptr, data *byte, start uint32, m *matrices) int
//
// The slots of n keys, a multiple of 8, to dst. form is 16 for strings at keys,
// 24 for slices, and 4 for ends of keys in data, the first of which begins at
// start. It stops in front of the first eight keys of which one is empty or has
// more than 64 bytes, and returns the number of keys done.
//
// Requires: AVX512F, BW, VL, DQ, VBMI, VBMI2, GFNI, BMI1.
TEXT ·slots8(SB), NOSPLIT, $128-64
	MOVQ dst+0(FP), DST
	MOVQ keys+8(FP), KEYS
	MOVQ $0, ret+56(FP)
	MOVQ m+48(FP), MAT
	MOVL start+40(FP), R8
	VPBROADCASTD R8, ENDS
	VBROADCASTI32X4 step<>(SB), STEP
	VBROADCASTI32X4 pointers<>(SB), POINTERS
	VBROADCASTI32X4 short16<>(SB), SHORT16
	VBROADCASTI32X4 short64<>(SB), SHORT64
	VBROADCASTI32X4 short32<>(SB), SHORT32
	VPBROADCASTD lengths<>(SB), LENGTHS
	VMOVDQU64 PLACES(MAT), PLACE
	VMOVDQU64 FIRSTS(MAT), FIRST
	VPBROADCASTQ braces<>+0(SB), OPENS
	VPBROADCASTQ braces<>+8(SB), CLOSES
	VMOVDQU64 zip<>(SB), ZIP
	VMOVDQU64 (AT16+0)(MAT), LOW0
	VMOVDQU64 (AT16+64)(MAT), HIGH0
	VMOVDQU64 (AT16+128)(MAT), LOW1
	VMOVDQU64 (AT16+192)(MAT), HIGH1

	MOVQ form+24(FP), SIZE
	LEAQ (SIZE)(SIZE*2), SIZE3
	CMPQ SIZE, $4
	JNE  group
	MOVL $16, SIZE // of the headers made of them
	MOVL $48, SIZE3

group:
	CMPQ       form+24(FP), $16
	JNE        convert
	VMOVDQU64  0(KEYS), Z0
	VMOVDQU64  64(KEYS), Z1
	MOVQ       KEYS, LOW
	LEAQ       64(KEYS), HIGH
	ADDQ       $128, KEYS

headers:
	VPADDQ     STEP, Z0, Z2
	VPADDQ     STEP, Z1, Z3
	VPTERNLOGQ $0x78, POINTERS, Z0, Z2 // Z2 ^ Z0&POINTERS
	VPTERNLOGQ $0x78, POINTERS, Z1, Z3
	VPORQ      Z2, Z3, Z2
	VPTESTMQ   SHORT16, Z2, K1
	KORTESTB   K1, K1
	JNZ        longer

	LOAD16(LOW, Z0, X4, Z4, Z6, K1)
	LOAD16(HIGH, Z1, X5, Z5, Z7, K2)
	VPCMPEQB   OPENS, Z4, K3
	VPCMPEQB   OPENS, Z5, K4
	KORTESTQ   K3, K4
	JNZ        load32
	VPUNPCKLDQ Z5, Z4, Z6
	VPUNPCKHDQ Z5, Z4, Z7
	VGF2P8AFFINEQB $0, LOW0, Z6, Z8
	VGF2P8AFFINEQB $0, HIGH0, Z6, Z9
	VGF2P8AFFINEQB $0, LOW1, Z7, Z10
	VGF2P8AFFINEQB $0, HIGH1, Z7, Z11
	VPXORQ     Z10, Z8, Z8
	VPXORQ     Z11, Z9, Z9

store:
	STORE
	ADDQ $16, DST
	MOVQ ret+56(FP), R8
	ADDQ $8, R8
	MOVQ R8, ret+56(FP)
	CMPQ R8, n+16(FP)
	JNE  group

done:
	VZEROUPPER
	RET

convert:
	JB         packed
	VMOVDQU64  0(KEYS), Z0
	VMOVDQU64  64(KEYS), Z1
	VMOVDQU64  (SLICES+0)(MAT), Z2
	VMOVDQU64  (SLICES+64)(MAT), Z3
	VPERMT2Q   Z1, Z2, Z0
	VPERMT2Q   128(KEYS), Z3, Z1
	MOVQ       KEYS, LOW
	LEAQ       96(KEYS), HIGH
	ADDQ       $192, KEYS
	JMP        headers

packed:
	VMOVDQU    (KEYS), Y2
	VALIGND    $7, ENDS, Y2, Y0 // the end before each, where the key begins
	VMOVD      X0, R8
	VMOVDQA64  Y2, ENDS
	VPSUBD     Y0, Y2, Y2
	VPMOVZXDQ  Y2, Z2
	VPMOVZXDQ  Y0, Z0
	VPADDQ.BCST data+32(FP), Z0, Z0
	VMOVDQA64  Z0, Z1
	VMOVDQU64  (PAIRS+0)(MAT), Z3
	VMOVDQU64  (PAIRS+64)(MAT), Z4
	VPERMT2Q   Z2, Z3, Z0
	VPERMT2Q   Z2, Z4, Z1
	// The same by words in the frame: they could not be loaded from a store of a
	// register before that is done.
	MOVQ       data+32(FP), R10
	LEAQ       0(SP), LOW
	LEAQ       64(SP), HIGH
	ADDQ       R10, R8
	FRAME(0)
	FRAME(1)
	FRAME(2)
	FRAME(3)
	FRAME(4)
	FRAME(5)
	FRAME(6)
	FRAME(7)
	ADDQ       $32, KEYS
	JMP        headers

longer:
	CMPQ form+24(FP), $16
	JNE  near
	MOVQ n+16(FP), R8
	SUBQ ret+56(FP), R8
	CMPQ R8, $40
	JL   near
	PREFETCH(384)
	PREFETCH(448)

near:
	VPTESTMQ SHORT32, Z2, K1
	KORTESTB K1, K1
	JZ       load32
	VPTESTMQ SHORT64, Z2, K1
	KORTESTB K1, K1
	JNZ      done

load64:
	LOAD64(HEADER0, Z0, edge0, placed0)
	LOAD64(HEADER1, Z1, edge1, placed1)
	LOAD64(HEADER2, Z2, edge2, placed2)
	LOAD64(HEADER3, Z3, edge3, placed3)
	LOAD64(HEADER4, Z4, edge4, placed4)
	LOAD64(HEADER5, Z5, edge5, placed5)
	LOAD64(HEADER6, Z6, edge6, placed6)
	LOAD64(HEADER7, Z7, edge7, placed7)
	// A byte is '{' where its XOR with '{' is 0.
	VPXORQ   OPENS, Z0, Z8
	VPXORQ   OPENS, Z1, Z9
	VPXORQ   OPENS, Z2, Z10
	VPXORQ   OPENS, Z3, Z11
	VPXORQ   OPENS, Z4, Z12
	VPXORQ   OPENS, Z5, Z13
	VPXORQ   OPENS, Z6, Z14
	VPXORQ   OPENS, Z7, Z15
	VPMINUB  Z8, Z9, Z8
	VPMINUB  Z10, Z11, Z10
	VPMINUB  Z12, Z13, Z12
	VPMINUB  Z14, Z15, Z14
	VPMINUB  Z8, Z10, Z8
	VPMINUB  Z12, Z14, Z12
	VPMINUB  Z8, Z12, Z8
	VPTESTNMB Z8, Z8, K1
	KORTESTQ K1, K1
	JNZ      tagged64

transpose64:
	// Bytes of two keys side by side, then of four, then of eight. What was byte
	// b of a lane is in the end in register b/2, quadword b%2 of the lane.
	VPUNPCKLBW Z1, Z0, Z8
	VPUNPCKHBW Z1, Z0, Z9
	VPUNPCKLBW Z3, Z2, Z10
	VPUNPCKHBW Z3, Z2, Z11
	VPUNPCKLBW Z5, Z4, Z12
	VPUNPCKHBW Z5, Z4, Z13
	VPUNPCKLBW Z7, Z6, Z14
	VPUNPCKHBW Z7, Z6, Z15
	VPUNPCKLWD Z10, Z8, Z0
	VPUNPCKHWD Z10, Z8, Z1
	VPUNPCKLWD Z11, Z9, Z2
	VPUNPCKHWD Z11, Z9, Z3
	VPUNPCKLWD Z14, Z12, Z4
	VPUNPCKHWD Z14, Z12, Z5
	VPUNPCKLWD Z15, Z13, Z6
	VPUNPCKHWD Z15, Z13, Z7
	VPUNPCKLDQ Z4, Z0, Z10
	VPUNPCKHDQ Z4, Z0, Z11
	VPUNPCKLDQ Z5, Z1, Z12
	VPUNPCKHDQ Z5, Z1, Z13
	VPUNPCKLDQ Z6, Z2, Z14
	VPUNPCKHDQ Z6, Z2, Z15
	VPUNPCKLDQ Z7, Z3, Z4
	VPUNPCKHDQ Z7, Z3, Z5
	MULTIPLY(0x000, Z10, Z8, Z9)
	MULTIPLY(0x080, Z11, Z0, Z1)
	MULTIPLY(0x100, Z12, Z2, Z3)
	VPTERNLOGQ $0x96, Z0, Z2, Z8
	VPTERNLOGQ $0x96, Z1, Z3, Z9
	MULTIPLY(0x180, Z13, Z0, Z1)
	MULTIPLY(0x200, Z14, Z2, Z3)
	VPTERNLOGQ $0x96, Z0, Z2, Z8
	VPTERNLOGQ $0x96, Z1, Z3, Z9
	MULTIPLY(0x280, Z15, Z0, Z1)
	MULTIPLY(0x300, Z4, Z2, Z3)
	VPTERNLOGQ $0x96, Z0, Z2, Z8
	VPTERNLOGQ $0x96, Z1, Z3, Z9
	MULTIPLY(0x380, Z5, Z0, Z1)
	VPXORQ     Z0, Z8, Z8
	VPXORQ     Z1, Z9, Z9
	JMP        store

tagged64:
	LOADTAG64(HEADER0, Z0, tagEdge0, tagPlaced0)
	LOADTAG64(HEADER1, Z1, tagEdge1, tagPlaced1)
	LOADTAG64(HEADER2, Z2, tagEdge2, tagPlaced2)
	LOADTAG64(HEADER3, Z3, tagEdge3, tagPlaced3)
	LOADTAG64(HEADER4, Z4, tagEdge4, tagPlaced4)
	LOADTAG64(HEADER5, Z5, tagEdge5, tagPlaced5)
	LOADTAG64(HEADER6, Z6, tagEdge6, tagPlaced6)
	LOADTAG64(HEADER7, Z7, tagEdge7, tagPlaced7)
	JMP transpose64

	EDGE64(Z0, edge0, placed0)
	EDGE64(Z1, edge1, placed1)
	EDGE64(Z2, edge2, placed2)
	EDGE64(Z3, edge3, placed3)
	EDGE64(Z4, edge4, placed4)
	EDGE64(Z5, edge5, placed5)
	EDGE64(Z6, edge6, placed6)
	EDGE64(Z7, edge7, placed7)
	EDGE64(Z0, tagEdge0, tagPlaced0)
	EDGE64(Z1, tagEdge1, tagPlaced1)
	EDGE64(Z2, tagEdge2, tagPlaced2)
	EDGE64(Z3, tagEdge3, tagPlaced3)
	EDGE64(Z4, tagEdge4, tagPlaced4)
	EDGE64(Z5, tagEdge5, tagPlaced5)
	EDGE64(Z6, tagEdge6, tagPlaced6)
	EDGE64(Z7, tagEdge7, tagPlaced7)

load32:
	// Keys 0 to 3 in the lower halves, 4 to 7 in the upper.
	LOAD32(HEADER0, HEADER4, Y0, Z0, low0, lowPlaced0, high0, highPlaced0)
	LOAD32(HEADER1, HEADER5, Y1, Z1, low1, lowPlaced1, high1, highPlaced1)
	LOAD32(HEADER2, HEADER6, Y2, Z2, low2, lowPlaced2, high2, highPlaced2)
	LOAD32(HEADER3, HEADER7, Y3, Z3, low3, lowPlaced3, high3, highPlaced3)
	VPXORQ   OPENS, Z0, Z8
	VPXORQ   OPENS, Z1, Z9
	VPXORQ   OPENS, Z2, Z10
	VPXORQ   OPENS, Z3, Z11
	VPMINUB  Z8, Z9, Z8
	VPMINUB  Z10, Z11, Z10
	VPMINUB  Z8, Z10, Z8
	VPTESTNMB Z8, Z8, K1
	KORTESTQ K1, K1
	JNZ      tagged32

transpose32:
	// Bytes of two keys side by side, then of four; then those of the lower halves
	// beside those of the upper.
	VPUNPCKLBW Z1, Z0, Z8
	VPUNPCKHBW Z1, Z0, Z9
	VPUNPCKLBW Z3, Z2, Z10
	VPUNPCKHBW Z3, Z2, Z11
	VPUNPCKLWD Z10, Z8, Z0
	VPUNPCKHWD Z10, Z8, Z1
	VPUNPCKLWD Z11, Z9, Z2
	VPUNPCKHWD Z11, Z9, Z3
	VSHUFI64X2 $0x44, Z1, Z0, Z4
	VSHUFI64X2 $0xee, Z1, Z0, Z5
	VSHUFI64X2 $0x44, Z3, Z2, Z6
	VSHUFI64X2 $0xee, Z3, Z2, Z7
	VPUNPCKLDQ Z5, Z4, Z0
	VPUNPCKHDQ Z5, Z4, Z1
	VPUNPCKLDQ Z7, Z6, Z2
	VPUNPCKHDQ Z7, Z6, Z3
	MULTIPLY((AT32+0x000), Z0, Z8, Z9)
	MULTIPLY((AT32+0x080), Z1, Z10, Z11)
	MULTIPLY((AT32+0x100), Z2, Z12, Z13)
	VPTERNLOGQ $0x96, Z10, Z12, Z8
	VPTERNLOGQ $0x96, Z11, Z13, Z9
	MULTIPLY((AT32+0x180), Z3, Z10, Z11)
	VPXORQ     Z10, Z8, Z8
	VPXORQ     Z11, Z9, Z9
	JMP        store

tagged32:
	LOADTAG32(HEADER0, HEADER4, Y0, Z0, tagLow0, tagLowPlaced0, tagHigh0, tagHighPlaced0)
	LOADTAG32(HEADER1, HEADER5, Y1, Z1, tagLow1, tagLowPlaced1, tagHigh1, tagHighPlaced1)
	LOADTAG32(HEADER2, HEADER6, Y2, Z2, tagLow2, tagLowPlaced2, tagHigh2, tagHighPlaced2)
	LOADTAG32(HEADER3, HEADER7, Y3, Z3, tagLow3, tagLowPlaced3, tagHigh3, tagHighPlaced3)
	JMP transpose32

	LOWEDGE32(Y0, low0, lowPlaced0)
	HIGHEDGE32(Z0, high0, highPlaced0)
	LOWEDGE32(Y1, low1, lowPlaced1)
	HIGHEDGE32(Z1, high1, highPlaced1)
	LOWEDGE32(Y2, low2, lowPlaced2)
	HIGHEDGE32(Z2, high2, highPlaced2)
	LOWEDGE32(Y3, low3, lowPlaced3)
	HIGHEDGE32(Z3, high3, highPlaced3)
	LOWEDGE32(Y0, tagLow0, tagLowPlaced0)
	HIGHEDGE32(Z0, tagHigh0, tagHighPlaced0)
	LOWEDGE32(Y1, tagLow1, tagLowPlaced1)
	HIGHEDGE32(Z1, tagHigh1, tagHighPlaced1)
	LOWEDGE32(Y2, tagLow2, tagLowPlaced2)
	HIGHEDGE32(Z2, tagHigh2, tagHighPlaced2)
	LOWEDGE32(Y3, tagLow3, tagLowPlaced3)
	HIGHEDGE32(Z3, tagHigh3, tagHighPlaced3)
