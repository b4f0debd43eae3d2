//go:build amd64 && !purego

package planes

import (
	"math/bits"

	"github.com/klauspost/cpuid/v2"
)

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

// The functions below return how many bytes their kernel did.

func difference(z, x, base []byte, width int) int {
	return along(z, x, base, width, &differences)
}

func apply(x, z, base []byte, width int) int { return along(x, z, base, width, &applies) }

func retract(base, z, x []byte, width int) int { return along(base, z, x, width, &retracts) }

// kernels are those of the widths 1, 2, 4 and 8.
type kernels [4]func(to, a, b *byte, n int)

var (
	differences = kernels{difference1AVX2, difference2AVX2, difference4AVX2, difference8AVX2}
	applies     = kernels{apply1AVX2, apply2AVX2, apply4AVX2, apply8AVX2}
	retracts    = kernels{retract1AVX2, retract2AVX2, retract4AVX2, retract8AVX2}
)

func along(to, a, b []byte, width int, k *kernels) int {
	n := len(to) &^ 63
	if n == 0 || !Accelerated {
		return 0
	}
	k[bits.TrailingZeros(uint(width))](&to[0], &a[0], &b[0], n)
	return n
}

// front tells for each mask which of eight bytes come first, spread where the next
// bytes go. An index over 127 makes a zero.
var front, spread = shuffles()

func shuffles() (front, spread [256][8]byte) {
	for m := range 256 {
		n := 0
		for i := range 8 {
			front[m][i], spread[m][i] = 0x80, 0x80
			if m>>i&1 == 1 {
				spread[m][i] = byte(n)
				front[m][n] = byte(i)
				n++
			}
		}
	}
	return front, spread
}

func pack(mask, packed, p []byte) (done, count int) {
	n := len(p) &^ 31
	if n == 0 || !Accelerated {
		return 0, 0
	}
	return n, packAVX2(&mask[0], &packed[0], &p[0], n, &front)
}

func unpack(p []byte, q *Packed) int {
	n := len(p) &^ 31
	if n == 0 || !Accelerated {
		return 0
	}
	q.skip(n, unpackAVX2(&p[0], &q.Mask[0], &q.Bytes[0], n, &spread))
	return n
}

func patch(x, base []byte, lo, hi *Packed) int {
	n := elements(x, hi) &^ 31
	if n == 0 || !Accelerated {
		return 0
	}
	if hi == nil {
		lo.skip(n, patch1AVX2(&x[0], &base[0], &lo.Mask[0], &lo.Bytes[0], n, &spread))
		return n
	}
	low, high := patch2AVX2(&x[0], &base[0], &lo.Mask[0], &lo.Bytes[0], &hi.Mask[0], &hi.Bytes[0], n, &spread)
	lo.skip(n, low)
	hi.skip(n, high)
	return 2 * n
}
