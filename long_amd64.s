//go:build gc && !purego

#include "go_asm.h"
#include "textflag.h"

// Buffers of more than 64 bytes.
//
// The recurrences. P has four terms, so P^(2^k) has four as well,
//
//	x^(16·2^k) + x^(12·2^k) + x^(5·2^k) + 1,
//
// and is a multiple of P. Take a buffer as a number whose digits are blocks of w
// bytes, and divide it by such a power. The digits b of the quotient come out of
// the blocks d of the buffer by XOR alone. With 2^k = 8w, 4w and 2w they are
//
//	b[i] = d[i] ^ b[i-4] ^ b[i-11]  ^ b[i-16]
//	b[i] = d[i] ^ b[i-2] ^ b[i-5.5] ^ b[i-8]
//	b[i] = d[i] ^ b[i-1] ^ b[i-2.75] ^ b[i-4]
//
// where b[i-5.5] is the second half of b[i-6] and the first half of b[i-5], and
// b[i-2.75] is the last three quarters of b[i-3] and the first of b[i-2]. No
// multiplication, no carry, and bytes stay in the order of memory. The macros
// for each, DIVIDE16, DIVIDE8 and DIVIDE4, are named by the number of digits that
// it looks back on. These are in as many registers, B0 and so on, by turns.
//
// The more digits, the fewer instructions a block takes, and the longer the end
// takes. What follows is chosen by the lengths from which on one is ahead of the
// other, as measured on Intel's Emerald Rapids and AMD's Zen 4, where these
// differ by little: with blocks of 64 bytes DIVIDE4 to 576 bytes, DIVIDE8 to 1536,
// DIVIDE16 from there on. With blocks of 32 bytes it is DIVIDE8 to 768 bytes.
//
// The end. The last 16, 8 or 4 blocks are not divided. What the quotient adds
// to them makes them the remainder: each takes those of the three digits that
// exist (REST16, REST8, REST4). A remainder of 16 blocks is in turn divided into
// one of 8, and that into one of 4, all in registers. With blocks of 32 or 16 bytes it
// goes on to 4 times 16 bytes (QUARTER), because there a product is dear: 4 micro-operations
// on AMD's Zen 3. A CPU with VPCLMULQDQ makes those of two blocks of 16 bytes by as many, and
// leaves QUARTER out: 257 to 1024 bytes take 0.82 to 0.88 of the time (Intel, family 6, model
// 207). Of what is left every 16 bytes H·x^64 + L are multiplied by their place,
//
//	H·(x^(k+64) mod P) + L·(x^k mod P),   k = 16 + 8·(bytes behind them).
//
// These products do not wait for each other. Their sum T is the remainder, times
// x^16, in fewer than 80 bits. As in crc16_amd64.s the constants are shifted left
// by 48, so that the high quadword of T is floor(T/x^16), and the quotient by P
// is q = floor(T.high·MU/x^64) + T.high; the checksum is the rest of T plus the
// low 16 bits of q·P. Buffers of up to 320 bytes have nothing but the products.
//
// Whole lines. A load that crosses a cache line costs two, and all do if the buffer
// does not end with a line. divide512 takes the k bytes behind it as well, up to the end
// of the line, as zeros. That multiplies the message by x^(8k), and other places of the
// last four blocks take it back: these have 8k less in the exponent, and as x has an
// inverse mod P, it may be less than 0. batch_amd64.go makes the table. Buffers that end
// with a line lose 1 ns by it, all others gain 8 to 12 percent from 2 to 8 KiB (Intel,
// family 6, model 207). The short forms would lose more than they gain. divide256y cuts
// off a tail instead.
//
// The start. A checksum starts at 0, so that zeros in front of a buffer change
// nothing. The first n mod w bytes, or w, become the first block, the head, with
// zeros in front of them; whole blocks follow. The head is the digit b[0], all
// digits before it are 0. Of the first 16, 8 or 4 digits most have one or two terms, not
// three, which takes half of the instructions. So each form has these steps twice, as
// first2, first3 and so on and in the loop. A jump to one of as many stubs
// enters at the step that makes the blocks come out even: the stub makes the head and the
// block behind it digits, and clears the registers of the digits before them. So no
// length is a special case and no block is touched twice.
//
// Loads. The first steps and REST load a block and add it by a second instruction. One
// would do, but llvm-mca's models, by which the forms are compared, let an addition with an
// operand in memory wait for both before it loads.
//
// The checksum so far is added to the first two bytes. If the head has but one byte, the
// second belongs to the block behind it. products64 adds it there. The other forms leave
// such buffers to longGo, which takes that byte alone: to have a register for it at all
// other lengths costs six instructions.
//
// Constants. Xk is (x^k mod P) << 48.

#define X16   0x1021000000000000 // (x^16 mod P) << 48
#define X80   0xeb23000000000000 // (x^80 mod P) << 48
#define X144  0x10e2000000000000 // (x^144 mod P) << 48
#define X208  0x45b4000000000000 // (x^208 mod P) << 48
#define X272  0x8ddc000000000000 // (x^272 mod P) << 48
#define X336  0xb8e0000000000000 // (x^336 mod P) << 48
#define X400  0xbd64000000000000 // (x^400 mod P) << 48
#define X464  0x9fe5000000000000 // (x^464 mod P) << 48
#define X528  0x78b3000000000000 // (x^528 mod P) << 48
#define X592  0x8420000000000000 // (x^592 mod P) << 48
#define X656  0x9c1a000000000000 // (x^656 mod P) << 48
#define X720  0x15b7000000000000 // (x^720 mod P) << 48
#define X784  0x9e3a000000000000 // (x^784 mod P) << 48
#define X848  0xf4e7000000000000 // (x^848 mod P) << 48
#define X912  0x4347000000000000 // (x^912 mod P) << 48
#define X976  0xfa0d000000000000 // (x^976 mod P) << 48
#define X1040 0x36fb000000000000 // (x^1040 mod P) << 48
#define X1104 0xa2a0000000000000 // (x^1104 mod P) << 48
#define X1168 0xcc40000000000000 // (x^1168 mod P) << 48
#define X1232 0xc70a000000000000 // (x^1232 mod P) << 48
#define X1296 0x3f07000000000000 // (x^1296 mod P) << 48
#define X1360 0x865a000000000000 // (x^1360 mod P) << 48
#define X1424 0x6493000000000000 // (x^1424 mod P) << 48
#define X1488 0xc6d5000000000000 // (x^1488 mod P) << 48
#define X1552 0xb353000000000000 // (x^1552 mod P) << 48
#define X1616 0x413d000000000000 // (x^1616 mod P) << 48
#define X1680 0x0284000000000000 // (x^1680 mod P) << 48
#define X1744 0xe599000000000000 // (x^1744 mod P) << 48
#define X1808 0x8fc9000000000000 // (x^1808 mod P) << 48
#define X1872 0x799a000000000000 // (x^1872 mod P) << 48
#define X1936 0x86c9000000000000 // (x^1936 mod P) << 48
#define X2000 0x2093000000000000 // (x^2000 mod P) << 48
#define X2064 0x3f68000000000000 // (x^2064 mod P) << 48
#define X2128 0xbfa9000000000000 // (x^2128 mod P) << 48
#define X2192 0x8c5c000000000000 // (x^2192 mod P) << 48
#define X2256 0x54ca000000000000 // (x^2256 mod P) << 48
#define X2320 0x4152000000000000 // (x^2320 mod P) << 48
#define X2384 0x3b77000000000000 // (x^2384 mod P) << 48
#define X2448 0x0d56000000000000 // (x^2448 mod P) << 48
#define X2512 0x1dd6000000000000 // (x^2512 mod P) << 48
#define MU    0x11303471a041b343 // floor(x^80 / P) mod x^64

// The places of the last 320 bytes, L in front of H. of16 uses them as well.
DATA ·places+0(SB)/8, $X2448
DATA ·places+8(SB)/8, $X2512
DATA ·places+16(SB)/8, $X2320
DATA ·places+24(SB)/8, $X2384
DATA ·places+32(SB)/8, $X2192
DATA ·places+40(SB)/8, $X2256
DATA ·places+48(SB)/8, $X2064
DATA ·places+56(SB)/8, $X2128
DATA ·places+64(SB)/8, $X1936
DATA ·places+72(SB)/8, $X2000
DATA ·places+80(SB)/8, $X1808
DATA ·places+88(SB)/8, $X1872
DATA ·places+96(SB)/8, $X1680
DATA ·places+104(SB)/8, $X1744
DATA ·places+112(SB)/8, $X1552
DATA ·places+120(SB)/8, $X1616
DATA ·places+128(SB)/8, $X1424
DATA ·places+136(SB)/8, $X1488
DATA ·places+144(SB)/8, $X1296
DATA ·places+152(SB)/8, $X1360
DATA ·places+160(SB)/8, $X1168
DATA ·places+168(SB)/8, $X1232
DATA ·places+176(SB)/8, $X1040
DATA ·places+184(SB)/8, $X1104
DATA ·places+192(SB)/8, $X912
DATA ·places+200(SB)/8, $X976
DATA ·places+208(SB)/8, $X784
DATA ·places+216(SB)/8, $X848
DATA ·places+224(SB)/8, $X656
DATA ·places+232(SB)/8, $X720
DATA ·places+240(SB)/8, $X528
DATA ·places+248(SB)/8, $X592
DATA ·places+256(SB)/8, $X400
DATA ·places+264(SB)/8, $X464
DATA ·places+272(SB)/8, $X272
DATA ·places+280(SB)/8, $X336
DATA ·places+288(SB)/8, $X144
DATA ·places+296(SB)/8, $X208
DATA ·places+304(SB)/8, $X16
DATA ·places+312(SB)/8, $X80
GLOBL ·places(SB), RODATA|NOPTR, $320

DATA mu<>+0(SB)/8, $MU
DATA mu<>+8(SB)/8, $MU
GLOBL mu<>(SB), RODATA|NOPTR, $16

// The PSHUFB control that reverses 16 bytes.
DATA reverse<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse<>+8(SB)/8, $0x0001020304050607
GLOBL reverse<>(SB), RODATA|NOPTR, $16

// PSHUFB controls. slide<>+16+k takes the first k bytes of a register to its
// end, with zeros in front; for k of 17 to 48 it takes those from byte k-16 on to
// its start, with zeros behind; for k down to -16 it takes none.
DATA slide<>+0(SB)/8, $0x8080808080808080
DATA slide<>+8(SB)/8, $0x8080808080808080
DATA slide<>+16(SB)/8, $0x8080808080808080
DATA slide<>+24(SB)/8, $0x8080808080808080
DATA slide<>+32(SB)/8, $0x0706050403020100
DATA slide<>+40(SB)/8, $0x0f0e0d0c0b0a0908
DATA slide<>+48(SB)/8, $0x8080808080808080
DATA slide<>+56(SB)/8, $0x8080808080808080
GLOBL slide<>(SB), RODATA|NOPTR, $64

#define P    SI  // what is left of the buffer
#define N    CX  // its length in bytes
#define TAIL R12 // bytes behind it, 0 or 65 to 127
#define PAD  R12 // the bytes behind it that are taken as zeros, 0 to 63

// CUTTAIL sets TAIL, and N without it, so that the buffer ends with a cache
// line, if it has a length from which on that pays. The tail is left to a call of its
// own.
#define CUTTAIL(whole) \
	XORL TAIL, TAIL;                         \
	CMPQ N, $8192;                           \
	JCS  whole;                              \
	MOVQ p+8(FP), AX;                        \
	ADDQ N, AX;                              \
	ANDL $63, AX;                            \
	JZ   whole;                              \
	LEAQ 64(AX), TAIL;                       \
	SUBQ TAIL, N;                            \
whole:

// DOTAIL returns if there is no tail, and otherwise calls products for it. P is
// last bytes in front of it and the result so far is stored.
#define DOTAIL(last, products, done) \
	TESTQ TAIL, TAIL;                        \
	JZ    done;                              \
	ADDQ  $last, P;                          \
	MOVWLZX ret+24(FP), AX;                  \
	ROLW  $8, AX;                            \
	MOVQ  AX, crc+0(FP);                     \
	MOVQ  P, p+8(FP);                        \
	MOVQ  TAIL, n+16(FP);                    \
	MOVQ  TAIL, N;                           \
	JMP   products;                          \
done:                                    \
	RET

// func long(crc uint64, p *byte, n int) uint64
//
// The checksum of the n bytes at p, continued from crc: longGo, but buffers of 17
// to 65536 bytes go to the kernel for their length. These take over the frame of
// long and say what they require.
TEXT ·long(SB), NOSPLIT, $0-32
	MOVQ n+16(FP), N
	LEAQ -17(N), AX
	CMPQ AX, $65519
	JHI  plain
	CMPB ·tier(SB), $3
	JNE  narrow
	CMPQ N, $64
	JLS  blocks16
	CMPQ N, $320
	JLS  upTo320
	CMPQ N, $576
	JLS  upTo576
	CMPQ N, $1536
	JLS  upTo1536
	JMP  divide512<>(SB)

upTo320:
	JMP products64<>(SB)

upTo576:
	JMP divide128<>(SB)

upTo1536:
	JMP divide256<>(SB)

narrow:
	CMPB ·tier(SB), $2
	JCS  clmul
	CMPQ N, $256
	JLS  few
	CMPQ N, $768
	JLS  upTo768
	CUTTAIL(cut256)
	JMP  divide256y<>(SB)

upTo768:
	JMP divide128y<>(SB)

clmul:
	CMPB ·tier(SB), $1
	JCS  plain

few:
	CMPQ N, $128
	JLS  blocks16
	JMP  divide64<>(SB)

blocks16:
	JMP products16<>(SB)

plain:
	JMP ·longGo(SB)

// Blocks of 64 bytes.

#define B0    Z16
#define B1    Z17
#define B2    Z18
#define B3    Z19
#define B4    Z20
#define B5    Z21
#define B6    Z22
#define B7    Z23
#define HEAD  Z24
#define T     Z26
#define ZERO  Z27
#define D0    Z24
#define CRC   Z25
#define D1    CRC
#define D2    Z28
#define D3    Z29
#define D4    Z30
#define D5    Z31
#define SUM   Z20
#define LOW   Z21
#define REV   Z22 // reverse<> in each 16 bytes

// START sets P, and N to n-1, of which all but the low bits are the blocks behind the
// head. These bits, those of mask, are in DX, and decide the flags.
#define START(mask) \
	MOVQ p+8(FP), P;                         \
	DECQ N;                                  \
	MOVL N, DX;                              \
	ANDL $mask, DX

// HEAD512 makes HEAD of the first (n-1)&63 + 1 bytes and the checksum so far, which is in
// CRC then. low is the low part of CRC. P is behind the head then. VPEXPANDB takes as many
// bytes as bits are set in K1, from the start, to the register's end.
#define HEAD512(low) \
	MOVQ        $1<<63, AX;                  \
	SARXQ       DX, AX, AX;                  \
	KMOVQ       AX, K1;                      \
	VMOVQ       crc+0(FP), low;              \
	VPXORQ      (P), CRC, HEAD;              \
	VPEXPANDB.Z HEAD, K1, HEAD;              \
	LEAQ        1(P)(DX*1), P

// SPILL64 makes CRC what of the checksum so far is not for the head: its second byte, if
// the head has but one.
#define SPILL64(low) \
	MOVQ    crc+0(FP), BX;                   \
	SHRL    $8, BX;                          \
	XORL    AX, AX;                          \
	TESTL   DX, DX;                          \
	CMOVLNE AX, BX;                          \
	VMOVD   BX, low

// ONE leaves a head of one byte to longGo if there is a checksum so far, which has two.
// Otherwise it goes back to two.
#define ONE(two) \
	CMPQ crc+0(FP), $0;                      \
	JEQ  two;                                \
	JMP  ·longGo(SB)

// ENTER512 leaves as many blocks as a round of the loop has to the end, and goes
// to the stub for what is left of the others if whole rounds are taken away.
// P is then such that the first step finds its block. A stub has 64·scale bytes.
#define ENTER512(stubs, blocks, scale) \
	SUBQ $(64*blocks), N;                    \
	MOVL N, AX;                              \
	ANDL $(64*blocks-64), AX;                \
	LEAQ stubs<>(SB), DX;                    \
	LEAQ -(64*blocks)(P)(AX*1), P;           \
	LEAQ (DX)(AX*scale), DX;                 \
	JMP  DX

// CLEAR1 to CLEAR15 clear as many registers.
#define CLEAR1 VPXORQ B0, B0, B0
#define CLEAR2 CLEAR1; VPXORQ B1, B1, B1
#define CLEAR3 CLEAR2; VPXORQ B2, B2, B2
#define CLEAR4 CLEAR3; VPXORQ B3, B3, B3
#define CLEAR5 CLEAR4; VPXORQ B4, B4, B4
#define CLEAR6 CLEAR5; VPXORQ B5, B5, B5
#define CLEAR7 CLEAR6; VPXORQ B6, B6, B6
#define CLEAR8 CLEAR7; VPXORQ B7, B7, B7
#define CLEAR9 CLEAR8; VPXORQ B8, B8, B8
#define CLEAR10 CLEAR9; VPXORQ B9, B9, B9
#define CLEAR11 CLEAR10; VPXORQ B10, B10, B10
#define CLEAR12 CLEAR11; VPXORQ B11, B11, B11
#define CLEAR13 CLEAR12; VPXORQ B12, B12, B12
#define CLEAR14 CLEAR13; VPXORQ B13, B13, B13
#define CLEAR15 CLEAR14; VPXORQ B14, B14, B14

// DIVIDE4 and DIVIDE8 make the block at P+at the next digit: b has b[i-4] or
// b[i-8] and becomes b[i], b1 is b[i-1] and so on.
#define DIVIDE4(at, b, b1, b2, b3) \
	VPXORQ     at(P), b, b;                  \
	VALIGNQ    $2, b3, b2, T;                \
	VPTERNLOGQ $0x96, b1, T, b

#define DIVIDE8(at, b, b2, b5, b6) \
	VPXORQ     at(P), b, b;                  \
	VALIGNQ    $4, b6, b5, T;                \
	VPTERNLOGQ $0x96, b2, T, b

// REST4 makes d0 to d3, the blocks that follow the last digits B0 to B3, the remainder.
#define REST4(d0, d1, d2, d3) \
	VALIGNQ    $2, B1, B2, T;                \
	VPXORQ     B0, d0, d0;                   \
	VPTERNLOGQ $0x96, B3, T, d0;             \
	VALIGNQ    $2, B2, B3, T;                \
	VPTERNLOGQ $0x96, B1, T, d1;             \
	VALIGNQ    $2, B3, ZERO, T;              \
	VPTERNLOGQ $0x96, B2, T, d2;             \
	VPXORQ     B3, d3, d3

// BEGIN8 and REST8 make d0 to d7, the blocks that follow the last digits B0 to B7, the
// remainder, and that one of four blocks, d4 to d7, because d0 to d3 become the digits by
// DIVIDE4. After BEGIN8, B0 and B1 are free.
#define BEGIN8(d0, d1) \
	VALIGNQ    $4, B2, B3, T;                \
	VPXORQ     B0, d0, d0;                   \
	VPTERNLOGQ $0x96, B6, T, d0;             \
	VALIGNQ    $4, B3, B4, T;                \
	VPTERNLOGQ $0x96, B1, B7, d1;            \
	VPTERNLOGQ $0x96, d0, T, d1

#define REST8(d0, d1, d2, d3, d4, d5, d6, d7) \
	VALIGNQ    $4, B4, B5, T;                \
	VPTERNLOGQ $0x96, B2, T, d2;             \
	VALIGNQ    $2, ZERO, d0, T;              \
	VPTERNLOGQ $0x96, d1, T, d2;             \
	VALIGNQ    $4, B5, B6, T;                \
	VPTERNLOGQ $0x96, B3, T, d3;             \
	VALIGNQ    $2, d0, d1, T;                \
	VPTERNLOGQ $0x96, d2, T, d3;             \
	VALIGNQ    $4, B6, B7, T;                \
	VPTERNLOGQ $0x96, B4, T, d4;             \
	VALIGNQ    $2, d1, d2, T;                \
	VPXORQ     d0, d4, d4;                   \
	VPTERNLOGQ $0x96, d3, T, d4;             \
	VALIGNQ    $4, B7, ZERO, T;              \
	VPTERNLOGQ $0x96, B5, T, d5;             \
	VALIGNQ    $2, d2, d3, T;                \
	VPTERNLOGQ $0x96, d1, T, d5;             \
	VALIGNQ    $2, d3, ZERO, T;              \
	VPXORQ     B6, d6, d6;                   \
	VPTERNLOGQ $0x96, d2, T, d6;             \
	VPTERNLOGQ $0x96, d3, B7, d7

// HALVE16 makes a remainder of 16 blocks, B0 and on, one of four, B12 to B15: digits of
// the first half, then the rest of the second.
#define HALVE16 \
	VPXORQ     B0, B2, B2;                   \
	VPXORQ     B1, B3, B3;                   \
	VPXORQ     B2, B4, B4;                   \
	VALIGNQ    $4, ZERO, B0, T;              \
	VPTERNLOGQ $0x96, B3, T, B5;             \
	VALIGNQ    $4, B0, B1, T;                \
	VPTERNLOGQ $0x96, B4, T, B6;             \
	VALIGNQ    $4, B1, B2, T;                \
	VPTERNLOGQ $0x96, B5, T, B7;             \
	BEGIN8(B8, B9);                          \
	REST8(B8, B9, B10, B11, B12, B13, B14, B15)

// PRODUCT multiplies the block b by its places and adds it to SUM.
#define PRODUCT(b, places) \
	VPSHUFB    REV, b, b;                    \
	VMOVDQU64  places, T;                    \
	VPCLMULQDQ $0x00, T, b, LOW;             \
	VPCLMULQDQ $0x11, T, b, T;               \
	VPTERNLOGQ $0x96, LOW, T, SUM

// PRODUCTS makes SUM of the last four blocks.
#define PRODUCTS(b0, b1, b2, b3) \
	VBROADCASTI32X4 reverse<>(SB), REV;      \
	VPXORQ SUM, SUM, SUM;                    \
	PRODUCT(b3, ·places+256(SB));           \
	PRODUCT(b0, ·places+64(SB));            \
	PRODUCT(b1, ·places+128(SB));           \
	PRODUCT(b2, ·places+192(SB))

// REDUCE512 reduces the SUM, Z20, and stores the result. The quotient by P is the high
// quadword of X21.
#define REDUCE512 \
	VEXTRACTI64X4 $1, Z20, Y21;              \
	VPXORQ     Y21, Y20, Y20;                \
	VEXTRACTI64X2 $1, Y20, X21;              \
	VPXORQ     X21, X20, X20;                \
	VPCLMULQDQ $0x01, mu<>(SB), X20, X21;    \
	VPXORQ     X20, X21, X21;                \
	VPSLLQ     $5, X21, X22;                 \
	VPSLLQ     $12, X21, X23;                \
	VPSLLDQ    $2, X20, X20;                 \
	VPTERNLOGQ $0x96, X22, X23, X21;         \
	VPXORQ     X20, X21, X21;                \
	VMOVHPS    X21, ret+24(FP)

// products64 takes 65 to 320 bytes.
//
// Requires: BMI2, AVX512F, BW, VL, DQ, VBMI2, VPCLMULQDQ.
TEXT products64<>(SB), NOSPLIT, $0-32
	START(63)
	HEAD512(X25)
	SPILL64(X25)
	VBROADCASTI32X4 reverse<>(SB), REV
	VPXORQ SUM, SUM, SUM
	LEAQ   ·places+320(SB), DX
	ANDQ   $-64, N
	ADDQ   N, P
	NEGQ   N
	PRODUCT(HEAD, -64(DX)(N*1))
	VPXORQ (P)(N*1), CRC, B0
	JMP    first

next:
	VMOVDQU64 (P)(N*1), B0

first:
	PRODUCT(B0, (DX)(N*1))
	ADDQ   $64, N
	JNZ    next
	REDUCE512
	RET

// divide128 takes 257 bytes and more: DIVIDE4.
//
// Requires: BMI2, AVX512F, BW, VL, DQ, VBMI2, VPCLMULQDQ.
TEXT divide128<>(SB), NOSPLIT, $0-32
	START(63)
	JEQ one

two:
	HEAD512(X25)
	ENTER512(enter128, 4, 1)

one:
	ONE(two)

// FIRST4 is the stub where the head becomes the digit last and the block behind it next.
#define FIRST4(clear, last, next, at, step) \
	PCALIGN   $64;                           \
	clear;                                   \
	VMOVDQA64 HEAD, last;                    \
	VMOVDQU64 at(P), next;                   \
	VPXORQ    HEAD, next, next;              \
	JMP       step

TEXT enter128<>(SB), NOSPLIT, $0-32
	CLEAR3
	VMOVDQA64 HEAD, B3
	JMP       step4
	FIRST4(CLEAR2, B2, B3, 0xc0, step4)
	FIRST4(CLEAR1, B1, B2, 0x80, first3)
	PCALIGN   $64

first1:
	VMOVDQA64 HEAD, B0
	VMOVDQU64 0x40(P), B1
	VPXORQ    HEAD, B1, B1
	VPXORQ    ZERO, ZERO, ZERO
	VMOVDQU64 0x80(P), B2
	VALIGNQ   $2, ZERO, HEAD, T
	VPTERNLOGQ $0x96, B1, T, B2

first3:
	VMOVDQU64 0xc0(P), B3
	VALIGNQ $2, B0, B1, T
	VPTERNLOGQ $0x96, B2, T, B3
	JMP     step4
	PCALIGN $32

step0:
	DIVIDE4(0x00, B0, B3, B2, B1)
	DIVIDE4(0x40, B1, B0, B3, B2)
	DIVIDE4(0x80, B2, B1, B0, B3)
	DIVIDE4(0xc0, B3, B2, B1, B0)

step4:
	ADDQ $256, P
	SUBQ $256, N
	JCC  step0
	VPXORQ ZERO, ZERO, ZERO
	VMOVDQU64 0x00(P), D0
	VMOVDQU64 0x40(P), D1
	VMOVDQU64 0x80(P), D2
	VMOVDQU64 0xc0(P), D3
	REST4(D0, D1, D2, D3)
	PRODUCTS(D0, D1, D2, D3)
	REDUCE512
	RET

// divide256 takes 513 bytes and more: DIVIDE8.
//
// Requires: BMI2, AVX512F, BW, VL, DQ, VBMI2, VPCLMULQDQ.
TEXT divide256<>(SB), NOSPLIT, $0-32
	START(63)
	JEQ one

two:
	HEAD512(X25)
	ENTER512(enter256, 8, 1)

one:
	ONE(two)

// FIRST8 likewise. DIVIDE8 and DIVIDE16 do not look back on the digit just before.
#define FIRST8(clear, last, next, at, step) \
	PCALIGN   $64;                           \
	clear;                                   \
	VMOVDQA64 HEAD, last;                    \
	VMOVDQU64 at(P), next;                   \
	JMP       step

TEXT enter256<>(SB), NOSPLIT, $0-32
	CLEAR7
	VMOVDQA64 HEAD, B7
	JMP       step8
	FIRST8(CLEAR6, B6, B7, 0x1c0, step8)
	FIRST8(CLEAR5, B5, B6, 0x180, first7)
	FIRST8(CLEAR4, B4, B5, 0x140, first6)
	FIRST8(CLEAR3, B3, B4, 0x100, first5)
	FIRST8(CLEAR2, B2, B3, 0x0c0, first4)
	FIRST8(CLEAR1, B1, B2, 0x080, first3)
	PCALIGN   $64

first1:
	VMOVDQA64 HEAD, B0
	VMOVDQU64 0x040(P), B1
	VMOVDQU64 0x080(P), B2
	VPXORQ    B0, B2, B2

first3:
	VMOVDQU64 0x0c0(P), B3
	VPXORQ    B1, B3, B3

first4:
	VMOVDQU64 0x100(P), B4
	VPXORQ    B2, B4, B4

first5:
	VPXORQ  ZERO, ZERO, ZERO
	VMOVDQU64 0x140(P), B5
	VALIGNQ $4, ZERO, B0, T
	VPTERNLOGQ $0x96, B3, T, B5

first6:
	VMOVDQU64 0x180(P), B6
	VALIGNQ $4, B0, B1, T
	VPTERNLOGQ $0x96, B4, T, B6

first7:
	VMOVDQU64 0x1c0(P), B7
	VALIGNQ $4, B1, B2, T
	VPTERNLOGQ $0x96, B5, T, B7
	JMP     step8
	PCALIGN $32

step0:
	DIVIDE8(0x000, B0, B6, B3, B2)
	DIVIDE8(0x040, B1, B7, B4, B3)
	DIVIDE8(0x080, B2, B0, B5, B4)
	DIVIDE8(0x0c0, B3, B1, B6, B5)
	DIVIDE8(0x100, B4, B2, B7, B6)
	DIVIDE8(0x140, B5, B3, B0, B7)
	DIVIDE8(0x180, B6, B4, B1, B0)
	DIVIDE8(0x1c0, B7, B5, B2, B1)

step8:
	ADDQ $512, P
	SUBQ $512, N
	JCC  step0
	VPXORQ ZERO, ZERO, ZERO
	VMOVDQU64 0x000(P), D0
	VMOVDQU64 0x040(P), D1
	VMOVDQU64 0x080(P), D2
	VMOVDQU64 0x0c0(P), D3
	VMOVDQU64 0x100(P), D4
	VMOVDQU64 0x140(P), D5
	BEGIN8(D0, D1)
	VMOVDQU64 0x180(P), B0
	VMOVDQU64 0x1c0(P), B1
	REST8(D0, D1, D2, D3, D4, D5, B0, B1)
	PRODUCTS(D4, D5, B0, B1)
	REDUCE512
	RET

// divide512: the sixteen registers of the digits are all from 16 up.
#define B8  Z24
#define B9  Z25
#define B10 Z26
#define B11 Z27
#define B12 Z28
#define B13 Z29
#define B14 Z30
#define B15 Z31
#undef HEAD
#undef T
#undef ZERO
#define HEAD  Z0
#undef CRC
#define CRC   Z1
#define T     Z2
#define ZERO  Z3

// DIVIDE16 makes the block at P+at the next digit: b has b[i-16] and becomes
// b[i], b4 is b[i-4] and b11 b[i-11].
#define DIVIDE16(at, b, b4, b11) \
	VPXORQ     at(P), b, b;                  \
	VPTERNLOGQ $0x96, b4, b11, b

// REST16 makes B0 to B15 the remainder, where they are the last digits. Of the last block
// it takes the bytes of K2.
#define REST16 \
	DIVIDE16(0x000, B0, B12, B5);            \
	DIVIDE16(0x040, B1, B13, B6);            \
	DIVIDE16(0x080, B2, B14, B7);            \
	DIVIDE16(0x0c0, B3, B15, B8);            \
	VPTERNLOGQ $0x96, 0x100(P), B9, B4;      \
	VPTERNLOGQ $0x96, 0x140(P), B10, B5;     \
	VPTERNLOGQ $0x96, 0x180(P), B11, B6;     \
	VPTERNLOGQ $0x96, 0x1c0(P), B12, B7;     \
	VPTERNLOGQ $0x96, 0x200(P), B13, B8;     \
	VPTERNLOGQ $0x96, 0x240(P), B14, B9;     \
	VPTERNLOGQ $0x96, 0x280(P), B15, B10;    \
	VPXORQ     0x2c0(P), B11, B11;           \
	VPXORQ     0x300(P), B12, B12;           \
	VPXORQ     0x340(P), B13, B13;           \
	VPXORQ     0x380(P), B14, B14;           \
	VMOVDQU8.Z 0x3c0(P), K2, T;              \
	VPXORQ     T, B15, B15

// PAD512 sets PAD to how many bytes there are behind the buffer up to the end of
// the cache line, adds them to N, and sets K2 to which bytes of that line are the
// buffer's.
#define PAD512 \
	MOVQ  p+8(FP), PAD;                      \
	ADDL  N, PAD;                            \
	NEGL  PAD;                               \
	ANDL  $63, PAD;                          \
	ADDQ  PAD, N;                            \
	MOVQ  $-1, AX;                           \
	SHRXQ PAD, AX, AX;                       \
	KMOVQ AX, K2

// PRODUCTP multiplies the block b by its places, H in front of L, and adds it to SUM.
#define PRODUCTP(b, places) \
	VPSHUFB    REV, b, b;                    \
	VMOVDQU64  places, T;                    \
	VPCLMULQDQ $0x10, T, b, LOW;             \
	VPCLMULQDQ $0x01, T, b, T;               \
	VPTERNLOGQ $0x96, LOW, T, SUM

// PRODUCTSP is PRODUCTS where PAD = k bytes too many are behind the blocks. Row k%8 of
// the table begins 320·(k%8) bytes behind row 0, and the quadword is 8·(k/8) bytes
// behind that: k + 319·(k%8) in all.
#define PRODUCTSP \
	VBROADCASTI32X4 reverse<>(SB), REV;      \
	MOVL   PAD, AX;                          \
	ANDL   $7, AX;                           \
	IMUL3Q $319, AX, AX;                     \
	ADDQ   ·gfni(SB), PAD;                   \
	VPXORQ SUM, SUM, SUM;                    \
	PRODUCTP(B15, (matrices_padded+192)(PAD)(AX*1)); \
	PRODUCTP(B12, (matrices_padded+0)(PAD)(AX*1)); \
	PRODUCTP(B13, (matrices_padded+64)(PAD)(AX*1)); \
	PRODUCTP(B14, (matrices_padded+128)(PAD)(AX*1))

// divide512 takes 1025 bytes and more: DIVIDE16.
//
// Requires: BMI2, AVX512F, BW, VL, DQ, VBMI2, VPCLMULQDQ.
TEXT divide512<>(SB), NOSPLIT, $0-32
	PAD512
	START(63)
	JEQ one

two:
	HEAD512(X1)
	ENTER512(enter512, 16, 2)

one:
	ONE(two)

// FIRST16 is FIRST8 in 128 bytes.
#define FIRST16(clear, last, next, at, step) \
	PCALIGN   $128;                          \
	clear;                                   \
	VMOVDQA64 HEAD, last;                    \
	VMOVDQU64 at(P), next;                   \
	JMP       step

TEXT enter512<>(SB), NOSPLIT, $0-32
	PCALIGN   $128
	CLEAR15
	VMOVDQA64 HEAD, B15
	JMP       step16
	FIRST16(CLEAR14, B14, B15, 0x3c0, step16)
	FIRST16(CLEAR13, B13, B14, 0x380, first15)
	FIRST16(CLEAR12, B12, B13, 0x340, first14)
	FIRST16(CLEAR11, B11, B12, 0x300, first13)
	FIRST16(CLEAR10, B10, B11, 0x2c0, first12)
	FIRST16(CLEAR9, B9, B10, 0x280, first11)
	FIRST16(CLEAR8, B8, B9, 0x240, first10)
	FIRST16(CLEAR7, B7, B8, 0x200, first9)
	FIRST16(CLEAR6, B6, B7, 0x1c0, first8)
	FIRST16(CLEAR5, B5, B6, 0x180, first7)
	FIRST16(CLEAR4, B4, B5, 0x140, first6)
	FIRST16(CLEAR3, B3, B4, 0x100, first5)
	FIRST16(CLEAR2, B2, B3, 0x0c0, first4)
	FIRST16(CLEAR1, B1, B2, 0x080, first3)
	PCALIGN   $128

first1:
	VMOVDQA64 HEAD, B0
	VMOVDQU64 0x040(P), B1

	VMOVDQU64 0x080(P), B2

first3:
	VMOVDQU64 0x0c0(P), B3

first4:
	VMOVDQU64 0x100(P), B4
	VPXORQ    B0, B4, B4

first5:
	VMOVDQU64 0x140(P), B5
	VPXORQ    B1, B5, B5

first6:
	VMOVDQU64 0x180(P), B6
	VPXORQ    B2, B6, B6

first7:
	VMOVDQU64 0x1c0(P), B7
	VPXORQ    B3, B7, B7

first8:
	VMOVDQU64 0x200(P), B8
	VPXORQ    B4, B8, B8

first9:
	VMOVDQU64 0x240(P), B9
	VPXORQ    B5, B9, B9

first10:
	VMOVDQU64 0x280(P), B10
	VPXORQ    B6, B10, B10

first11:
	VMOVDQU64  0x2c0(P), B11
	VPTERNLOGQ $0x96, B7, B0, B11

first12:
	VMOVDQU64  0x300(P), B12
	VPTERNLOGQ $0x96, B8, B1, B12

first13:
	VMOVDQU64  0x340(P), B13
	VPTERNLOGQ $0x96, B9, B2, B13

first14:
	VMOVDQU64  0x380(P), B14
	VPTERNLOGQ $0x96, B10, B3, B14

first15:
	VMOVDQU64  0x3c0(P), B15
	VPTERNLOGQ $0x96, B11, B4, B15
	JMP step16
	PCALIGN $32

step0:
	DIVIDE16(0x000, B0, B12, B5)
	DIVIDE16(0x040, B1, B13, B6)
	DIVIDE16(0x080, B2, B14, B7)
	DIVIDE16(0x0c0, B3, B15, B8)
	DIVIDE16(0x100, B4, B0, B9)
	DIVIDE16(0x140, B5, B1, B10)
	DIVIDE16(0x180, B6, B2, B11)
	DIVIDE16(0x1c0, B7, B3, B12)
	DIVIDE16(0x200, B8, B4, B13)
	DIVIDE16(0x240, B9, B5, B14)
	DIVIDE16(0x280, B10, B6, B15)
	DIVIDE16(0x2c0, B11, B7, B0)
	DIVIDE16(0x300, B12, B8, B1)
	DIVIDE16(0x340, B13, B9, B2)
	DIVIDE16(0x380, B14, B10, B3)
	DIVIDE16(0x3c0, B15, B11, B4)

step16:
	ADDQ $1024, P
	SUBQ $1024, N
	JCC  step0
	REST16
	VPXORQ ZERO, ZERO, ZERO
	HALVE16
	PRODUCTSP
	REDUCE512
	VZEROUPPER
	RET

// Blocks of 32 bytes: all as above, without what AVX2 lacks. PERM2 takes the
// halves of two registers, and every XOR is of two.

#undef B0
#undef B1
#undef B2
#undef B3
#undef B4
#undef B5
#undef B6
#undef B7
#undef B8
#undef B9
#undef B10
#undef B11
#undef B12
#undef B13
#undef B14
#undef B15
#undef HEAD
#undef D0
#undef D1
#undef D2
#undef D3
#undef D4
#undef D5
#undef T
#undef ZERO
#undef REV
#undef SUM
#undef LOW
#define B0    Y0
#define B1    Y1
#define B2    Y2
#define B3    Y3
#define B4    Y4
#define B5    Y5
#define B6    Y6
#define B7    Y7
#define HEAD  Y15
#define T     Y9

// HEAD256 is the same for blocks of 32 bytes, with HEAD in Y15. Of h bytes the
// first half of it has bytes h-32 to h-17, the second those behind: of 16 bytes
// loaded from the start, or from byte h-16, slide<> takes what exists of these.
#define HEAD256 \
	LEAQ    slide<>+1(SB), AX;               \
	ADDQ    DX, AX;                          \
	XORL    R9, R9;                          \
	MOVQ    DX, R8;                          \
	SUBQ    $15, R8;                         \
	CMOVQLT R9, R8;                          \
	VMOVQ   crc+0(FP), X13;                  \
	VPXOR   (P), X13, X15;                   \
	VPSHUFB (AX), X15, X15;                  \
	VMOVDQU (P)(R8*1), X14;                  \
	VPSHUFB 16(AX), X13, X13;                \
	SUBQ    R8, AX;                          \
	VPSHUFB 16(AX), X14, X14;                \
	VPXOR   X13, X14, X14;                   \
	VINSERTI128 $1, X14, Y15, Y15;           \
	LEAQ    1(P)(DX*1), P

// ENTER256 is the same for blocks of 32 bytes.
#define ENTER256(stubs, blocks, scale) \
	SUBQ $(32*blocks), N;                    \
	MOVL N, AX;                              \
	ANDL $(32*blocks-32), AX;                \
	LEAQ stubs<>(SB), DX;                    \
	LEAQ -(32*blocks)(P)(AX*1), P;           \
	LEAQ (DX)(AX*scale), DX;                 \
	JMP  DX

#define CLEARY1 VPXOR B0, B0, B0
#define CLEARY2 CLEARY1; VPXOR B1, B1, B1
#define CLEARY3 CLEARY2; VPXOR B2, B2, B2
#define CLEARY4 CLEARY3; VPXOR B3, B3, B3
#define CLEARY5 CLEARY4; VPXOR B4, B4, B4
#define CLEARY6 CLEARY5; VPXOR B5, B5, B5
#define CLEARY7 CLEARY6; VPXOR B6, B6, B6
#define CLEARY8 CLEARY7; VPXOR B7, B7, B7
#define CLEARY9 CLEARY8; VPXOR B8, B8, B8
#define CLEARY10 CLEARY9; VPXOR B9, B9, B9
#define CLEARY11 CLEARY10; VPXOR B10, B10, B10
#define CLEARY12 CLEARY11; VPXOR B11, B11, B11
#define CLEARY13 CLEARY12; VPXOR B12, B12, B12
#define CLEARY14 CLEARY13; VPXOR B13, B13, B13
#define CLEARY15 CLEARY14; VPXOR B14, B14, B14

#define DIVIDE8Y(at, b, b2, b5, b6) \
	VPXOR      at(P), b, b;                  \
	VPERM2I128 $0x21, b5, b6, T;             \
	VPXOR      T, b, b;                      \
	VPXOR      b2, b, b

// ADD8Y adds the block d and the digit of which b6 has the second half and b5
// the first.
#define ADD8Y(d, b, b5, b6) \
	VPERM2I128 $0x21, b5, b6, T;             \
	VPXOR      d, b, b;                      \
	VPXOR      T, b, b

// ADD4Y adds the block d and the digit of which b3 has the last three quarters
// and b2 the first.
#define ADD4Y(d, b, b2, b3) \
	VPERM2I128 $0x21, b2, b3, T;             \
	VPALIGNR   $8, b3, T, T;                 \
	VPXOR      d, b, b;                      \
	VPXOR      T, b, b

#define REST4Y(d0, d1, d2, d3) \
	VPXOR      B3, B0, B0;                   \
	ADD4Y(d0, B0, B2, B1);                   \
	ADD4Y(d1, B1, B3, B2);                   \
	VPERM2I128 $0x81, B3, B3, T;             \
	VPALIGNR   $8, B3, T, T;                 \
	VPXOR      d2, B2, B2;                   \
	VPXOR      T, B2, B2;                    \
	VPXOR      d3, B3, B3

// REST8Y leaves the last block to the caller.
#define REST8Y(d0, d1, d2, d3, d4, d5, d6) \
	ADD8Y(d0, B0, B3, B2);                   \
	VPXOR      B6, B0, B0;                   \
	ADD8Y(d1, B1, B4, B3);                   \
	VPXOR      B7, B1, B1;                   \
	ADD8Y(d2, B2, B5, B4);                   \
	ADD8Y(d3, B3, B6, B5);                   \
	ADD8Y(d4, B4, B7, B6);                   \
	VPERM2I128 $0x81, B7, B7, T;             \
	VPXOR      d5, B5, B5;                   \
	VPXOR      T, B5, B5;                    \
	VPXOR      d6, B6, B6

#define HALVE16Y \
	VPXOR      B0, B2, B2;                   \
	VPXOR      B1, B3, B3;                   \
	VPXOR      B2, B4, B4;                   \
	VPERM2I128 $0x08, B0, B0, T;             \
	VPXOR      B3, B5, B5;                   \
	VPXOR      T, B5, B5;                    \
	ADD8Y(B4, B6, B1, B0);                   \
	ADD8Y(B5, B7, B2, B1);                   \
	REST8Y(B8, B9, B10, B11, B12, B13, B14)

#define HALVE8Y \
	VPXOR      B0, B1, B1;                   \
	VPERM2I128 $0x08, B0, B0, T;             \
	VPSLLDQ    $8, T, T;                     \
	VPXOR      B1, B2, B2;                   \
	VPXOR      T, B2, B2;                    \
	ADD4Y(B2, B3, B1, B0);                   \
	REST4Y(B4, B5, B6, B7)

// PRODUCTY makes the block b the sum of its products by its places. In registers of 256
// bits it is two blocks of 16 bytes, each by its own. t and u are lost.
#define PRODUCTY(rev, b, places, t, u) \
	VMOVDQU    places, t;                    \
	VPSHUFB    rev, b, b;                    \
	VPCLMULQDQ $0x11, t, b, u;               \
	VPCLMULQDQ $0x00, t, b, b;               \
	VPXOR      u, b, b

// PRODUCTS256 makes X8 the sum of the products of B0 to B3. It needs VPCLMULQDQ.
#define PRODUCTS256 \
	VBROADCASTI128 reverse<>(SB), Y15;       \
	PRODUCTY(Y15, B3, ·places+288(SB), Y14, Y7); \
	PRODUCTY(Y15, B0, ·places+192(SB), Y13, Y4); \
	PRODUCTY(Y15, B1, ·places+224(SB), Y12, Y5); \
	PRODUCTY(Y15, B2, ·places+256(SB), Y11, Y6); \
	VPXOR        B0, B3, B3;                 \
	VPXOR        B1, B3, B3;                 \
	VPXOR        B2, B3, B3;                 \
	VEXTRACTI128 $1, Y3, X8;                 \
	VPXOR        X3, X8, X8

// QUARTERY makes the remainder B0 to B3, of 8 times 16 bytes, one of 4 in X2, X6, X3, X7,
// by DIVIDE4 with blocks of 16 bytes. The digits are X0, X4, X1, X5.
#define QUARTERY \
	VEXTRACTI128 $1, Y0, X4;                 \
	VEXTRACTI128 $1, Y1, X5;                 \
	VEXTRACTI128 $1, Y2, X6;                 \
	VEXTRACTI128 $1, Y3, X7;                 \
	VPXOR      X0, X4, X4;                   \
	VPSLLDQ    $12, X0, X8;                  \
	VPXOR      X8, X1, X1;                   \
	VPXOR      X4, X1, X1;                   \
	VPALIGNR   $4, X0, X4, X8;               \
	VPXOR      X8, X5, X5;                   \
	VPXOR      X1, X5, X5;                   \
	VPXOR      X0, X2, X2;                   \
	VPALIGNR   $4, X4, X1, X8;               \
	VPXOR      X8, X2, X2;                   \
	VPXOR      X5, X2, X2;                   \
	VPXOR      X4, X6, X6;                   \
	VPALIGNR   $4, X1, X5, X8;               \
	VPXOR      X8, X6, X6;                   \
	VPXOR      X1, X3, X3;                   \
	VPSRLDQ    $4, X5, X8;                   \
	VPXOR      X8, X3, X3;                   \
	VPXOR      X5, X7, X7

// PRODUCTS128 makes X8 the sum of the products of X2, X6, X3, X7.
#define PRODUCTS128 \
	VMOVDQU reverse<>(SB), X15;              \
	PRODUCTY(X15, X2, ·places+256(SB), X14, X8); \
	PRODUCTY(X15, X6, ·places+272(SB), X13, X9); \
	PRODUCTY(X15, X3, ·places+288(SB), X12, X10); \
	PRODUCTY(X15, X7, ·places+304(SB), X11, X1); \
	VPXOR   X6, X2, X2;                      \
	VPXOR   X3, X2, X2;                      \
	VPXOR   X7, X2, X8

// FINISHY reduces the remainder B0 to B3 and stores the result.
#define FINISHY(quarter, reduce) \
	CMPB ·vpclmulqdq(SB), $0;                \
	JEQ  quarter;                            \
	PRODUCTS256;                             \
	JMP  reduce;                             \
quarter:                                 \
	QUARTERY;                                \
	PRODUCTS128;                             \
reduce:                                  \
	VMOVDQU    mu<>(SB), X15;                \
	VPCLMULQDQ $0x01, X15, X8, X9;           \
	VPXOR      X8, X9, X9;                   \
	VPSLLQ     $5, X9, X10;                  \
	VPSLLQ     $12, X9, X11;                 \
	VPSLLDQ    $2, X8, X8;                   \
	VPXOR      X10, X11, X11;                \
	VPXOR      X8, X9, X9;                   \
	VPXOR      X11, X9, X9;                  \
	VMOVHPS    X9, ret+24(FP);               \
	VZEROUPPER

// divide128y takes 257 bytes and more: DIVIDE8.
//
// Requires: PCLMULQDQ, AVX2. Uses VPCLMULQDQ where the CPU has it.
TEXT divide128y<>(SB), NOSPLIT, $0-32
	START(31)
	JEQ one

two:
	HEAD256
	ENTER256(enter128y, 8, 2)

one:
	ONE(two)

#define FIRST8Y(clear, last, next, at, step) \
	PCALIGN $64;                             \
	clear;                                   \
	VMOVDQA HEAD, last;                      \
	VMOVDQU at(P), next;                     \
	JMP     step

TEXT enter128y<>(SB), NOSPLIT, $0-32
	CLEARY7
	VMOVDQA HEAD, B7
	JMP     step8
	FIRST8Y(CLEARY6, B6, B7, 0xe0, step8)
	FIRST8Y(CLEARY5, B5, B6, 0xc0, first7)
	FIRST8Y(CLEARY4, B4, B5, 0xa0, first6)
	FIRST8Y(CLEARY3, B3, B4, 0x80, first5)
	FIRST8Y(CLEARY2, B2, B3, 0x60, first4)
	FIRST8Y(CLEARY1, B1, B2, 0x40, first3)
	PCALIGN $64

first1:
	VMOVDQA HEAD, B0
	VMOVDQU 0x20(P), B1
	VMOVDQU 0x40(P), B2
	VPXOR   B0, B2, B2

first3:
	VMOVDQU 0x60(P), B3
	VPXOR   B1, B3, B3

first4:
	VMOVDQU 0x80(P), B4
	VPXOR   B2, B4, B4

first5:
	VMOVDQU 0xa0(P), B5
	VPXOR   B3, B5, B5
	VPERM2I128 $0x08, B0, B0, T
	VPXOR      T, B5, B5

first6:
	VMOVDQU 0xc0(P), B6
	VPXOR   B4, B6, B6
	VPERM2I128 $0x21, B1, B0, T
	VPXOR      T, B6, B6

first7:
	VMOVDQU 0xe0(P), B7
	VPXOR   B5, B7, B7
	VPERM2I128 $0x21, B2, B1, T
	VPXOR      T, B7, B7
	JMP        step8
	PCALIGN    $32

step0:
	DIVIDE8Y(0x00, B0, B6, B3, B2)
	DIVIDE8Y(0x20, B1, B7, B4, B3)
	DIVIDE8Y(0x40, B2, B0, B5, B4)
	DIVIDE8Y(0x60, B3, B1, B6, B5)
	DIVIDE8Y(0x80, B4, B2, B7, B6)
	DIVIDE8Y(0xa0, B5, B3, B0, B7)
	DIVIDE8Y(0xc0, B6, B4, B1, B0)
	DIVIDE8Y(0xe0, B7, B5, B2, B1)

step8:
	ADDQ  $256, P
	SUBQ  $256, N
	JCC   step0
	REST8Y(0x00(P), 0x20(P), 0x40(P), 0x60(P), 0x80(P), 0xa0(P), 0xc0(P))
	VPXOR 0xe0(P), B7, B7
	HALVE8Y
	FINISHY(quarter, reduce)
	RET

// divide256y: all registers have digits. The head waits in B15. At the end B15 makes way
// for T: it goes to the frame of long, whose arguments nobody needs any more.
#undef T
#define B8    Y8
#define B9    Y9
#define B10   Y10
#define B11   Y11
#define B12   Y12
#define B13   Y13
#define B14   Y14
#define B15   Y15
#define T     Y15

#define DIVIDE16Y(at, b, b4, b11) \
	VPXOR b11, b, b;                         \
	VPXOR at(P), b, b;                       \
	VPXOR b4, b, b

#define ADD16Y(at, b, b11) \
	VPXOR at(P), b, b;                       \
	VPXOR b11, b, b

#define REST16Y \
	ADD16Y(0x000, B0, B5);                   \
	VPXOR B12, B0, B0;                       \
	ADD16Y(0x020, B1, B6);                   \
	VPXOR B13, B1, B1;                       \
	ADD16Y(0x040, B2, B7);                   \
	VPXOR B14, B2, B2;                       \
	ADD16Y(0x060, B3, B8);                   \
	VPXOR B15, B3, B3;                       \
	ADD16Y(0x080, B4, B9);                   \
	ADD16Y(0x0a0, B5, B10);                  \
	ADD16Y(0x0c0, B6, B11);                  \
	ADD16Y(0x0e0, B7, B12);                  \
	ADD16Y(0x100, B8, B13);                  \
	ADD16Y(0x120, B9, B14);                  \
	ADD16Y(0x140, B10, B15);                 \
	VPXOR 0x160(P), B11, B11;                \
	VPXOR 0x180(P), B12, B12;                \
	VPXOR 0x1a0(P), B13, B13;                \
	VPXOR 0x1c0(P), B14, B14;                \
	VPXOR 0x1e0(P), B15, B15

// divide256y takes 513 bytes and more: DIVIDE16.
//
// Requires: PCLMULQDQ, AVX2. Uses VPCLMULQDQ where the CPU has it.
TEXT divide256y<>(SB), NOSPLIT, $0-32
	START(31)
	JEQ one

two:
	HEAD256
	ENTER256(enter256y, 16, 4)

one:
	ONE(two)

#define FIRST16Y(clear, last, next, at, step) \
	PCALIGN $128;                            \
	clear;                                   \
	VMOVDQA HEAD, last;                      \
	VMOVDQU at(P), next;                     \
	JMP     step

TEXT enter256y<>(SB), NOSPLIT, $0-32
	PCALIGN $128
	CLEARY15
	JMP     step16               // HEAD is B15
	FIRST16Y(CLEARY14, B14, B15, 0x1e0, step16)
	FIRST16Y(CLEARY13, B13, B14, 0x1c0, first15)
	FIRST16Y(CLEARY12, B12, B13, 0x1a0, first14)
	FIRST16Y(CLEARY11, B11, B12, 0x180, first13)
	FIRST16Y(CLEARY10, B10, B11, 0x160, first12)
	FIRST16Y(CLEARY9, B9, B10, 0x140, first11)
	FIRST16Y(CLEARY8, B8, B9, 0x120, first10)
	FIRST16Y(CLEARY7, B7, B8, 0x100, first9)
	FIRST16Y(CLEARY6, B6, B7, 0x0e0, first8)
	FIRST16Y(CLEARY5, B5, B6, 0x0c0, first7)
	FIRST16Y(CLEARY4, B4, B5, 0x0a0, first6)
	FIRST16Y(CLEARY3, B3, B4, 0x080, first5)
	FIRST16Y(CLEARY2, B2, B3, 0x060, first4)
	FIRST16Y(CLEARY1, B1, B2, 0x040, first3)
	PCALIGN $128

first1:
	VMOVDQA HEAD, B0
	VMOVDQU 0x020(P), B1

	VMOVDQU 0x040(P), B2

first3:
	VMOVDQU 0x060(P), B3

first4:
	VMOVDQU 0x080(P), B4
	VPXOR   B0, B4, B4

first5:
	VMOVDQU 0x0a0(P), B5
	VPXOR   B1, B5, B5

first6:
	VMOVDQU 0x0c0(P), B6
	VPXOR   B2, B6, B6

first7:
	VMOVDQU 0x0e0(P), B7
	VPXOR   B3, B7, B7

first8:
	VMOVDQU 0x100(P), B8
	VPXOR   B4, B8, B8

first9:
	VMOVDQU 0x120(P), B9
	VPXOR   B5, B9, B9

first10:
	VMOVDQU 0x140(P), B10
	VPXOR   B6, B10, B10

first11:
	VMOVDQU 0x160(P), B11
	VPXOR   B7, B11, B11
	VPXOR B0, B11, B11

first12:
	VMOVDQU 0x180(P), B12
	VPXOR   B8, B12, B12
	VPXOR B1, B12, B12

first13:
	VMOVDQU 0x1a0(P), B13
	VPXOR   B9, B13, B13
	VPXOR B2, B13, B13

first14:
	VMOVDQU 0x1c0(P), B14
	VPXOR   B10, B14, B14
	VPXOR B3, B14, B14

first15:
	VMOVDQU 0x1e0(P), B15
	VPXOR   B11, B15, B15
	VPXOR B4, B15, B15
	JMP step16
	PCALIGN $32

step0:
	DIVIDE16Y(0x000, B0, B12, B5)
	DIVIDE16Y(0x020, B1, B13, B6)
	DIVIDE16Y(0x040, B2, B14, B7)
	DIVIDE16Y(0x060, B3, B15, B8)
	DIVIDE16Y(0x080, B4, B0, B9)
	DIVIDE16Y(0x0a0, B5, B1, B10)
	DIVIDE16Y(0x0c0, B6, B2, B11)
	DIVIDE16Y(0x0e0, B7, B3, B12)
	DIVIDE16Y(0x100, B8, B4, B13)
	DIVIDE16Y(0x120, B9, B5, B14)
	DIVIDE16Y(0x140, B10, B6, B15)
	DIVIDE16Y(0x160, B11, B7, B0)
	DIVIDE16Y(0x180, B12, B8, B1)
	DIVIDE16Y(0x1a0, B13, B9, B2)
	DIVIDE16Y(0x1c0, B14, B10, B3)
	DIVIDE16Y(0x1e0, B15, B11, B4)

step16:
	ADDQ $512, P
	SUBQ $512, N
	JCC  step0
	REST16Y
	VMOVDQU B15, crc+0(FP)
	HALVE16Y
	VPXOR crc+0(FP), B7, B7
	HALVE8Y
	FINISHY(quarter, reduce)
	DOTAIL(512, products16<>(SB), done)

// Blocks of 16 bytes, with nothing that is younger than SSSE3.

#undef B0
#undef B1
#undef B2
#undef B3
#undef B4
#undef B5
#undef B6
#undef B7
#undef HEAD
#undef T
#define B0    X0
#define B1    X1
#define B2    X2
#define B3    X3
#define B4    X4
#define B5    X5
#define B6    X6
#define B7    X7
#define HEAD  X8
#define T     X10
#define U     X11
#define SUM   X12
#define REV   X13

// HEAD128 is the same for blocks of 16 bytes.
#define HEAD128 \
	LEAQ   slide<>+17(SB), AX;               \
	MOVQ   crc+0(FP), HEAD;                  \
	MOVOU  (P), T;                           \
	PXOR   T, HEAD;                          \
	MOVOU  (AX)(DX*1), T;                    \
	PSHUFB T, HEAD;                          \
	LEAQ   1(P)(DX*1), P

#define DIVIDE8X(at, b, b2, b5, b6) \
	MOVOU   at(P), T;                        \
	MOVO    b5, U;                           \
	PALIGNR $8, b6, U;                       \
	PXOR    T, b;                            \
	PXOR    U, b;                            \
	PXOR    b2, b

#define ADD8X(at, b, b5, b6) \
	MOVOU   at(P), T;                        \
	MOVO    b5, U;                           \
	PALIGNR $8, b6, U;                       \
	PXOR    T, b;                            \
	PXOR    U, b

#define REST8X \
	DIVIDE8X(0x00, B0, B6, B3, B2);          \
	DIVIDE8X(0x10, B1, B7, B4, B3);          \
	ADD8X(0x20, B2, B5, B4);                 \
	ADD8X(0x30, B3, B6, B5);                 \
	ADD8X(0x40, B4, B7, B6);                 \
	PXOR  HEAD, HEAD;                        \
	ADD8X(0x50, B5, HEAD, B7);               \
	MOVOU 0x60(P), T;                        \
	PXOR  T, B6;                             \
	MOVOU 0x70(P), T;                        \
	PXOR  T, B7

// PRODUCTX multiplies the block b by its place and adds it to SUM.
#define PRODUCTX(b, place) \
	PSHUFB    REV, b;                        \
	MOVO      b, U;                          \
	PCLMULQDQ $0x00, place, b;               \
	PCLMULQDQ $0x11, place, U;               \
	PXOR      b, SUM;                        \
	PXOR      U, SUM

// REDUCEX reduces SUM and returns.
#define REDUCEX \
	MOVO      SUM, T;                        \
	PCLMULQDQ $0x01, mu<>(SB), T;            \
	PXOR      SUM, T;                        \
	MOVO      T, U;                          \
	PSLLQ     $5, U;                         \
	PSLLO     $2, SUM;                       \
	PXOR      T, SUM;                        \
	PSLLQ     $12, T;                        \
	PXOR      U, T;                          \
	PXOR      T, SUM;                        \
	MOVHPS    SUM, ret+24(FP);               \
	RET

// products16 takes 17 to 128 bytes.
//
// Requires: PCLMULQDQ, SSSE3.
TEXT products16<>(SB), NOSPLIT, $0-32
	START(15)
	JEQ one

two:
	HEAD128
	MOVOU reverse<>(SB), REV
	PXOR  SUM, SUM
	LEAQ  ·places+320(SB), DX
	ANDQ  $-16, N
	ADDQ  N, P
	NEGQ  N
	PRODUCTX(HEAD, -16(DX)(N*1))
	PCALIGN $32

next:
	MOVOU (P)(N*1), B0
	PRODUCTX(B0, (DX)(N*1))
	ADDQ  $16, N
	JNZ   next
	REDUCEX

one:
	ONE(two)

// QUARTERX makes the remainder B0 to B7 one of B4 to B7, by DIVIDE4.
#define QUARTERX \
	PXOR    B0, B1;                          \
	MOVO    B0, T;                           \
	PSLLO   $12, T;                          \
	PXOR    T, B2;                           \
	PXOR    B1, B2;                          \
	MOVO    B1, T;                           \
	PALIGNR $4, B0, T;                       \
	PXOR    T, B3;                           \
	PXOR    B2, B3;                          \
	MOVO    B2, T;                           \
	PALIGNR $4, B1, T;                       \
	PXOR    B0, B4;                          \
	PXOR    T, B4;                           \
	PXOR    B3, B4;                          \
	MOVO    B3, T;                           \
	PALIGNR $4, B2, T;                       \
	PXOR    B1, B5;                          \
	PXOR    T, B5;                           \
	MOVO    B3, T;                           \
	PSRLO   $4, T;                           \
	PXOR    B2, B6;                          \
	PXOR    T, B6;                           \
	PXOR    B3, B7

// divide64 takes 129 bytes and more: DIVIDE8.
//
// Requires: PCLMULQDQ, SSSE3.
TEXT divide64<>(SB), NOSPLIT, $0-32
	START(15)
	JEQ one

two:
	HEAD128
	SUBQ $128, N
	MOVL N, AX
	ANDL $112, AX
	LEAQ -128(P)(AX*1), P
	LEAQ enter64<>(SB), DX
	LEAQ (DX)(AX*4), DX
	JMP  DX

one:
	ONE(two)

#define CLEARX1 PXOR B0, B0
#define CLEARX2 CLEARX1; PXOR B1, B1
#define CLEARX3 CLEARX2; PXOR B2, B2
#define CLEARX4 CLEARX3; PXOR B3, B3
#define CLEARX5 CLEARX4; PXOR B4, B4
#define CLEARX6 CLEARX5; PXOR B5, B5
#define CLEARX7 CLEARX6; PXOR B6, B6

#define FIRST8X(clear, last, next, at, step) \
	PCALIGN $64;                             \
	clear;                                   \
	MOVO    HEAD, last;                      \
	MOVOU   at(P), next;                     \
	JMP     step

#define ADD6X(b, b5, b6) \
	MOVO    b5, U;                           \
	PALIGNR $8, b6, U;                       \
	PXOR    U, b

TEXT enter64<>(SB), NOSPLIT, $0-32
	CLEARX7
	MOVO    HEAD, B7
	JMP     step8
	FIRST8X(CLEARX6, B6, B7, 0x70, step8)
	FIRST8X(CLEARX5, B5, B6, 0x60, first7)
	FIRST8X(CLEARX4, B4, B5, 0x50, first6)
	FIRST8X(CLEARX3, B3, B4, 0x40, first5)
	FIRST8X(CLEARX2, B2, B3, 0x30, first4)
	FIRST8X(CLEARX1, B1, B2, 0x20, first3)
	PCALIGN $64

first1:
	MOVO  HEAD, B0
	MOVOU 0x10(P), B1

	MOVOU 0x20(P), B2
	PXOR  B0, B2

first3:
	MOVOU 0x30(P), B3
	PXOR  B1, B3

first4:
	MOVOU 0x40(P), B4
	PXOR  B2, B4

first5:
	MOVOU 0x50(P), B5
	PXOR  B3, B5
	MOVO  B0, U
	PSLLO $8, U
	PXOR  U, B5

first6:
	MOVOU 0x60(P), B6
	PXOR  B4, B6
	ADD6X(B6, B1, B0)

first7:
	MOVOU   0x70(P), B7
	PXOR    B5, B7
	ADD6X(B7, B2, B1)
	JMP     step8
	PCALIGN $32

step0:
	DIVIDE8X(0x00, B0, B6, B3, B2)
	DIVIDE8X(0x10, B1, B7, B4, B3)
	DIVIDE8X(0x20, B2, B0, B5, B4)
	DIVIDE8X(0x30, B3, B1, B6, B5)
	DIVIDE8X(0x40, B4, B2, B7, B6)
	DIVIDE8X(0x50, B5, B3, B0, B7)
	DIVIDE8X(0x60, B6, B4, B1, B0)
	DIVIDE8X(0x70, B7, B5, B2, B1)

step8:
	ADDQ  $128, P
	SUBQ  $128, N
	JCC   step0
	REST8X
	QUARTERX
	MOVOU reverse<>(SB), REV
	PXOR  SUM, SUM
	PRODUCTX(B7, ·places+304(SB))
	PRODUCTX(B4, ·places+256(SB))
	PRODUCTX(B5, ·places+272(SB))
	PRODUCTX(B6, ·places+288(SB))
	REDUCEX
