// Package ptx owns what ingot runs on a GPU: its kernels in C, the PTX that was made
// of them, and a twin of each in Go.
//
// Laws:
//   - The PTX is committed and never written by hand: `make ptx` makes it of
//     kernels/kernels.c, the same bytes each time.
//   - A twin gives bit for bit what its kernel gives, and so does the C when it is
//     compiled for the host. A test compares the three.
//   - Nothing here needs a GPU or a driver: who has one loads Source and launches by
//     name. Arguments, their units and alignment stand at each kernel in the C.
package ptx

import _ "embed"

// Names of the kernels in Source, to look up and to launch. Every argument has 64
// bits.
const (
	NameMerge2    = "ingot_merge2"     // dst, low, high, elements
	NameMergeBF16 = "ingot_merge_bf16" // dst, low, high, elements
	NameDelta16   = "ingot_delta16"    // dst, base, delta, elements
	NameSum64     = "ingot_sum64"      // out, from, bytes; adds to out
)

// Block is a good number of threads in a block, a multiple of 32 as every kernel
// wants it.
const Block = 256

//go:embed kernels/kernels.ptx
var source []byte

//go:embed kernels/kernels.c
var kernels []byte

// Source returns the PTX of all kernels, text without a zero byte at its end.
func Source() []byte { return source }

// HostSource returns the C that the PTX was made of. Compiled for the host it holds
// the table ingot_kernels, for a driver that has no GPU.
func HostSource() []byte { return kernels }

// Grid returns how many blocks of Block threads a launch over n pieces of work wants,
// a piece being an element or eight bytes: enough for every thread to do a few, and
// no more than a large GPU runs at once.
func Grid(n int64) uint32 {
	const each, most = 4, 2048
	return uint32(min(max((n+Block*each-1)/(Block*each), 1), most))
}
