//go:build gc && !purego

#include "go_asm.h"
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
//  1. Lay out the headers of eight keys: address and length side by side, as
//     strings have them in memory.
//  2. Load the keys, as their longest demands: the last 16, 32 or 64 bytes of
//     each. Eight of which one has more, or none, are done one by one, as
//     crc16_amd64.s says, without a call for each.
//  3. Look for '{': that no byte is one is what compares under the mask of the one before
//     leave. If there is one, find for each of the eight what is hashed.
//  4. Transpose, so that a quadword has the bytes at one place of all keys, and
//     zero what is not theirs.
//  5. Multiply, and XOR all quadwords into two: the low and the high bytes of
//     the eight slots. The matrices leave out the two bits above a slot.
//
// The matrices and the other tables at MAT are made in batch_amd64.go.

#define OPEN  0x7b7b7b7b7b7b7b7b // '{' in every byte
#define CLOSE 0x7d7d7d7d7d7d7d7d // '}' in every byte

// Of keys one by one.
#define BLOCK0L 0x1021000000000000 // (x^16 mod P) << 48
#define BLOCK0H 0xeb23000000000000 // (x^80 mod P) << 48
#define BLOCK1L 0x10e2000000000000 // (x^144 mod P) << 48
#define BLOCK1H 0x45b4000000000000 // (x^208 mod P) << 48
#define BLOCK2L 0x8ddc000000000000 // (x^272 mod P) << 48
#define BLOCK2H 0xb8e0000000000000 // (x^336 mod P) << 48
#define BLOCK3L 0xbd64000000000000 // (x^400 mod P) << 48
#define BLOCK3H 0x9fe5000000000000 // (x^464 mod P) << 48
#define FOLD4L  0x00000000000013fc // x^512 mod P
#define FOLD4H  0x0000000000008832 // x^576 mod P
#define MU      0x11303471a041b343 // floor(x^80 / P) mod x^64
#define REST    0x0000000000001021 // x^16 mod P

DATA blocks<>+0(SB)/8, $BLOCK3L
DATA blocks<>+8(SB)/8, $BLOCK3H
DATA blocks<>+16(SB)/8, $BLOCK2L
DATA blocks<>+24(SB)/8, $BLOCK2H
DATA blocks<>+32(SB)/8, $BLOCK1L
DATA blocks<>+40(SB)/8, $BLOCK1H
DATA blocks<>+48(SB)/8, $BLOCK0L
DATA blocks<>+56(SB)/8, $BLOCK0H
GLOBL blocks<>(SB), RODATA|NOPTR, $64

// From four blocks to the next four.
DATA next64<>+0(SB)/8, $FOLD4L
DATA next64<>+8(SB)/8, $FOLD4H
GLOBL next64<>(SB), RODATA|NOPTR, $16

DATA barrett<>+0(SB)/8, $MU
DATA barrett<>+8(SB)/8, $REST
GLOBL barrett<>(SB), RODATA|NOPTR, $16

// reverse<> reverses the bytes of a block.
DATA reverse<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse<>+8(SB)/8, $0x0001020304050607
GLOBL reverse<>(SB), RODATA|NOPTR, $16

// zip<> takes byte i of the low and of the high quadword to bytes 2i, 2i+1.
DATA zip<>+0(SB)/8, $0x0b030a0209010800
DATA zip<>+8(SB)/8, $0x0f070e060d050c04
GLOBL zip<>(SB), RODATA|NOPTR, $16

// Of four headers in a register, the low byte of each length.
DATA lengths<>+0(SB)/4, $0x38281808
GLOBL lengths<>(SB), RODATA|NOPTR, $4

DATA braces<>+0(SB)/8, $OPEN
DATA braces<>+8(SB)/8, $CLOSE
GLOBL braces<>(SB), RODATA|NOPTR, $16

DATA numbers<>+0(SB)/4, $16
DATA numbers<>+4(SB)/4, $31
DATA numbers<>+8(SB)/8, $4096
GLOBL numbers<>(SB), RODATA|NOPTR, $16

// Registers, the same throughout.
#define DST      DI  // where the next eight slots go
#define STOP     AX  // where dst ends
#define KEYS     SI  // behind the eight keys at hand: strings, slices, or ends
#define MAT      DX  // the matrices
#define LOW      BX  // the headers of the first four of the eight, in memory
#define HIGH     R14 // those of the second four
#define SIZE     R15 // of a header
#define SIZE3    R12 // of three

// Of keys one by one.
#define KEY1     R12 // the header of the key
#define HASHED1  CX  // 1 where R8 and R9 are of its tag already

#define STEP     Z16 // of SAMEPAGE
#define POINTERS Z17
#define PLACE    Z18 // of TRANSPOSE4: p in each byte of dword p
#define FIRST    Z19 // where a key of length 0 would have byte p from the end
#define PLACES0  Z20 // of TRANSPOSE8: the same of quadwords
#define PLACES1  Z21
#define FIRST0   Z22
#define FIRST1   Z23
#define OPENS    Z24
#define CLOSES   Z25
#define ZIP      X26
#define LENGTHS  Z27
#define LOW0     Z28 // the matrices of places 0 to 7
#define HIGH0    Z29
#define LOW1     Z30 // and of 8 to 15
#define HIGH1    Z31

// The frame.
#define LAID     0   // headers that are not in memory; 64 bytes more, to align them
#define ENDS     192 // of packed keys, those of the eight before
#define BUDGET   224 // how many bytes of keys of more than 64 may still follow
#define AFTER    232 // where the slots of the eight end

// OUTSIDEOF sets no bit of OUTSIDE in Z2 if each of the eight headers in Z0 and Z1
// is of 1 to 16 bytes, and 16 bytes from its start are in one page of 4 KiB:
// with STEP, 15 for addresses and -1 for lengths, added, bit 12 of the addresses
// stays, and no bit above the lowest four is set in the lengths.
#define OUTSIDEOF \
	VPADDQ     STEP, Z0, Z2;           \
	VPADDQ     STEP, Z1, Z3;           \
	VPTERNLOGQ $0x78, POINTERS, Z0, Z2; \
	VPTERNLOGQ $0x78, POINTERS, Z1, Z3; \
	VPORQ      Z2, Z3, Z2

// HEADERn(field) is a field of the header of key n: its address, 0, its length, 8.
#define HEADER0(field) field(LOW)
#define HEADER1(field) field(LOW)(SIZE*1)
#define HEADER2(field) field(LOW)(SIZE*2)
#define HEADER3(field) field(LOW)(SIZE3*1)
#define HEADER4(field) field(HIGH)
#define HEADER5(field) field(HIGH)(SIZE*1)
#define HEADER6(field) field(HIGH)(SIZE*2)
#define HEADER7(field) field(HIGH)(SIZE3*1)

// STARTS sets R8 to R11 to where the four keys with headers at base start.
#define STARTS(base) \
	MOVQ         0(base), R8;          \
	MOVQ         0(base)(SIZE*1), R9;  \
	MOVQ         0(base)(SIZE*2), R10; \
	MOVQ         0(base)(SIZE3*1), R11

// BLOCKS loads the 16 bytes at R8, R9, R10 and R11 into z.
#define BLOCKS(x, z) \
	VMOVDQU      (R8), x;              \
	VINSERTI32X4 $1, (R9), z, z;       \
	VINSERTI32X4 $2, (R10), z, z;      \
	VINSERTI32X4 $3, (R11), z, z

// FIRSTLAST sets R8 to where a key starts and R9 to how far behind that its last
// 16 bytes are; a key that has no more starts there. R13 is 0.
#define FIRSTLAST(header) \
	MOVQ         header(0), R8;        \
	MOVQ         header(8), R9;        \
	SUBQ         $16, R9;              \
	CMOVQCS      R13, R9

// BLOCKS2 loads the first and the last 16 bytes of four keys, by halves of the registers:
// what takes a block to the upper half works on 512 bits. X10 and X11 are lost.
#define BLOCKS2(h0, h1, h2, h3, xf, yf, zf, xl, yl, zl) \
	FIRSTLAST(h0);                     \
	VMOVDQU      (R8), xf;             \
	VMOVDQU      (R8)(R9*1), xl;       \
	FIRSTLAST(h1);                     \
	VINSERTI32X4 $1, (R8), yf, yf;     \
	VINSERTI32X4 $1, (R8)(R9*1), yl, yl; \
	FIRSTLAST(h2);                     \
	VMOVDQU      (R8), X10;            \
	VMOVDQU      (R8)(R9*1), X11;      \
	FIRSTLAST(h3);                     \
	VINSERTI32X4 $1, (R8), Y10, Y10;   \
	VINSERTI32X4 $1, (R8)(R9*1), Y11, Y11; \
	VINSERTI64X4 $1, Y10, zf, zf;      \
	VINSERTI64X4 $1, Y11, zl, zl

// TRANSPOSE4 makes z of keys that start its blocks, their headers in h: dword p
// has the byte p from the end of each, zeros where a key has no more.
#define TRANSPOSE4(h, z, length, k) \
	VPERMB     h, LENGTHS, length;     \
	VPCMPUB    $6, PLACE, length, k;   \
	VPADDB     FIRST, length, length;  \
	VPERMB.Z   z, length, k, z

// LENGTHS8 puts the low byte of the length of each key into each quadword of z.
#define LENGTHS8(z) \
	VMOVDQU64  matrices_lengths(MAT), z; \
	VPERMI2B   Z1, Z0, z

// TRANSPOSE8 makes p0 and p1 of blocks low and high: quadword p has the bytes at
// place p of eight keys, zeros where a key has no more. Before,
// INDEX8 has set p0 and p1 to where in the blocks these bytes are, and K1 and K2
// to which there are.
#define TRANSPOSE8(low, high, p0, p1) \
	VPERMI2B.Z high, low, K1, p0;      \
	VPERMI2B.Z high, low, K2, p1

// INDEX8 is for keys of length bytes in front of byte end of their blocks.
#define INDEX8(length, end, p0, p1) \
	VPCMPUB    $6, PLACES0, length, K1; \
	VPCMPUB    $6, PLACES1, length, K2; \
	WHERE8(end, p0, p1)

#define WHERE8(end, p0, p1) \
	VPADDB     FIRST0, end, p0;        \
	VPADDB     FIRST1, end, p1

// MULTIPLY multiplies the places in z by the two matrices at MAT+at.
#define MULTIPLY(at, z, low, high) \
	VGF2P8AFFINEQB $0, (at+0)(MAT), z, low; \
	VGF2P8AFFINEQB $0, (at+64)(MAT), z, high

// MULTIPLY16 makes Z8 and Z9 of the places 0 to 15 in Z8 and Z9.
#define MULTIPLY16 \
	VGF2P8AFFINEQB $0, LOW0, Z8, Z10;  \
	VGF2P8AFFINEQB $0, HIGH0, Z8, Z11; \
	VGF2P8AFFINEQB $0, LOW1, Z9, Z12;  \
	VGF2P8AFFINEQB $0, HIGH1, Z9, Z13; \
	VPXORQ     Z12, Z10, Z8;           \
	VPXORQ     Z13, Z11, Z9

// STORE sums up the quadwords of Z8, the low bytes, and of Z9, the high bytes,
// and stores eight slots.
#define STORE \
	VPUNPCKLQDQ   Z9, Z8, Z10;         \
	VPUNPCKHQDQ   Z9, Z8, Z11;         \
	VPXORQ        Z11, Z10, Z10;       \
	VEXTRACTI64X4 $1, Z10, Y11;        \
	VPXORQ        Y11, Y10, Y10;       \
	VEXTRACTI64X2 $1, Y10, X11;        \
	VPXORQ        X11, X10, X10;       \
	VPSHUFB       ZIP, X10, X10;       \
	VMOVDQU       X10, (DST)

// UNZIP sets Z13 to the lengths in the headers in Z0, Z1.
#define UNZIP \
	VMOVDQU64  matrices_unzip(MAT), Z13; \
	VPERMI2Q   Z1, Z0, Z13

// LAYOUT makes of addresses in Z12 and lengths in Z13 headers, LAID and in Z0, Z1.
#define LAYOUT \
	VMOVDQU64  (matrices_zip+0)(MAT), Z0; \
	VMOVDQU64  (matrices_zip+64)(MAT), Z1; \
	VPERMI2Q   Z13, Z12, Z0;           \
	VPERMI2Q   Z13, Z12, Z1;           \
	LAY

// Stores of half a register: some CPUs do not forward the upper half of a whole
// one to the loads that follow.
#define LAY \
	LEAQ       (LAID+63)(SP), LOW;     \
	ANDQ       $~63, LOW;              \
	VMOVDQU64  Y0, 0(LOW);             \
	VEXTRACTI64X4 $1, Z0, 32(LOW);     \
	VMOVDQU64  Y1, 64(LOW);            \
	VEXTRACTI64X4 $1, Z1, 96(LOW);     \
	LEAQ       64(LOW), HIGH

// MASKS sets word k of x to where the 16 bytes of key k in low and high are brace.
#define MASKS(brace, low, high, x) \
	VPCMPEQB   brace, low, K1;         \
	VPCMPEQB   brace, high, K2;        \
	KMOVQ      K1, R8;                 \
	KMOVQ      K2, R9;                 \
	VMOVQ      R8, x;                  \
	VPINSRQ    $1, R9, x, x

// BETWEEN finds the tags of eight keys. Bit i of a dword in Y6 is '{', in Y7 '}',
// as byte i of a block; in Y8 it is 1 if byte i is the key's. Y15 has all bits set. Y6 gets
// 31 less the place of the first '{', Y7 the same of the first '}' behind it, Y9
// how many bytes are between them, K1 which keys have a tag.
#define BETWEEN \
	VPAND      Y8, Y7, Y7;             \
	VPADDD     Y15, Y6, Y8;            \
	VPXOR      Y8, Y6, Y6;             \
	VPANDN     Y7, Y6, Y7;             \
	VPTESTMD   Y7, Y7, K1;             \
	VPADDD     Y15, Y7, Y8;            \
	VPXOR      Y8, Y7, Y7;             \
	VPLZCNTD   Y6, Y6;                 \
	VPLZCNTD   Y7, Y7;                 \
	VPSUBD     Y7, Y6, Y9;             \
	VPADDD     Y15, Y9, Y9;            \
	VPTESTMD   Y9, Y9, K1, K1

// LENGTHS32 sets Y14 to the lengths of the keys whose headers are in Z0 and Z1, and
// Y15 to all ones; THEIRS sets Y8 to what BETWEEN expects there.
#define LENGTHS32 \
	VPTERNLOGD $0xff, Y15, Y15, Y15;   \
	VMOVDQU    matrices_words(MAT), Y14; \
	VPERMI2D   Z1, Z0, Z14

#define THEIRS \
	VPSLLVD    Y14, Y15, Y8;           \
	VPXOR      Y15, Y8, Y8

// HASHED sets, after BETWEEN, each quadword of Z6 to the lengths of what is hashed,
// and of Z7 to where that ends.
#define HASHED \
	VPBROADCASTD numbers<>+4(SB), Y8;  \
	VPSUBD     Y7, Y8, Y7;             \
	VMOVDQA32  Y14, Y8;                \
	VMOVDQA32  Y9, K1, Y14;            \
	VMOVDQA32  Y7, K1, Y8;             \
	VPMOVDB    Y14, X6;                \
	VPMOVDB    Y8, X7;                 \
	VPBROADCASTQ X6, Z6;               \
	VPBROADCASTQ X7, Z7

// KEY takes a key by its header: its address and its length.
#define KEY(header) \
	MOVQ       header(0), R8;          \
	MOVQ       header(8), R9

// PLACE64 loads the key of R9 = 0 to 64 bytes at R8 so that it ends the
// register, zeros in front. What is masked off is not read; but a load that
// touches a page which is not there costs over a hundred nanoseconds, masked or
// not, so EDGE64 takes the keys that start in the first 64 bytes of a page: it
// loads 64 bytes from there, and VPEXPANDB takes as many as the key has.
#define PLACE64(z, atEdge, placed) \
	TESTL      $0xfc0, R8;             \
	JZ         atEdge;                 \
	KMOVQ      matrices_tops(MAT)(R9*8), K1; \
	VMOVDQU8.Z -64(R8)(R9*1), K1, z;   \
placed:

#define EDGE64(z, atEdge, placed) \
atEdge:                                    \
	KMOVQ      matrices_tops(MAT)(R9*8), K1; \
	VMOVDQU64  (R8), z;                \
	VPEXPANDB.Z z, K1, z;              \
	JMP        placed

// BRACES sets R10 and R11 to where z has '{' and '}'.
#define BRACES(z) \
	VPCMPEQB   OPENS, z, K2;           \
	VPCMPEQB   CLOSES, z, K3;          \
	KMOVQ      K2, R10;                \
	KMOVQ      K3, R11

// TAG finds the tag of the key of R9 bytes at R8 that ends a register with '{'
// where R10 has a bit and '}' where R11 has. If it has one, R8 and R9 are set
// to the tag. R13 becomes the address behind the first '{', R11 the '}' behind
// that, and R10 the length of the tag if there is one of these.
#define TAG \
	TZCNTQ     R10, R13;               \
	BLSMSKQ    R10, R10;               \
	ANDNQ      R11, R10, R11;          \
	TZCNTQ     R11, R10;               \
	SUBQ       R13, R10;               \
	DECQ       R10;                    \
	ADDQ       R9, R13;                \
	LEAQ       -63(R8)(R13*1), R13;    \
	TESTQ      R11, R11;               \
	CMOVQEQ    R11, R10;               \
	TESTQ      R10, R10;               \
	CMOVQNE    R13, R8;                \
	CMOVQNE    R10, R9

#define LOAD64(header, z, atEdge, placed) \
	KEY(header);                            \
	PLACE64(z, atEdge, placed)

#define LOADTAG64(header, z, atEdge, placed) \
	KEY(header);                            \
	BRACES(z);                         \
	TAG;                               \
	PLACE64(z, atEdge, placed)

// OPENED64 sets Z8 to zero where one of Z0 to Z7 has a '{': where an XOR with it
// is 0.
#define OPENED64 \
	VPXORQ     OPENS, Z0, Z8;          \
	VPXORQ     OPENS, Z1, Z9;          \
	VPXORQ     OPENS, Z2, Z10;         \
	VPXORQ     OPENS, Z3, Z11;         \
	VPXORQ     OPENS, Z4, Z12;         \
	VPXORQ     OPENS, Z5, Z13;         \
	VPXORQ     OPENS, Z6, Z14;         \
	VPXORQ     OPENS, Z7, Z15;         \
	VPMINUB    Z8, Z9, Z8;             \
	VPMINUB    Z10, Z11, Z10;          \
	VPMINUB    Z12, Z13, Z12;          \
	VPMINUB    Z14, Z15, Z14;          \
	VPMINUB    Z8, Z10, Z8;            \
	VPMINUB    Z12, Z14, Z12;          \
	VPMINUB    Z8, Z12, Z8

// TRANSPOSE64 puts bytes of two keys side by side, then of four, then of eight.
// What was byte b of a lane of Z0 to Z7 is in the end in quadword b%2 of the
// lane, in register b/2 of Z10 to Z15, Z4, Z5.
#define TRANSPOSE64 \
	VPUNPCKLBW Z1, Z0, Z8;             \
	VPUNPCKHBW Z1, Z0, Z9;             \
	VPUNPCKLBW Z3, Z2, Z10;            \
	VPUNPCKHBW Z3, Z2, Z11;            \
	VPUNPCKLBW Z5, Z4, Z12;            \
	VPUNPCKHBW Z5, Z4, Z13;            \
	VPUNPCKLBW Z7, Z6, Z14;            \
	VPUNPCKHBW Z7, Z6, Z15;            \
	VPUNPCKLWD Z10, Z8, Z0;            \
	VPUNPCKHWD Z10, Z8, Z1;            \
	VPUNPCKLWD Z11, Z9, Z2;            \
	VPUNPCKHWD Z11, Z9, Z3;            \
	VPUNPCKLWD Z14, Z12, Z4;           \
	VPUNPCKHWD Z14, Z12, Z5;           \
	VPUNPCKLWD Z15, Z13, Z6;           \
	VPUNPCKHWD Z15, Z13, Z7;           \
	VPUNPCKLDQ Z4, Z0, Z10;            \
	VPUNPCKHDQ Z4, Z0, Z11;            \
	VPUNPCKLDQ Z5, Z1, Z12;            \
	VPUNPCKHDQ Z5, Z1, Z13;            \
	VPUNPCKLDQ Z6, Z2, Z14;            \
	VPUNPCKHDQ Z6, Z2, Z15;            \
	VPUNPCKLDQ Z7, Z3, Z4;             \
	VPUNPCKHDQ Z7, Z3, Z5

// ADDUP multiplies the places in two registers by the matrices at MAT+at and
// behind, and adds the products to Z8 and Z9.
#define ADDUP(at, za, zb) \
	MULTIPLY((at+0x000), za, Z0, Z1);  \
	MULTIPLY((at+0x080), zb, Z2, Z3);  \
	VPTERNLOGQ $0x96, Z0, Z2, Z8;      \
	VPTERNLOGQ $0x96, Z1, Z3, Z9

// PREFETCH asks for the bytes from on of the keys whose headers are at KEYS+at and
// behind.
#define PREFETCH(at, from) \
	MOVQ       (at+0)(KEYS), R8;       \
	MOVQ       (at+16)(KEYS), R9;      \
	MOVQ       (at+32)(KEYS), R10;     \
	MOVQ       (at+48)(KEYS), R11;     \
	PREFETCHT0 from(R8);                   \
	PREFETCHT0 from(R9);                   \
	PREFETCHT0 from(R10);                  \
	PREFETCHT0 from(R11)

// Registers of keys one by one. The first four stay as long as one group follows
// the other there.
#define REV4    Z11 // reverses the bytes of each block
#define NEXT64  Z12 // next64<> in each block
#define BLOCKS64 Z13 // blocks<>
#define BARRETT X14 // barrett<>
#define PLAIN   K7  // where no '{' was

// NOTE notes where z has a '{'.
#define NOTE(z) \
	VPCMPUB    $4, OPENS, z, PLAIN, PLAIN

// HEAD64 loads the first (R9-1)%64 + 1 bytes of more than 64 at R8 to the end of
// z, from inside of them, and steps over them. R11 is R9-1.
#define HEAD64(z) \
	ANDQ       $63, R11;               \
	KMOVQ      (matrices_tops+8)(MAT)(R11*8), K1; \
	VMOVDQU64  (R8), z;                \
	NOTE(z);                           \
	VPEXPANDB.Z z, K1, z;              \
	VPSHUFB    REV4, z, z;             \
	LEAQ       1(R8)(R11*1), R8

// SUM64 makes R8 the slot of the four blocks in Z8, reversed.
#define SUM64 \
	VPCLMULQDQ $0x00, BLOCKS64, Z8, Z9; \
	VPCLMULQDQ $0x11, BLOCKS64, Z8, Z8; \
	VPXORQ     Z9, Z8, Z8;             \
	VEXTRACTI64X4 $1, Z8, Y9;          \
	VPXORQ     Y9, Y8, Y8;             \
	VEXTRACTI64X2 $1, Y8, X9;          \
	VPXORQ     X9, X8, X8;             \
	VPCLMULQDQ $0x01, BARRETT, X8, X9; \
	VPXORQ     X8, X9, X9;             \
	VPSRLQ     $48, X8, X8;            \
	VPCLMULQDQ $0x11, BARRETT, X9, X9; \
	VPXORQ     X9, X8, X8;             \
	VMOVQ      X8, R8;                 \
	ANDL       $0x3fff, R8

// func slots8(dst *Slot, keys unsafe.Pointer, n int, form uintptr, data *byte, start uint32, m *matrices) int
//
// The slots of n keys, a multiple of 8, to dst. form is 16 for strings at keys,
// 24 for slices, and 4 for ends of keys in data, the first of which begins at
// start. It returns the number of keys done, a multiple of 8: it stops in front
// of the first eight keys of which one has more than 4096 bytes, and behind eight
// with which the keys of more than 64 bytes have come to 64 KiB.
//
// It is one function, because its ways share 16 registers of constants and go on to the
// next eight keys without a return: a function for each would load these again. Each label
// begins a way of the five steps above: group and headers lay out, near and long choose,
// tagged finds what is hashed, store ends. one and what follows takes a single key.
//
// Requires: AVX512F, BW, VL, DQ, CD, VBMI, VBMI2, GFNI, VPCLMULQDQ, BMI1, BMI2.
TEXT ·slots8(SB), NOSPLIT, $240-64
	MOVQ dst+0(FP), DST
	MOVQ keys+8(FP), KEYS
	MOVQ n+16(FP), STOP
	LEAQ (DST)(STOP*2), STOP
	MOVQ m+48(FP), MAT
	MOVQ $(64<<10), BUDGET(SP)
	MOVL start+40(FP), R8
	MOVL R8, (ENDS+28)(SP)
	VMOVDQU64 matrices_step(MAT), STEP
	VMOVDQU64 matrices_pointers(MAT), POINTERS
	VPBROADCASTD lengths<>(SB), LENGTHS
	VMOVDQU64 matrices_place(MAT), PLACE
	VMOVDQU64 matrices_first(MAT), FIRST
	VMOVDQU64 (matrices_places+0)(MAT), PLACES0
	VMOVDQU64 (matrices_places+64)(MAT), PLACES1
	VMOVDQU64 (matrices_firsts+0)(MAT), FIRST0
	VMOVDQU64 (matrices_firsts+64)(MAT), FIRST1
	VPBROADCASTQ braces<>+0(SB), OPENS
	VPBROADCASTQ braces<>+8(SB), CLOSES
	VMOVDQU64 zip<>(SB), ZIP
	VMOVDQU64 (matrices_at32+0)(MAT), LOW0
	VMOVDQU64 (matrices_at32+64)(MAT), HIGH0
	VMOVDQU64 (matrices_at32+128)(MAT), LOW1
	VMOVDQU64 (matrices_at32+192)(MAT), HIGH1

group:
	MOVL      $16, SIZE
	MOVL      $48, SIZE3
	MOVQ      KEYS, LOW
	CMPQ      form+24(FP), $16
	JNE       convert
	VMOVDQU64 0(KEYS), Z0
	VMOVDQU64 64(KEYS), Z1
	LEAQ      64(KEYS), HIGH
	ADDQ      $128, KEYS

headers:
	OUTSIDEOF
	VPTESTMQ (matrices_outside+0)(MAT), Z2, K1
	KMOVB    K1, R8
	TESTL    R8, R8
	JNZ      longer

	STARTS(LOW)
	BLOCKS(X4, Z4)
	STARTS(HIGH)
	BLOCKS(X5, Z5)
	VPCMPUB  $4, OPENS, Z4, K1
	VPCMPUB  $4, OPENS, Z5, K1, K1
	KMOVQ    K1, R8
	CMPQ     R8, $-1
	JNE      tagged16

	CMPB     matrices_pairs(MAT), $0
	JNE      pairs16
	TRANSPOSE4(Z0, Z4, Z6, K1)
	TRANSPOSE4(Z1, Z5, Z7, K2)
	VPUNPCKLDQ Z5, Z4, Z8
	VPUNPCKHDQ Z5, Z4, Z9

multiply16:
	MULTIPLY16

store:
	STORE
	ADDQ $16, DST
	CMPQ DST, STOP
	JNE  group

done:
	MOVQ DST, AX
	SUBQ dst+0(FP), AX
	SHRQ $1, AX
	MOVQ AX, ret+56(FP)
	VZEROUPPER
	RET

convert:
	JB        packed
	VMOVDQU64 0(KEYS), Z0
	VMOVDQU64 64(KEYS), Z1
	VMOVDQU64 (matrices_slices+0)(MAT), Z2
	VMOVDQU64 (matrices_slices+64)(MAT), Z3
	VPERMT2Q  Z1, Z2, Z0
	VPERMT2Q  128(KEYS), Z3, Z1
	LEAQ      96(KEYS), HIGH
	MOVL      $24, SIZE
	MOVL      $72, SIZE3
	ADDQ      $192, KEYS
	JMP       headers

packed:
	VMOVDQU     (KEYS), Y2
	VMOVDQU     ENDS(SP), Y0
	VMOVDQU     Y2, ENDS(SP)
	VALIGND     $7, Y0, Y2, Y0 // the end before each, where the key begins
	VPSUBD      Y0, Y2, Y2
	VPMOVZXDQ   Y2, Z13
	VPMOVZXDQ   Y0, Z12
	VPADDQ.BCST data+32(FP), Z12, Z12
	ADDQ        $32, KEYS
	LAYOUT
	JMP         headers

pairs16:
	LENGTHS8(Z6)
	INDEX8(Z6, Z6, Z8, Z9)
	TRANSPOSE8(Z4, Z5, Z8, Z9)
	JMP multiply16

tagged16:
	// Bytes behind the keys were looked at as well. There may be no tag.
	MASKS(OPENS, Z4, Z5, X6)
	MASKS(CLOSES, Z4, Z5, X7)
	VPMOVZXWD X6, Y6
	VPMOVZXWD X7, Y7
	LENGTHS32
	THEIRS
	BETWEEN
	HASHED
	INDEX8(Z6, Z7, Z8, Z9)
	TRANSPOSE8(Z4, Z5, Z8, Z9)
	JMP   multiply16

longer:
	CMPQ form+24(FP), $16
	JNE  near
	LEAQ 80(DST), R8 // are there five groups more, this one included?
	CMPQ R8, STOP
	JHI  near
	PREFETCH(384, 0)
	PREFETCH(448, 0)

near:
	VPTESTMQ (matrices_outside+64)(MAT), Z2, K1
	KMOVB    K1, R8
	TESTL    R8, R8
	JZ       load32
	VPTESTMQ (matrices_outside+128)(MAT), Z2, K1
	KORTESTB K1, K1
	JNZ      long

	LOAD64(HEADER0, Z0, edge0, placed0)
	LOAD64(HEADER1, Z1, edge1, placed1)
	LOAD64(HEADER2, Z2, edge2, placed2)
	LOAD64(HEADER3, Z3, edge3, placed3)
	LOAD64(HEADER4, Z4, edge4, placed4)
	LOAD64(HEADER5, Z5, edge5, placed5)
	LOAD64(HEADER6, Z6, edge6, placed6)
	LOAD64(HEADER7, Z7, edge7, placed7)
	OPENED64
	VPTESTNMB Z8, Z8, K1
	KORTESTQ K1, K1
	JNZ      tagged64

transpose64:
	TRANSPOSE64
	MULTIPLY(matrices_at64+0x000, Z10, Z8, Z9)
	MULTIPLY(matrices_at64+0x080, Z11, Z0, Z1)
	VPXORQ Z0, Z8, Z8
	VPXORQ Z1, Z9, Z9
	ADDUP(matrices_at64+0x100, Z12, Z13)
	ADDUP(matrices_at64+0x200, Z14, Z15)
	ADDUP(matrices_at64+0x300, Z4, Z5)
	JMP    store

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
	XORL     R13, R13
	BLOCKS2(HEADER0, HEADER1, HEADER2, HEADER3, X2, Y2, Z2, X4, Y4, Z4)
	BLOCKS2(HEADER4, HEADER5, HEADER6, HEADER7, X3, Y3, Z3, X5, Y5, Z5)
	VPCMPUB  $4, OPENS, Z2, K1
	VPCMPUB  $4, OPENS, Z3, K1, K1
	VPCMPUB  $4, OPENS, Z4, K1, K1
	VPCMPUB  $4, OPENS, Z5, K1, K1
	KMOVQ    K1, R8
	CMPQ     R8, $-1
	JNE      tagged32

	// Of the last 16 places. Then of those in front, for which length and end
	// are 16 less.
	LENGTHS8(Z6)
	VMOVDQU64 matrices_sixteen(MAT), Z0
	VPMINUB   Z0, Z6, Z7
	INDEX8(Z6, Z7, Z8, Z9)
	TRANSPOSE8(Z4, Z5, Z8, Z9)
	VPSUBUSB  Z0, Z6, Z6
	VMOVDQA64 Z6, Z7

front32:
	INDEX8(Z6, Z7, Z14, Z15)
	TRANSPOSE8(Z2, Z3, Z14, Z15)
	MULTIPLY16
	ADDUP((matrices_at32+0x100), Z14, Z15)
	JMP       store

tagged32:
	MASKS(OPENS, Z4, Z5, X6)
	MASKS(CLOSES, Z4, Z5, X7)
	MASKS(OPENS, Z2, Z3, X10)
	MASKS(CLOSES, Z2, Z3, X11)
	VPMOVZXWD X6, Y6
	VPMOVZXWD X7, Y7
	VPMOVZXWD X10, Y10
	VPMOVZXWD X11, Y11
	LENGTHS32
	VPBROADCASTD numbers<>+0(SB), Y12
	VPMAXUD   Y12, Y14, Y13
	VPSUBD    Y12, Y13, Y12 // how far behind the first 16 bytes the last are
	VPSLLVD   Y12, Y6, Y6
	VPSLLVD   Y12, Y7, Y7
	VPOR      Y10, Y6, Y6
	VPOR      Y11, Y7, Y7
	THEIRS
	BETWEEN
	HASHED
	VPMOVDB   Y12, X12
	VPBROADCASTQ X12, Z12

	// Of the last 16 places, those more than 16 bytes from the start are in the
	// last block, the others in the first.
	VPSUBUSB  matrices_sixteen(MAT), Z7, Z10
	VPSUBB    Z12, Z7, Z11
	INDEX8(Z10, Z11, Z8, Z9)
	VPCMPUB   $6, PLACES0, Z6, K1, K1
	VPCMPUB   $6, PLACES1, Z6, K2, K2
	TRANSPOSE8(Z4, Z5, Z8, Z9)
	VPCMPUB   $2, PLACES0, Z10, K1
	VPCMPUB   $2, PLACES1, Z10, K2
	VPCMPUB   $6, PLACES0, Z6, K1, K1
	VPCMPUB   $6, PLACES1, Z6, K2, K2
	WHERE8(Z7, Z10, Z11)
	TRANSPOSE8(Z2, Z3, Z10, Z11)
	VPORQ     Z10, Z8, Z8
	VPORQ     Z11, Z9, Z9
	VPSUBUSB  matrices_sixteen(MAT), Z6, Z6
	VPSUBUSB  matrices_sixteen(MAT), Z7, Z7
	JMP       front32

long:
	CMPQ        form+24(FP), $16
	JNE         layout
	LEAQ        80(DST), R8
	CMPQ        R8, STOP
	JHI         layout
	PREFETCH(384, 64)
	PREFETCH(384, 128)
	PREFETCH(448, 64)
	PREFETCH(448, 128)

layout:
	// Some of the eight keys are empty or of more than 64 bytes.
	UNZIP
	VPCMPUQ.BCST $6, numbers<>+8(SB), Z13, K1
	KORTESTB    K1, K1
	JNZ         done
	VBROADCASTI32X4 reverse<>(SB), REV4
	VBROADCASTI32X4 next64<>(SB), NEXT64
	VMOVDQU64   blocks<>(SB), BLOCKS64
	VMOVDQU     barrett<>(SB), BARRETT
	LEAQ        16(DST), R8
	MOVQ        R8, AFTER(SP)
	MOVQ        LOW, KEY1

one:
	XORL       HASHED1, HASHED1
	MOVQ       0(KEY1), R8
	MOVQ       8(KEY1), R9

hashed:
	LEAQ       -1(R9), R11
	CMPQ       R11, $63
	JHI        over64
	PLACE64(Z8, edge, placed)
	VPCMPEQB   OPENS, Z8, K2
	KORTESTQ   K2, K2
	JNZ        opened

untagged:
	VPSHUFB    REV4, Z8, Z8

sum:
	SUM64

slot:
	MOVW       R8, (DST)
	ADDQ       $2, DST
	ADDQ       SIZE, KEY1
	CMPQ       DST, AFTER(SP)
	JNE        one
	CMPQ       DST, STOP
	JNE        group
	JMP        done

	EDGE64(Z8, edge, placed)

opened:
	TESTL      HASHED1, HASHED1
	JNZ        untagged
	BRACES(Z8)
	TAG

found:
	MOVL       $1, HASHED1
	JMP        hashed

empty:
	XORL       R8, R8
	JMP        slot

early:
	// A '{' in the first 64 bytes, where most tags begin.
	TESTL      HASHED1, HASHED1
	JZ         search
	JMP        block

over64:
	TESTQ      R9, R9
	JZ         empty
	LEAQ       -64(R8)(R9*1), R10
	SUBQ       R9, BUDGET(SP)
	JGT        within
	MOVQ       AFTER(SP), STOP

within:
	KXNORQ     PLAIN, PLAIN, PLAIN
	HEAD64(Z8)
	KMOVQ      PLAIN, R13
	CMPQ       R13, $-1
	JNE        early

block:
	VMOVDQU64  (R8), Z10
	NOTE(Z10)
	VPSHUFB    REV4, Z10, Z10
	VPCLMULQDQ $0x00, NEXT64, Z8, Z9
	VPCLMULQDQ $0x11, NEXT64, Z8, Z8
	VPTERNLOGQ $0x96, Z9, Z10, Z8
	ADDQ       $64, R8
	CMPQ       R8, R10
	JLS        block
	KORTESTQ   PLAIN, PLAIN
	JCS        sum // all bits are set
	TESTL      HASHED1, HASHED1
	JNZ        sum

#define START BX  // of the tag
#define HITS  R14 // where there is a '}'

search:
	// There is a '{'. Look for it by blocks of 64 bytes from R10 on, the last of
	// which, at R11, ends the key.
	MOVQ       0(KEY1), R8
	MOVQ       R8, R10
	LEAQ       -64(R8)(R9*1), R11

open:
	VPCMPEQB   (R10), OPENS, K1
	KMOVQ      K1, R13
	TESTQ      R13, R13
	JNZ        close
	ADDQ       $64, R10
	CMPQ       R10, R11
	CMOVQHI    R11, R10
	JMP        open

close:
	TZCNTQ     R13, R13
	LEAQ       1(R10)(R13*1), R10 // where the tag starts
	LEAQ       64(R11), R13
	CMPQ       R10, R13
	JEQ        found              // behind the last byte
	MOVQ       R10, START

until:
	// R10 is how far '}' was looked for. What of a block is in front of it is
	// shifted out.
	MOVQ       R10, R13
	CMPQ       R10, R11
	CMOVQHI    R11, R10
	VPCMPEQB   (R10), CLOSES, K1
	SUBQ       R10, R13
	KMOVQ      K1, HITS
	SHRXQ      R13, HITS, HITS
	ADDQ       R10, R13
	TESTQ      HITS, HITS
	JNZ        closed
	CMPQ       R10, R11
	JEQ        found
	LEAQ       64(R10), R10
	JMP        until

closed:
	TZCNTQ     HITS, HITS
	ADDQ       R13, HITS
	SUBQ       START, HITS
	CMOVQNE    START, R8
	CMOVQNE    HITS, R9
	JMP        found
