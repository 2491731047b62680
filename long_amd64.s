//go:build gc && !purego

#include "textflag.h"

// Long buffers.
//
// lfsr512 and lfsr256 divide by a power of P. P has four terms, so P^(2^k) has
// four as well, x^(16·2^k) + x^(12·2^k) + x^(5·2^k) + 1; for 2^k = 512 and 256 all
// gaps are whole registers. Division of the blocks d[i] of a buffer is then
//
//	b[i] = d[i] ^ b[i-4] ^ b[i-11] ^ b[i-16]
//
// with nothing but XOR: no multiplication, no shift, and bytes stay in the
// order of memory. The last sixteen blocks are not divided; what the quotient b
// adds to them makes them the remainder. See also crc16.Checksum, which does
// this with words.
//
// The checksum so far counts as added to the first two bytes of the buffer: it
// is taken for b[-16]. What the registers leave is checksummed by fold1 and
// fold4 of crc16_amd64.s, which also serve what is too short for them.

#define P SI
#define N CX

// DIVIDE512 makes the block at P+at the next block of the quotient: b has
// b[i-16] and becomes b[i], b4 is b[i-4], b11 is b[i-11].
#define DIVIDE512(at, b, b4, b11) \
	VPXORQ     at(P), b, b; \
	VPTERNLOGQ $0x96, b4, b11, b

// LAST4, LAST11 and LAST store what the last sixteen blocks become: no block of
// the quotient follows, so that a block adds those of the three that exist.
#define LAST4_512(at, b, b4, b11) \
	DIVIDE512(at, b, b4, b11); \
	VMOVDQU64 b, at(DI)

#define LAST11_512(at, b, b11) \
	VPXORQ    at(P), b, b; \
	VPXORQ    b11, b, b; \
	VMOVDQU64 b, at(DI)

#define LAST_512(at, b) \
	VPXORQ    at(P), b, b; \
	VMOVDQU64 b, at(DI)

// func lfsr512(crc uint64, p *byte, n int, r *[1024]byte)
//
// The buffer p, of n bytes, a multiple of 1024 and at least 2048, is congruent
// to r. crc is the checksum so far, its high byte first in memory.
//
// Requires: AVX512F.
TEXT ·lfsr512(SB), NOSPLIT, $0-32
	MOVQ   crc+0(FP), AX
	MOVQ   p+8(FP), P
	MOVQ   n+16(FP), N
	MOVQ   r+24(FP), DI
	VPXORQ Z15, Z15, Z15
	VMOVQ  AX, X0
	VMOVDQA64 Z15, Z1
	VMOVDQA64 Z15, Z2
	VMOVDQA64 Z15, Z3
	VMOVDQA64 Z15, Z4
	VMOVDQA64 Z15, Z5
	VMOVDQA64 Z15, Z6
	VMOVDQA64 Z15, Z7
	VMOVDQA64 Z15, Z8
	VMOVDQA64 Z15, Z9
	VMOVDQA64 Z15, Z10
	VMOVDQA64 Z15, Z11
	VMOVDQA64 Z15, Z12
	VMOVDQA64 Z15, Z13
	VMOVDQA64 Z15, Z14
	SUBQ   $1024, N

divide:
	DIVIDE512(0x000, Z0, Z12, Z5)
	DIVIDE512(0x040, Z1, Z13, Z6)
	DIVIDE512(0x080, Z2, Z14, Z7)
	DIVIDE512(0x0c0, Z3, Z15, Z8)
	DIVIDE512(0x100, Z4, Z0, Z9)
	DIVIDE512(0x140, Z5, Z1, Z10)
	DIVIDE512(0x180, Z6, Z2, Z11)
	DIVIDE512(0x1c0, Z7, Z3, Z12)
	DIVIDE512(0x200, Z8, Z4, Z13)
	DIVIDE512(0x240, Z9, Z5, Z14)
	DIVIDE512(0x280, Z10, Z6, Z15)
	DIVIDE512(0x2c0, Z11, Z7, Z0)
	DIVIDE512(0x300, Z12, Z8, Z1)
	DIVIDE512(0x340, Z13, Z9, Z2)
	DIVIDE512(0x380, Z14, Z10, Z3)
	DIVIDE512(0x3c0, Z15, Z11, Z4)
	ADDQ   $1024, P
	SUBQ   $1024, N
	JNZ    divide

	LAST4_512(0x000, Z0, Z12, Z5)
	LAST4_512(0x040, Z1, Z13, Z6)
	LAST4_512(0x080, Z2, Z14, Z7)
	LAST4_512(0x0c0, Z3, Z15, Z8)
	LAST11_512(0x100, Z4, Z9)
	LAST11_512(0x140, Z5, Z10)
	LAST11_512(0x180, Z6, Z11)
	LAST11_512(0x1c0, Z7, Z12)
	LAST11_512(0x200, Z8, Z13)
	LAST11_512(0x240, Z9, Z14)
	LAST11_512(0x280, Z10, Z15)
	LAST_512(0x2c0, Z11)
	LAST_512(0x300, Z12)
	LAST_512(0x340, Z13)
	LAST_512(0x380, Z14)
	LAST_512(0x3c0, Z15)
	VZEROUPPER
	RET

// DIVIDE256 and its kin: the same with registers of 32 bytes.
#define DIVIDE256(at, b, b4, b11) \
	VPXOR at(P), b, b; \
	VPXOR b11, b, b; \
	VPXOR b4, b, b

#define LAST4_256(at, b, b4, b11) \
	DIVIDE256(at, b, b4, b11); \
	VMOVDQU b, at(DI)

#define LAST11_256(at, b, b11) \
	VPXOR   at(P), b, b; \
	VPXOR   b11, b, b; \
	VMOVDQU b, at(DI)

#define LAST_256(at, b) \
	VPXOR   at(P), b, b; \
	VMOVDQU b, at(DI)

// func lfsr256(crc uint64, p *byte, n int, r *[512]byte)
//
// The buffer p, of n bytes, a multiple of 512 and at least 1024, is congruent
// to r. crc is the checksum so far, its high byte first in memory.
//
// Requires: AVX2.
TEXT ·lfsr256(SB), NOSPLIT, $0-32
	MOVQ  crc+0(FP), AX
	MOVQ  p+8(FP), P
	MOVQ  n+16(FP), N
	MOVQ  r+24(FP), DI
	VMOVQ AX, X0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	VPXOR Y8, Y8, Y8
	VPXOR Y9, Y9, Y9
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11
	VPXOR Y12, Y12, Y12
	VPXOR Y13, Y13, Y13
	VPXOR Y14, Y14, Y14
	VPXOR Y15, Y15, Y15
	SUBQ  $512, N

divide:
	DIVIDE256(0x000, Y0, Y12, Y5)
	DIVIDE256(0x020, Y1, Y13, Y6)
	DIVIDE256(0x040, Y2, Y14, Y7)
	DIVIDE256(0x060, Y3, Y15, Y8)
	DIVIDE256(0x080, Y4, Y0, Y9)
	DIVIDE256(0x0a0, Y5, Y1, Y10)
	DIVIDE256(0x0c0, Y6, Y2, Y11)
	DIVIDE256(0x0e0, Y7, Y3, Y12)
	DIVIDE256(0x100, Y8, Y4, Y13)
	DIVIDE256(0x120, Y9, Y5, Y14)
	DIVIDE256(0x140, Y10, Y6, Y15)
	DIVIDE256(0x160, Y11, Y7, Y0)
	DIVIDE256(0x180, Y12, Y8, Y1)
	DIVIDE256(0x1a0, Y13, Y9, Y2)
	DIVIDE256(0x1c0, Y14, Y10, Y3)
	DIVIDE256(0x1e0, Y15, Y11, Y4)
	ADDQ  $512, P
	SUBQ  $512, N
	JNZ   divide

	LAST4_256(0x000, Y0, Y12, Y5)
	LAST4_256(0x020, Y1, Y13, Y6)
	LAST4_256(0x040, Y2, Y14, Y7)
	LAST4_256(0x060, Y3, Y15, Y8)
	LAST11_256(0x080, Y4, Y9)
	LAST11_256(0x0a0, Y5, Y10)
	LAST11_256(0x0c0, Y6, Y11)
	LAST11_256(0x0e0, Y7, Y12)
	LAST11_256(0x100, Y8, Y13)
	LAST11_256(0x120, Y9, Y14)
	LAST11_256(0x140, Y10, Y15)
	LAST_256(0x160, Y11)
	LAST_256(0x180, Y12)
	LAST_256(0x1a0, Y13)
	LAST_256(0x1c0, Y14)
	LAST_256(0x1e0, Y15)
	VZEROUPPER
	RET
