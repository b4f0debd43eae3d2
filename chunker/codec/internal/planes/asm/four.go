package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// f32Down moves the sign to just under the exponent.
func f32Down() func(reg.VecVirtual) {
	exponent, sign, mantissa := lanes32(24, 0), lanes32(31, 8), lanes32(9, 9)
	return func(x reg.VecVirtual) {
		e, s := YMM(), YMM()
		VPSLLD(Imm(1), x, e)
		VPAND(exponent, e, e)
		VPSRLD(Imm(8), x, s)
		VPAND(sign, s, s)
		VPAND(mantissa, x, x)
		VPOR(e, x, x)
		VPOR(s, x, x)
	}
}

// f32Up undoes f32Down.
func f32Up() func(reg.VecVirtual) {
	exponent, sign, mantissa := lanes32(24, 1), lanes32(31, 0), lanes32(9, 9)
	return func(x reg.VecVirtual) {
		e, s := YMM(), YMM()
		VPSRLD(Imm(1), x, e)
		VPAND(exponent, e, e)
		VPSLLD(Imm(8), x, s)
		VPAND(sign, s, s)
		VPAND(mantissa, x, x)
		VPOR(e, x, x)
		VPOR(s, x, x)
	}
}

var shuffle, permute Mem

// tables writes the constants of split4: byte i of four elements together, then
// those of eight.
func tables() {
	shuffle = GLOBL("shuffle4", attr.RODATA|attr.NOPTR)
	for lane := range 2 {
		for i := range 16 {
			DATA(lane*16+i, U8((i%4)*4+i/4))
		}
	}
	permute = GLOBL("permute4", attr.RODATA|attr.NOPTR)
	for i := range 8 {
		DATA(i*4, U32((i%2)*4+i/2))
	}
}

func split4(name string, m masks) {
	p := begin(name, "func(src, p0, p1, p2, p3 *byte, n int)", "src", "p0", "p1", "p2", "p3", "n")
	src, planes, n := p[0], p[1:5], p[5]
	Doc(name + " splits n 4-byte elements, a multiple of 32.")
	sh, pm := YMM(), YMM()
	VMOVDQU(shuffle, sh)
	VMOVDQU(permute, pm)
	move := prepare(m)
	Label("loop")
	v := make([]reg.VecVirtual, 4)
	for i := range v {
		v[i] = YMM()
		VMOVDQU(Mem{Base: src, Disp: 32 * i}, v[i])
		move(v[i])
		VPSHUFB(sh, v[i], v[i]) // in each half: 4 bytes of every plane
		VPERMD(v[i], pm, v[i])  // 8 bytes of every plane
	}
	even := [2]reg.VecVirtual{YMM(), YMM()} // planes 0 and 2 of 16 elements
	odd := [2]reg.VecVirtual{YMM(), YMM()}  // planes 1 and 3
	for i := range 2 {
		VPUNPCKLQDQ(v[2*i+1], v[2*i], even[i])
		VPUNPCKHQDQ(v[2*i+1], v[2*i], odd[i])
	}
	out := YMM()
	for i, dst := range planes {
		from := even
		if i%2 == 1 {
			from = odd
		}
		VPERM2I128(Imm([]uint64{0x20, 0x31}[i/2]), from[1], from[0], out)
		VMOVDQU(out, Mem{Base: dst})
	}
	next(4, n, src, planes...)
}

func merge4(name string, m masks) {
	p := begin(name, "func(dst, p0, p1, p2, p3 *byte, n int)", "dst", "p0", "p1", "p2", "p3", "n")
	dst, planes, n := p[0], p[1:5], p[5]
	Doc(name + " merges n 4-byte elements, a multiple of 32.")
	move := prepare(m)
	Label("loop")
	q := make([]reg.VecVirtual, 4)
	for i := range q {
		q[i] = YMM()
		VMOVDQU(Mem{Base: planes[i]}, q[i])
	}
	a, b, c, d := YMM(), YMM(), YMM(), YMM()
	VPUNPCKLBW(q[1], q[0], a) // low words of elements 0-7 and 16-23
	VPUNPCKHBW(q[1], q[0], b) // 8-15 and 24-31
	VPUNPCKLBW(q[3], q[2], c) // high words
	VPUNPCKHBW(q[3], q[2], d)
	e, f, g, h := YMM(), YMM(), YMM(), YMM()
	VPUNPCKLWD(c, a, e) // elements 0-3 and 16-19
	VPUNPCKHWD(c, a, f) // 4-7 and 20-23
	VPUNPCKLWD(d, b, g) // 8-11 and 24-27
	VPUNPCKHWD(d, b, h) // 12-15 and 28-31
	for i, o := range []struct {
		x, y reg.VecVirtual
		half uint64
	}{{e, f, 0x20}, {g, h, 0x20}, {e, f, 0x31}, {g, h, 0x31}} {
		r := YMM()
		VPERM2I128(Imm(o.half), o.y, o.x, r)
		move(r)
		VMOVDQU(r, Mem{Base: dst, Disp: 32 * i})
	}
	next(4, n, dst, planes...)
}
