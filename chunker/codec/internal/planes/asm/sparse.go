package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pack takes 32 bytes at a time: a table says for each mask of eight bytes how to
// shuffle those that are not zero to the front.
func pack() {
	p := begin("packAVX2", "func(mask, packed, p *byte, n int, front *[256][8]byte) (count int)", "mask", "packed", "p", "n", "front")
	mask, packed, from, n, table := p[0], p[1], p[2], p[3], p[4]
	Doc("packAVX2 packs n bytes, a multiple of 32.")
	zero, v := YMM(), YMM()
	VPXOR(zero, zero, zero)
	first := GP64()
	MOVQ(packed, first)
	Label("loop")
	m := GP32()
	VPCMPEQB(Mem{Base: from}, zero, v)
	VPMOVMSKB(v, m)
	NOTL(m)
	MOVL(m, Mem{Base: mask})
	TESTL(m, m)
	JZ(LabelRef("next"))
	for i := range 4 {
		index, x, sh := GP32(), XMM(), XMM()
		MOVBLZX(m.As8(), index)
		VMOVQ(Mem{Base: from, Disp: 8 * i}, x)
		VMOVQ(Mem{Base: table, Index: index.As64(), Scale: 8}, sh)
		VPSHUFB(sh, x, x)
		VMOVQ(x, Mem{Base: packed})
		POPCNTL(index, index)
		ADDQ(index.As64(), packed)
		if i < 3 {
			SHRL(Imm(8), m)
		}
	}
	Label("next")
	ADDQ(Imm(4), mask)
	ADDQ(Imm(32), from)
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	SUBQ(first, packed)
	Store(packed, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// unpack has a table that says for each mask which of the next bytes goes where.
func unpack() {
	p := begin("unpackAVX2", "func(p, mask, packed *byte, n int, spread *[256][8]byte) (count int)", "p", "mask", "packed", "n", "spread")
	to, mask, packed, n, table := p[0], p[1], p[2], p[3], p[4]
	Doc("unpackAVX2 unpacks n bytes, a multiple of 32.")
	zero := YMM()
	VPXOR(zero, zero, zero)
	first := GP64()
	MOVQ(packed, first)
	Label("loop")
	m := GP32()
	MOVL(Mem{Base: mask}, m)
	TESTL(m, m)
	JNZ(LabelRef("some"))
	VMOVDQU(zero, Mem{Base: to})
	JMP(LabelRef("next"))
	Label("some")
	for i := range 4 {
		VMOVQ(eight(m, packed, table, i), Mem{Base: to, Disp: 8 * i})
	}
	Label("next")
	ADDQ(Imm(4), mask)
	ADDQ(Imm(32), to)
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	SUBQ(first, packed)
	Store(packed, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// eight unpacks the eight bytes of the lowest byte of m, and drops that; i counts to
// the last of its four.
func eight(m, packed, table reg.GPVirtual, i int) reg.VecVirtual {
	index, x, sh := GP32(), XMM(), XMM()
	MOVBLZX(m.As8(), index)
	VMOVQ(Mem{Base: packed}, x)
	VMOVQ(Mem{Base: table, Index: index.As64(), Scale: 8}, sh)
	VPSHUFB(sh, x, x)
	POPCNTL(index, index)
	ADDQ(index.As64(), packed)
	if i < 3 {
		SHRL(Imm(8), m)
	}
	return x
}

// sixteen unpacks twice as many; half counts to the second.
func sixteen(m, packed, table reg.GPVirtual, half int) reg.VecVirtual {
	a := eight(m, packed, table, 2*half)
	b := eight(m, packed, table, 2*half+1)
	VPUNPCKLQDQ(b, a, a)
	return a
}

// unchanged copies 64 or 32 bytes that no bit of the masks speaks of, and goes on.
func unchanged(x, base reg.GPVirtual, n int) {
	v := YMM()
	for at := 0; at < n; at += 32 {
		VMOVDQU(Mem{Base: base, Disp: at}, v)
		VMOVDQU(v, Mem{Base: x, Disp: at})
	}
	JMP(LabelRef("next"))
}

// patch1 patches elements of one byte.
func patch1() {
	p := begin("patch1AVX2", "func(x, base, mask, packed *byte, n int, spread *[256][8]byte) (count int)", "x", "base", "mask", "packed", "n", "spread")
	x, base, mask, packed, n, table := p[0], p[1], p[2], p[3], p[4], p[5]
	Doc("patch1AVX2 patches n 1-byte elements, a multiple of 32.")
	l := bytewise(lanes()[0])
	zero := YMM()
	VPXOR(zero, zero, zero)
	one := l.ones()
	first := GP64()
	MOVQ(packed, first)
	Label("loop")
	PREFETCHT0(Mem{Base: base, Disp: ahead})
	PREFETCHT0(Mem{Base: x, Disp: ahead})
	m := GP32()
	MOVL(Mem{Base: mask}, m)
	TESTL(m, m)
	JNZ(LabelRef("some"))
	unchanged(x, base, 32)
	Label("some")
	a := sixteen(m, packed, table, 0)
	b := sixteen(m, packed, table, 1)
	z := YMM()
	VINSERTI128(Imm(1), b, a.AsY(), z)
	l.unfold(z, zero, one)
	VPADDB(Mem{Base: base}, z, z)
	VMOVDQU(z, Mem{Base: x})
	Label("next")
	ADDQ(Imm(4), mask)
	ADDQ(Imm(32), x)
	ADDQ(Imm(32), base)
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	SUBQ(first, packed)
	Store(packed, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// patch2 patches elements of two bytes, whose high ones seldom change.
func patch2() {
	p := begin("patch2AVX2", "func(x, base, lowMask, low, highMask, high *byte, n int, spread *[256][8]byte) (lows, highs int)",
		"x", "base", "lowMask", "low", "highMask", "high", "n", "spread")
	x, base, lowMask, low, highMask, high, n, table := p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
	Doc("patch2AVX2 patches n 2-byte elements, a multiple of 32.")
	l := lanes()[1]
	zero := YMM()
	VPXOR(zero, zero, zero)
	one := l.ones()
	Label("loop")
	PREFETCHT0(Mem{Base: base, Disp: ahead})
	PREFETCHT0(Mem{Base: x, Disp: ahead})
	m, h := GP32(), GP32()
	MOVL(Mem{Base: lowMask}, m)
	MOVL(Mem{Base: highMask}, h)
	any := GP32()
	MOVL(m, any)
	ORL(h, any)
	JNZ(LabelRef("some"))
	unchanged(x, base, 64)
	Label("some")
	z := []reg.VecVirtual{YMM(), YMM()}
	for half := range z {
		VPMOVZXBW(sixteen(m, low, table, half), z[half])
	}
	TESTL(h, h)
	JZ(LabelRef("apply"))
	for half := range z {
		v := YMM()
		VPMOVZXBW(sixteen(h, high, table, half), v)
		VPSLLW(Imm(8), v, v)
		VPOR(v, z[half], z[half])
	}
	Label("apply")
	for half := range z {
		l.unfold(z[half], zero, one)
		VPADDW(Mem{Base: base, Disp: 32 * half}, z[half], z[half])
	}
	for half := range z {
		VMOVDQU(z[half], Mem{Base: x, Disp: 32 * half})
	}
	Label("next")
	ADDQ(Imm(4), lowMask)
	ADDQ(Imm(4), highMask)
	ADDQ(Imm(64), x)
	ADDQ(Imm(64), base)
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	first := GP64()
	Load(Param("low"), first)
	SUBQ(first, low)
	Store(low, ReturnIndex(0))
	Load(Param("high"), first)
	SUBQ(first, high)
	Store(high, ReturnIndex(1))
	VZEROUPPER()
	RET()
}
