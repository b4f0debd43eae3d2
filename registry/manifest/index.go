package manifest

import (
	"hash/maphash"
	"math/bits"

	"github.com/ingot-ml/ingot/chunker"
)

// index finds chunks by digest in a list. It takes 8 to 16 bytes a chunk where
// a map takes about 60, because Parse promises to allocate at most twice the
// document. The hash is seeded: digests come from strangers, who could choose
// them to collide.
type index struct {
	slots []uint32 // 1 + a place in the list, or 0; a power of two of them
	seed  maphash.Seed
}

// newIndex returns an empty index for at most n chunks.
func newIndex(n int) *index {
	return &index{slots: make([]uint32, 2<<bits.Len(uint(n))), seed: maphash.MakeSeed()}
}

// slot returns the slot of d, or the empty one where it belongs.
func (x *index) slot(list []chunker.Ref, d *chunker.Digest) *uint32 {
	mask := uint64(len(x.slots) - 1)
	for h := maphash.Bytes(x.seed, d[:]); ; h++ {
		s := &x.slots[h&mask]
		if *s == 0 || list[*s-1].Digest == *d {
			return s
		}
	}
}

// add enters list[i] unless its digest is there, and returns the place of the
// first chunk with that digest. The list must start with all chunks entered.
func (x *index) add(list []chunker.Ref, i int) int {
	s := x.slot(list, &list[i].Digest)
	if *s == 0 {
		*s = uint32(i) + 1
	}
	return int(*s) - 1
}

// find returns the place in list of the chunk named d.
func (x *index) find(list []chunker.Ref, d *chunker.Digest) (place uint32, ok bool) {
	s := *x.slot(list, d)
	return s - 1, s != 0
}
