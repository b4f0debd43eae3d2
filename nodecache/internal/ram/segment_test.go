package ram

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
)

// naive says for each page whether it is taken, and is searched one by one.
type naive []bool

func (v naive) free(at, n int) bool {
	for _, taken := range v[at : at+n] {
		if taken {
			return false
		}
	}
	return true
}

// fits reports whether n pages may lie at page at: in one slot, or from its start.
func (v naive) fits(at, n int) bool {
	if n < perSlot && at%perSlot+n > perSlot || n >= perSlot && at%perSlot != 0 || at+n > len(v) {
		return false
	}
	return v.free(at, n)
}

// has reports whether n pages may lie somewhere.
func (v naive) has(n int) bool {
	for at := range v {
		if v.fits(at, n) {
			return true
		}
	}
	return false
}

func emptySegment(slots int) *segment {
	return &segment{slots: make([]slot, slots), vain: slots*perSlot + 1}
}

// TestFind takes and frees pages at random: what is found is free, and something
// is found whenever a search page by page finds it.
func TestFind(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { findAtRandom(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func findAtRandom(t *testing.T, r *rand.Rand) {
	const slots = 6
	g, v := emptySegment(slots), make(naive, slots*perSlot)
	type run struct{ at, n int }
	var runs []run
	mark := func(at, n int, take bool) {
		g.mark(at, n, take)
		for i := range n {
			v[at+i] = take
		}
	}
	for range 300 {
		if len(runs) > 0 && r.IntN(5) < 2 {
			i := r.IntN(len(runs))
			mark(runs[i].at, runs[i].n, false)
			runs[i] = runs[len(runs)-1]
			runs = runs[:len(runs)-1]
			continue
		}
		n := pick(r, slots)
		at := g.find(n)
		if (at >= 0) != v.has(n) {
			t.Fatalf("%d pages: found at %d, there are any: %v", n, at, v.has(n))
		}
		if at < 0 {
			continue
		}
		if !v.fits(at, n) {
			t.Fatalf("%d pages at %d are not free, or not together", n, at)
		}
		mark(at, n, true)
		runs = append(runs, run{at, n})
	}
	taken := 0
	for _, is := range v {
		if is {
			taken++
		}
	}
	if g.taken != taken {
		t.Errorf("%d pages are taken, the segment says %d", taken, g.taken)
	}
}

// pick returns a number of pages: few, about a slot, or some slots and a tail.
func pick(r *rand.Rand, slots int) int {
	switch r.IntN(3) {
	case 0:
		return 1 + r.IntN(20)
	case 1:
		return perSlot - 2 + r.IntN(4)
	default:
		return 1 + r.IntN(slots*perSlot)
	}
}

// TestVain checks that what was sought in vain is not sought again until something
// is freed.
func TestVain(t *testing.T) {
	g := emptySegment(2)
	g.mark(0, perSlot+10, true)
	if at := g.find(perSlot); at >= 0 || g.vain != perSlot {
		t.Errorf("a slot was found at %d; from %d pages on nothing is sought", at, g.vain)
	}
	g.slots[0] = slot{} // unknown to it
	if at := g.find(perSlot); at >= 0 {
		t.Errorf("it was sought again, and found at %d", at)
	}
	if at := g.find(perSlot - 10); at < 0 {
		t.Error("less is not found")
	}
	g.mark(perSlot, 10, false)
	if at := g.find(perSlot); at < 0 {
		t.Error("a slot is not found after something was freed")
	}
}

// TestDamagedPlace checks that a damaged chunk does not take with it the one that
// came in its place.
func TestDamagedPlace(t *testing.T) {
	old, now := &place{published: true}, &place{published: true}
	d := &Domain{tier: &Tier{}, places: map[chunker.Digest]*place{{1}: now}}
	d.drop(chunker.Digest{1}, old)
	if d.places[chunker.Digest{1}] != now {
		t.Error("it is dropped")
	}
}

// TestTogether checks how sizes are cut into runs.
func TestTogether(t *testing.T) {
	const full = slotSize
	for _, tt := range []struct {
		sizes []uint32
		slots int
		want  int
	}{
		{[]uint32{full, full, full}, 512, 3},
		{[]uint32{full, full, 100, full}, 512, 3},
		{[]uint32{100, 100}, 512, 1},
		{[]uint32{100, full}, 512, 1},
		{[]uint32{full - 1, full}, 512, 1}, // it ends in its last page, not at its end
		{[]uint32{full, full, full}, 2, 2},
		{[]uint32{full, full, 100}, 2, 2},
		{[]uint32{full}, 1, 1},
	} {
		if got := together(tt.sizes, tt.slots*perSlot); got != tt.want {
			t.Errorf("of %v in %d slots %d lie together, want %d", tt.sizes, tt.slots, got, tt.want)
		}
	}
}
