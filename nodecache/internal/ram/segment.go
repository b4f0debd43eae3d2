package ram

import (
	"math/bits"
	"os"
)

const (
	pageSize = 4 << 10
	slotSize = 2 << 20
	perSlot  = slotSize / pageSize // pages
)

// segment is a file in memory and which of its pages are taken. Tier.mu protects it, but
// for what the pages hold.
type segment struct {
	id     uint64
	domain *Domain
	data   []byte   // all of it, shared and writable
	file   *os.File // for clients, and to ask what is resident
	slots  pageSet  // pages that are taken
	taken  int      // pages
	vain   int      // so many pages, or more, do not lie free together

	published pageSet // pages of published chunks
	pinned    pageSet // pages of pins
	pins      []*pin
	stirred   bool // there may be something to pin
}

// slot is which pages of 2 MiB are taken, one bit each.
type slot [perSlot / 64]uint64

func (s *slot) free() bool { return *s == slot{} }

// run returns how many pages from page at on are free.
func (s *slot) run(at int) int {
	n := 0
	for at+n < perSlot {
		page := at + n
		left := s[page/64] >> (page % 64)
		if left != 0 {
			return n + bits.TrailingZeros64(left)
		}
		n += 64 - page%64
	}
	return perSlot - at
}

// skip returns how many pages from page at on are taken.
func (s *slot) skip(at int) int {
	taken := slot{}
	for i := range s {
		taken[i] = ^s[i]
	}
	return taken.run(at)
}

// find returns where n free pages begin, -1 if nowhere.
func (s *slot) find(n int) int {
	for at := 0; at+n <= perSlot; at += s.skip(at) {
		run := s.run(at)
		if run >= n {
			return at
		}
		at += run
	}
	return -1
}

// mark takes or frees n pages from page at on.
func (g *segment) mark(at, n int, take bool) {
	if take {
		g.taken += n
	} else {
		g.taken -= n
		g.vain = g.pages() + 1
	}
	g.slots.set(at, n, take)
}

func (g *segment) pages() int { return len(g.slots) * perSlot }

// find returns the page where n free pages begin, -1 if nowhere. Where n do not
// fit, more do not either: that is what vain remembers until something is freed.
func (g *segment) find(n int) int {
	if n >= g.vain {
		return -1
	}
	at := g.look(n)
	if at < 0 {
		g.vain = n
	}
	return at
}

// look does as find without remembering. Less than a slot lies in one slot, more
// begins one.
func (g *segment) look(n int) int {
	if n < perSlot {
		return g.findPages(n)
	}
	return g.findRun(n)
}

// findRun looks for whole free slots, and the first pages of the one behind them.
func (g *segment) findRun(n int) int {
	whole, tail := n/perSlot, n%perSlot
	for at := 0; at+whole <= len(g.slots); {
		run := 0
		for run < whole && g.slots[at+run].free() {
			run++
		}
		behind := at + whole
		if run == whole && (tail == 0 || behind < len(g.slots) && g.slots[behind].run(0) >= tail) {
			return at * perSlot
		}
		at += run + 1 // the slot that was in the way is not free
	}
	return -1
}

// findPages looks in slots that others use too, then for one that nobody uses.
func (g *segment) findPages(n int) int {
	empty := -1
	for i := range g.slots {
		if g.slots[i].free() {
			if empty < 0 {
				empty = i * perSlot
			}
			continue
		}
		if at := g.slots[i].find(n); at >= 0 {
			return i*perSlot + at
		}
	}
	return empty
}

// sweep gives back what is resident of pages that nobody has taken.
func (g *segment) sweep() {
	if g.resident() <= int64(g.taken)*pageSize {
		return
	}
	for i := range g.slots {
		for at := 0; at < perSlot; at += g.slots[i].skip(at) {
			n := g.slots[i].run(at)
			if n > 0 {
				g.punch(int64(i)*slotSize+int64(at)*pageSize, int64(n)*pageSize)
			}
			at += n
		}
	}
}
