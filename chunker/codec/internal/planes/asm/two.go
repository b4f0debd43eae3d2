package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bf16Down turns s eeeeeeee mmmmmmm into eeeeeeee s mmmmmmm.
func bf16Down() func(reg.VecVirtual) {
	exponent, sign, mantissa := lanes16(8, 0), lanes16(15, 8), lanes16(9, 9)
	return func(x reg.VecVirtual) {
		e, s := YMM(), YMM()
		VPSLLW(Imm(1), x, e)
		VPAND(exponent, e, e)
		VPSRLW(Imm(8), x, s)
		VPAND(sign, s, s)
		VPAND(mantissa, x, x)
		VPOR(e, x, x)
		VPOR(s, x, x)
	}
}

// bf16Up undoes bf16Down.
func bf16Up() func(reg.VecVirtual) {
	exponent, sign, mantissa := lanes16(8, 1), lanes16(15, 0), lanes16(9, 9)
	return func(x reg.VecVirtual) {
		e, s := YMM(), YMM()
		VPSRLW(Imm(1), x, e)
		VPAND(exponent, e, e)
		VPSLLW(Imm(8), x, s)
		VPAND(sign, s, s)
		VPAND(mantissa, x, x)
		VPOR(e, x, x)
		VPOR(s, x, x)
	}
}

func split2(name string, m masks) {
	p := begin(name, "func(src, lo, hi *byte, n int)", "src", "lo", "hi", "n")
	src, lo, hi, n := p[0], p[1], p[2], p[3]
	Doc(name + " splits n 2-byte elements, a multiple of 32.")
	low := lanes16(8, 8)
	move := prepare(m)
	Label("loop")
	a, b, c, d := YMM(), YMM(), YMM(), YMM()
	VMOVDQU(Mem{Base: src}, a)
	VMOVDQU(Mem{Base: src, Disp: 32}, b)
	move(a)
	move(b)
	VPAND(low, a, c)
	VPAND(low, b, d)
	VPACKUSWB(d, c, c)
	VPERMQ(Imm(0xD8), c, c) // packing works inside each half
	VMOVDQU(c, Mem{Base: lo})
	VPSRLW(Imm(8), a, a)
	VPSRLW(Imm(8), b, b)
	VPACKUSWB(b, a, a)
	VPERMQ(Imm(0xD8), a, a)
	VMOVDQU(a, Mem{Base: hi})
	next(2, n, src, lo, hi)
}

func merge2(name string, m masks) {
	p := begin(name, "func(dst, lo, hi *byte, n int)", "dst", "lo", "hi", "n")
	dst, lo, hi, n := p[0], p[1], p[2], p[3]
	Doc(name + " merges n 2-byte elements, a multiple of 32.")
	move := prepare(m)
	Label("loop")
	l, h, a, b, c, d := YMM(), YMM(), YMM(), YMM(), YMM(), YMM()
	VMOVDQU(Mem{Base: lo}, l)
	VMOVDQU(Mem{Base: hi}, h)
	VPUNPCKLBW(h, l, a)
	VPUNPCKHBW(h, l, b)
	VPERM2I128(Imm(0x20), b, a, c)
	VPERM2I128(Imm(0x31), b, a, d)
	move(c)
	move(d)
	VMOVDQU(c, Mem{Base: dst})
	VMOVDQU(d, Mem{Base: dst, Disp: 32})
	next(2, n, dst, lo, hi)
}
