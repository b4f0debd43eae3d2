package versions

import (
	"hash/maphash"
	"math/bits"
)

// maxTally is how many things a tally keeps: some 20 MB, and the chunks of half a
// terabyte or more.
const maxTally = 1 << 19

// tally adds up the bytes of things that come again and again, each once. It is
// exact up to most things. Beyond that it keeps only those whose hash begins with
// a zero bit, then with two, and reckons from them; with maxTally the answer is
// then right to half a per cent or so.
//
// Hashes have a seed of their own, so that nobody can choose what is kept.
type tally struct {
	most int
	kept map[uint64]uint32 // bytes, by hash
	sum  int64             // of kept
	zero int               // leading zero bits of what is kept
}

func newTally(most int) tally { return tally{most: most, kept: map[uint64]uint32{}} }

// add counts n bytes unless that hash was there before.
func (t *tally) add(hash uint64, n uint32) {
	if bits.LeadingZeros64(hash) < t.zero {
		return
	}
	if _, ok := t.kept[hash]; ok {
		return
	}
	t.kept[hash] = n
	t.sum += int64(n)
	for len(t.kept) > t.most {
		t.thin()
	}
}

// thin drops about half of what is kept.
func (t *tally) thin() {
	t.zero++
	for hash, n := range t.kept {
		if bits.LeadingZeros64(hash) < t.zero {
			delete(t.kept, hash)
			t.sum -= int64(n)
		}
	}
}

func (t *tally) bytes() int64 { return t.sum << t.zero }

func (t *tally) count() int { return len(t.kept) << t.zero }

// reset forgets everything and keeps the memory.
func (t *tally) reset() {
	clear(t.kept)
	t.sum, t.zero = 0, 0
}

var tallySeed = maphash.MakeSeed()

func hashOf[T comparable](thing T) uint64 { return maphash.Comparable(tallySeed, thing) }
