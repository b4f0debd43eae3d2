package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Bytes that a kernel does at a time, and how far ahead it asks for them.
const (
	stride = 64
	ahead  = 1024
)

// lane is arithmetic on the elements of one width in a register. The last operand
// is the result.
type lane struct {
	width    int
	add, sub func(...Op)
	negative func(...Op) // ones where the first operand is greater than the second
	halve    func(x reg.VecVirtual)
	ones     func() reg.VecVirtual // 1 in every element
}

func lanes() []lane {
	return []lane{
		{1, VPADDB, VPSUBB, VPCMPGTB, nil, nil},
		{2, VPADDW, VPSUBW, VPCMPGTW, func(x reg.VecVirtual) { VPSRLW(Imm(1), x, x) }, func() reg.VecVirtual { return lanes16(0, 15) }},
		{4, VPADDD, VPSUBD, VPCMPGTD, func(x reg.VecVirtual) { VPSRLD(Imm(1), x, x) }, func() reg.VecVirtual { return lanes32(0, 31) }},
		{8, VPADDQ, VPSUBQ, VPCMPGTQ, func(x reg.VecVirtual) { VPSRLQ(Imm(1), x, x) }, ones64},
	}
}

func ones64() reg.VecVirtual {
	m := YMM()
	VPCMPEQQ(m, m, m)
	VPSRLQ(Imm(63), m, m)
	return m
}

// bytewise makes up for the shift of bytes that there is none of.
func bytewise(l lane) lane {
	if l.width != 1 {
		return l
	}
	var low reg.VecVirtual
	l.ones = func() reg.VecVirtual {
		low = lanes16(9, 1) // 0x7f in the upper byte
		b := YMM()
		VPSRLW(Imm(8), low, b)
		VPOR(b, low, low)
		one := YMM()
		VPCMPEQB(one, one, one)
		zero := YMM()
		VPXOR(zero, zero, zero)
		VPSUBB(one, zero, one)
		return one
	}
	l.halve = func(x reg.VecVirtual) {
		VPSRLW(Imm(1), x, x)
		VPAND(low, x, x)
	}
	return l
}

func differences() {
	for _, l := range lanes() {
		l = bytewise(l)
		difference(l)
		distance("apply", "x", "base", "adds the distances z to base", l, l.add)
		distance("retract", "base", "x", "takes the distances z from x", l, l.sub)
	}
}

func difference(l lane) {
	name := fmt.Sprintf("difference%dAVX2", l.width)
	p := begin(name, "func(z, x, base *byte, n int)", "z", "x", "base", "n")
	Doc(fmt.Sprintf("%s writes the distances of x from base to z: n bytes, a multiple of 64.", name))
	zero := YMM()
	VPXOR(zero, zero, zero)
	Label("loop")
	for at := 0; at < stride; at += 32 {
		d, s := YMM(), YMM()
		VMOVDQU(Mem{Base: p[1], Disp: at}, d)
		l.sub(Mem{Base: p[2], Disp: at}, d, d)
		l.negative(d, zero, s)
		l.add(d, d, d)
		VPXOR(s, d, d)
		VMOVDQU(d, Mem{Base: p[0], Disp: at})
	}
	PREFETCHT0(Mem{Base: p[1], Disp: ahead})
	PREFETCHT0(Mem{Base: p[2], Disp: ahead})
	along(p)
}

// distance is a kernel that applies distances, or takes them back.
func distance(name, to, from, what string, l lane, apply func(...Op)) {
	name = fmt.Sprintf("%s%dAVX2", name, l.width)
	p := begin(name, "func("+to+", z, "+from+" *byte, n int)", to, "z", from, "n")
	Doc(fmt.Sprintf("%s %s: n bytes, a multiple of 64.", name, what))
	zero := YMM()
	VPXOR(zero, zero, zero)
	one := l.ones()
	Label("loop")
	for at := 0; at < stride; at += 32 {
		z, v := YMM(), YMM()
		VMOVDQU(Mem{Base: p[1], Disp: at}, z)
		VMOVDQU(Mem{Base: p[2], Disp: at}, v)
		l.unfold(z, zero, one)
		apply(z, v, z)
		VMOVDQU(z, Mem{Base: p[0], Disp: at})
	}
	PREFETCHT0(Mem{Base: p[0], Disp: ahead})
	PREFETCHT0(Mem{Base: p[2], Disp: ahead})
	along(p)
}

// unfold turns folded distances into signed ones.
func (l lane) unfold(z, zero, one reg.VecVirtual) {
	s := YMM()
	VPAND(one, z, s)
	l.sub(s, zero, s)
	l.halve(z)
	VPXOR(s, z, z)
}

// along ends a loop over bytes.
func along(p []reg.GPVirtual) {
	n := len(p) - 1
	for _, q := range p[:n] {
		ADDQ(Imm(stride), q)
	}
	SUBQ(Imm(stride), p[n])
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
