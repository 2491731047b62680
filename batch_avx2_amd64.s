//go:build gc && !purego

#include "textflag.h"

// Many short keys at a time, without AVX-512.
//
// This is the method of batch_amd64.s in half as wide registers: eight keys of
// up to 16 bytes are transposed, so that a quadword has the bytes at one place
// of all eight, and GF2P8AFFINEQB multiplies each place by its two matrices.
//
//  1. Test that each key is of 1 to 16 bytes and that 16 bytes can be read from
//     its start without leaving its page of 4 KiB.
//  2. Load two keys to a register. VPSHUFB reverses the bytes of each, so that
//     place p from the end is byte p of the lane, and puts zeros behind.
//  3. Look for '{' in what is left.
//  4. Transpose: bytes of two keys side by side, then of four; then those of one
//     lane beside those of the other.
//  5. Multiply, and XOR all quadwords into two: the low and the high bytes of
//     the eight slots.
//
// Eight keys that fail a test are left to slots1 of crc16_amd64.s. There is no
// other branch.

#define OPEN 0x7b7b7b7b7b7b7b7b // '{' in every byte

// What is tested of a key: of its address the place in a page, with 15 added,
// and its length with 1 taken off. Then no bit of OUTSIDE may be set.
DATA within<>+0(SB)/8, $0xfff
DATA within<>+8(SB)/8, $-1
GLOBL within<>(SB), RODATA|NOPTR, $16

DATA step<>+0(SB)/8, $15
DATA step<>+8(SB)/8, $-1
GLOBL step<>(SB), RODATA|NOPTR, $16

DATA outside<>+0(SB)/8, $0x1000
DATA outside<>+8(SB)/8, $~15
GLOBL outside<>(SB), RODATA|NOPTR, $16

// The low byte of a length in all bytes. With places<> added, byte p is n-1-p:
// where a key of n bytes has the byte p from its end, and less than 0, for
// which VPSHUFB puts a zero, if it has none.
DATA lengths<>+0(SB)/8, $0x0808080808080808
DATA lengths<>+8(SB)/8, $0x0808080808080808
GLOBL lengths<>(SB), RODATA|NOPTR, $16

DATA places<>+0(SB)/8, $0xf8f9fafbfcfdfeff
DATA places<>+8(SB)/8, $0xf0f1f2f3f4f5f6f7
GLOBL places<>(SB), RODATA|NOPTR, $16

DATA open<>+0(SB)/8, $OPEN
DATA open<>+8(SB)/8, $OPEN
GLOBL open<>(SB), RODATA|NOPTR, $16

// zip<> takes the low and the high quadword, with a byte for each of the keys
// 0, 2, 4, 6, 1, 3, 5, 7, to slots in the order of the keys.
DATA zip<>+0(SB)/8, $0x0d0509010c040800
DATA zip<>+8(SB)/8, $0x0f070b030e060a02
GLOBL zip<>(SB), RODATA|NOPTR, $16

// Registers.
#define DST     DI // where the next eight slots go
#define KEYS    SI // the next eight keys
#define LEFT    CX // keys still to do
#define MAT     DX // the matrices
#define WITHIN  Y8
#define STEP    Y9
#define OUTSIDE Y10
#define LENGTHS Y11
#define PLACES  Y12
#define OPENS   Y13
#define ZIP     X14

// TEST loads the headers of two keys and makes t of them what is tested.
#define TEST(at, h, t) \
	VMOVDQU     at(KEYS), h;     \
	VPAND       WITHIN, h, t;    \
	VPADDQ      STEP, t, t

// LOAD makes y of the two keys at KEYS+at, whose headers are in h.
#define LOAD(at, h, x, y) \
	MOVQ        (at+0)(KEYS), R8; \
	MOVQ        (at+16)(KEYS), R9; \
	VMOVDQU     (R8), x;         \
	VINSERTI128 $1, (R9), y, y;  \
	VPSHUFB     LENGTHS, h, h;   \
	VPADDB      PLACES, h, h;    \
	VPSHUFB     h, y, y

// MULTIPLY multiplies the places in y by the two matrices at MAT+at.
#define MULTIPLY(at, y, low, high) \
	VGF2P8AFFINEQB $0, (at+0)(MAT), y, low; \
	VGF2P8AFFINEQB $0, (at+64)(MAT), y, high

// func slotsShort(dst *Slot, keys *string, n int, m *[4][2][8]uint64) int
//
// The slots of n keys, a multiple of 8, to dst. It stops in front of the first
// eight keys of which one is empty, has more than 16 bytes or a '{', or starts
// in the last 15 bytes of a page, and returns the number of keys done. m is
// matrices.at32.
//
// Requires: AVX2, GFNI.
TEXT ·slotsShort(SB), NOSPLIT, $0-40
	MOVQ           dst+0(FP), DST
	MOVQ           keys+8(FP), KEYS
	MOVQ           n+16(FP), LEFT
	MOVQ           m+24(FP), MAT
	VBROADCASTI128 within<>(SB), WITHIN
	VBROADCASTI128 step<>(SB), STEP
	VBROADCASTI128 outside<>(SB), OUTSIDE
	VBROADCASTI128 lengths<>(SB), LENGTHS
	VBROADCASTI128 places<>(SB), PLACES
	VBROADCASTI128 open<>(SB), OPENS
	VMOVDQU        zip<>(SB), ZIP

group:
	TEST(0, Y0, Y4)
	TEST(32, Y1, Y5)
	TEST(64, Y2, Y6)
	TEST(96, Y3, Y7)
	VPOR           Y4, Y5, Y4
	VPOR           Y6, Y7, Y6
	VPOR           Y4, Y6, Y4
	VPTEST         OUTSIDE, Y4
	JNZ            done

	LOAD(0, Y0, X4, Y4)
	LOAD(32, Y1, X5, Y5)
	LOAD(64, Y2, X6, Y6)
	LOAD(96, Y3, X7, Y7)
	VPCMPEQB       OPENS, Y4, Y0
	VPCMPEQB       OPENS, Y5, Y1
	VPCMPEQB       OPENS, Y6, Y2
	VPCMPEQB       OPENS, Y7, Y3
	VPOR           Y0, Y1, Y0
	VPOR           Y2, Y3, Y2
	VPOR           Y0, Y2, Y0
	VPTEST         Y0, Y0
	JNZ            done

	VPUNPCKLBW     Y5, Y4, Y0
	VPUNPCKHBW     Y5, Y4, Y1
	VPUNPCKLBW     Y7, Y6, Y2
	VPUNPCKHBW     Y7, Y6, Y3
	VPUNPCKLWD     Y2, Y0, Y4
	VPUNPCKHWD     Y2, Y0, Y5
	VPUNPCKLWD     Y3, Y1, Y6
	VPUNPCKHWD     Y3, Y1, Y7
	VPERM2I128     $0x20, Y5, Y4, Y0
	VPERM2I128     $0x31, Y5, Y4, Y1
	VPERM2I128     $0x20, Y7, Y6, Y2
	VPERM2I128     $0x31, Y7, Y6, Y3
	VPUNPCKLDQ     Y1, Y0, Y4 // places 0, 1, 4, 5
	VPUNPCKHDQ     Y1, Y0, Y5 // 2, 3, 6, 7
	VPUNPCKLDQ     Y3, Y2, Y6 // 8, 9, 12, 13
	VPUNPCKHDQ     Y3, Y2, Y7 // 10, 11, 14, 15
	MULTIPLY(0x00, Y4, Y0, Y1)
	MULTIPLY(0x80, Y5, Y2, Y3)
	VPXOR          Y2, Y0, Y0
	VPXOR          Y3, Y1, Y1
	MULTIPLY(0x20, Y6, Y2, Y3)
	VPXOR          Y2, Y0, Y0
	VPXOR          Y3, Y1, Y1
	MULTIPLY(0xa0, Y7, Y2, Y3)
	VPXOR          Y2, Y0, Y0
	VPXOR          Y3, Y1, Y1
	VPUNPCKLQDQ    Y1, Y0, Y2
	VPUNPCKHQDQ    Y1, Y0, Y3
	VPXOR          Y2, Y3, Y2
	VEXTRACTI128   $1, Y2, X3
	VPXOR          X2, X3, X2
	VPSHUFB        ZIP, X2, X2
	VMOVDQU        X2, (DST)
	ADDQ           $16, DST
	ADDQ           $128, KEYS
	SUBQ           $8, LEFT
	JNZ            group

done:
	MOVQ n+16(FP), AX
	SUBQ LEFT, AX
	MOVQ AX, ret+32(FP)
	VZEROUPPER
	RET
