// Command asm generates the AVX2 kernels of package planes. It is a module of
// its own so that the assembler is no dependency of ingot; run "go generate" in
// the package above.
package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64,!purego")
	split2("split2AVX2", nil)
	merge2("merge2AVX2", nil)
	split2("splitBF16AVX2", bf16Down)
	merge2("mergeBF16AVX2", bf16Up)
	tables()
	split4("split4AVX2", nil)
	merge4("merge4AVX2", nil)
	split4("splitF32AVX2", f32Down)
	merge4("mergeF32AVX2", f32Up)
	differences()
	pack()
	unpack()
	patch1()
	patch2()
	Generate()
}

// masks sets the constants of a bit move and returns the move, which works on
// one register in place.
type masks func() (move func(x reg.VecVirtual))

// begin starts a function and loads its arguments.
func begin(name, signature string, params ...string) []reg.GPVirtual {
	TEXT(name, attr.NOSPLIT, signature)
	Pragma("noescape")
	regs := make([]reg.GPVirtual, len(params))
	for i, p := range params {
		regs[i] = Load(Param(p), GP64()).(reg.GPVirtual)
	}
	return regs
}

// next ends the loop: the first pointer walks over elements, the others over
// planes.
func next(width int, n reg.GPVirtual, elements reg.GPVirtual, planes ...reg.GPVirtual) {
	ADDQ(Imm(uint64(32*width)), elements)
	for _, p := range planes {
		ADDQ(Imm(32), p)
	}
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// prepare runs m, if there is one, before the loop.
func prepare(m masks) func(reg.VecVirtual) {
	if m == nil {
		return func(reg.VecVirtual) {}
	}
	return m()
}

// lanes16 returns a register whose 16-bit lanes are ones shifted left by l and
// then right by r: the only constants needed, and no memory for them.
func lanes16(l, r uint64) reg.VecVirtual {
	m := YMM()
	VPCMPEQW(m, m, m)
	if l > 0 {
		VPSLLW(Imm(l), m, m)
	}
	if r > 0 {
		VPSRLW(Imm(r), m, m)
	}
	return m
}

func lanes32(l, r uint64) reg.VecVirtual {
	m := YMM()
	VPCMPEQD(m, m, m)
	if l > 0 {
		VPSLLD(Imm(l), m, m)
	}
	if r > 0 {
		VPSRLD(Imm(r), m, m)
	}
	return m
}
