// Package planes owns the byte planes of a run of numbers: byte i of every
// element beside byte i of every other one, so that an exponent, which
// compresses, is not mixed with a mantissa, which does not.
//
// Laws:
//   - Merge undoes Split for every bit pattern, Apply and Retract undo Difference,
//     Unpack undoes Pack. Nothing here knows what a number means: NaN payloads,
//     negative zeros and denormals are bits like others.
//   - A kernel in assembly does exactly what its twin in plain Go does. The
//     kernels take 32 elements or 64 bytes at a time, the twin does the rest, and
//     on a machine without the kernels the twin does it all.
//   - Nothing is allocated, and no slice is kept.
//
// Elements are little endian. Lengths are the caller's to get right: a plane
// shorter than the elements of the run, or than the bits of its mask say, panics
// before anything is written.
package planes

// Set holds the planes of one run of elements, the lowest byte first. Functions
// use as many of them as their element has bytes.
type Set [8][]byte

// trim returns the first n bytes of each of the first width planes. The third
// index is the check: without it a slice may grow into its capacity.
func (p *Set) trim(width, n int) (q Set) {
	for i := range width {
		q[i] = p[i][:n:len(p[i])]
	}
	return q
}

// from returns the first width planes without their first n bytes.
func (p *Set) from(width, n int) (q Set) {
	for i := range width {
		q[i] = p[i][n:]
	}
	return q
}

// Slice returns elements from to to of the first width planes.
func (p *Set) Slice(width, from, to int) (q Set) {
	for i := range width {
		q[i] = p[i][from:to]
	}
	return q
}
