//go:build amd64 && !purego

package planes

import "github.com/klauspost/cpuid/v2"

//go:generate go -C asm run . -out ../planes_amd64.s -stubs ../planes_amd64.go -pkg planes

// Accelerated reports whether kernels in assembly are in use.
var Accelerated = cpuid.CPU.Supports(cpuid.AVX2)

// The functions below return how many elements their kernel did: a multiple of
// 32. The planes have exactly one byte for every element.

func split2(p *Set, src []byte) int {
	n := whole(p)
	if n > 0 {
		split2AVX2(&src[0], &p[0][0], &p[1][0], n)
	}
	return n
}

func merge2(dst []byte, p *Set) int {
	n := whole(p)
	if n > 0 {
		merge2AVX2(&dst[0], &p[0][0], &p[1][0], n)
	}
	return n
}

func splitBF16(p *Set, src []byte) int {
	n := whole(p)
	if n > 0 {
		splitBF16AVX2(&src[0], &p[0][0], &p[1][0], n)
	}
	return n
}

func mergeBF16(dst []byte, p *Set) int {
	n := whole(p)
	if n > 0 {
		mergeBF16AVX2(&dst[0], &p[0][0], &p[1][0], n)
	}
	return n
}

func split4(p *Set, src []byte) int {
	n := whole(p)
	if n > 0 {
		split4AVX2(&src[0], &p[0][0], &p[1][0], &p[2][0], &p[3][0], n)
	}
	return n
}

func merge4(dst []byte, p *Set) int {
	n := whole(p)
	if n > 0 {
		merge4AVX2(&dst[0], &p[0][0], &p[1][0], &p[2][0], &p[3][0], n)
	}
	return n
}

func splitF32(p *Set, src []byte) int {
	n := whole(p)
	if n > 0 {
		splitF32AVX2(&src[0], &p[0][0], &p[1][0], &p[2][0], &p[3][0], n)
	}
	return n
}

func mergeF32(dst []byte, p *Set) int {
	n := whole(p)
	if n > 0 {
		mergeF32AVX2(&dst[0], &p[0][0], &p[1][0], &p[2][0], &p[3][0], n)
	}
	return n
}

// whole returns how many of the elements a kernel takes.
func whole(p *Set) int {
	if !Accelerated {
		return 0
	}
	return len(p[0]) &^ 31
}
