package scrub

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// place is where a version has a chunk, or a base of one.
type place struct {
	object string
	offset uint32
	length uint32
	digest chunker.Digest // of the chunk; a base's is not known, and zero
	delta  bool           // the chunk is one; of a base that is not known either
}

// placesOf yields the places that an entry needs for a chunk.
func placesOf(e *placement.Entry, d chunker.Digest) iter.Seq[place] {
	return func(yield func(place) bool) {
		if !yield(place{e.Object, e.Offset, e.Length, d, len(e.Closure) > 0}) {
			return
		}
		for i := range e.Closure {
			b := &e.Closure[i]
			if !yield(place{object: b.Object, offset: b.Offset, length: b.Length}) {
				return
			}
		}
	}
}

// bare is the place of a base, of which nothing is known but where it is.
func (p place) bare() place { return place{object: p.object, offset: p.offset, length: p.length} }

// placeHash stands for a place.
type placeHash [2]uint64

func (p place) hash() placeHash {
	var buf [640]byte
	b := append(buf[:0], p.object...)
	b = binary.LittleEndian.AppendUint32(append(b, 0), p.offset)
	b = binary.LittleEndian.AppendUint32(b, p.length)
	b = append(b, p.digest[:]...)
	if p.delta {
		b = append(b, 1)
	}
	sum := chunker.Sum(b)
	return placeHash{binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16])}
}

func compareHashes(a, b placeHash) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

// places are the places that versions name, and whether the store has them. It is
// safe for concurrent use, first for adding and then for seeing.
type places struct {
	part part

	mu      sync.Mutex // protects the fields below; never held across a call out
	hashes  []placeHash
	compact int // how many there were when they were last made distinct
	found   []uint64
	seen    int
}

func (p *places) add(at place) {
	h := at.hash()
	if !p.part.has(h) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hashes = append(p.hashes, h)
	if len(p.hashes) >= 2*p.compact+64 {
		p.sort()
	}
}

// sort makes the places distinct.
func (p *places) sort() {
	slices.SortFunc(p.hashes, compareHashes)
	p.hashes = slices.Compact(p.hashes)
	p.compact = len(p.hashes)
}

// count returns how many places there are, about.
func (p *places) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.compact
}

// seal ends the adding.
func (p *places) seal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sort()
	p.found, p.seen = make([]uint64, (len(p.hashes)+63)/64), 0
}

// see notes that the store has a chunk in that place, which may be a base too.
func (p *places) see(at place) {
	chunk := at.hash()
	base := at.bare().hash()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark(chunk)
	p.mark(base)
}

func (p *places) mark(h placeHash) {
	i, named := slices.BinarySearchFunc(p.hashes, h, compareHashes)
	if named && p.found[i/64]&(1<<(i%64)) == 0 {
		p.found[i/64] |= 1 << (i % 64)
		p.seen++
	}
}

// has reports whether a version names the place, as a chunk or as a base.
func (p *places) has(at place) bool {
	chunk := at.hash()
	base := at.bare().hash()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, asChunk := slices.BinarySearchFunc(p.hashes, chunk, compareHashes)
	_, asBase := slices.BinarySearchFunc(p.hashes, base, compareHashes)
	return asChunk || asBase
}

// lacks reports whether a version names the place and the store was not seen to
// have it.
func (p *places) lacks(at place) bool {
	h := at.hash()
	p.mu.Lock()
	defer p.mu.Unlock()
	i, named := slices.BinarySearchFunc(p.hashes, h, compareHashes)
	return named && p.found[i/64]&(1<<(i%64)) == 0
}

// complete reports whether the store has all of them.
func (p *places) complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen == len(p.hashes)
}

// clear begins again with another part.
func (p *places) clear(next part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part, p.hashes, p.compact, p.found, p.seen = next, p.hashes[:0], 0, nil, 0
}

// part is a share of all places: those whose hash is i in the remainder by of.
type part struct{ i, of uint64 }

func (p part) has(h placeHash) bool { return h[0]%p.of == p.i }
