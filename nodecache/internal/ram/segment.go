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

// segment is a memfd and which of its pages are taken. Tier.mu protects it, but
// for what the pages hold.
type segment struct {
	id     uint64
	domain string
	data   []byte   // all of it, shared and writable
	write  *os.File // the memfd
	read   *os.File // the same, for clients
	slots  []slot
	taken  int // pages
}

// slot is which pages of 2 MiB are taken, one bit each.
type slot [perSlot / 64]uint64

func (s *slot) free() bool { return *s == slot{} }

// fits reports whether n pages from page at on are free.
func (s *slot) fits(at, n int) bool { return n == 0 || s.run(at) >= n }

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

// find returns where n free pages begin, -1 if nowhere.
func (s *slot) find(n int) int {
	for at := 0; at+n <= perSlot; {
		run := s.run(at)
		if run >= n {
			return at
		}
		at += run
		for at < perSlot && s[at/64]>>(at%64)&1 == 1 {
			at++
		}
	}
	return -1
}

// mark takes or frees n pages from page at on.
func (g *segment) mark(at, n int, take bool) {
	for page := at; page < at+n; page++ {
		word := &g.slots[page/perSlot][page%perSlot/64]
		bit := uint64(1) << (page % 64)
		if take {
			*word |= bit
		} else {
			*word &^= bit
		}
	}
	if take {
		g.taken += n
	} else {
		g.taken -= n
	}
}

// findRun returns the page where n free pages begin that start a slot, -1 if
// nowhere: whole slots, and the first pages of the one behind them.
func (g *segment) findRun(n int) int {
	whole, tail := n/perSlot, n%perSlot
	for at := 0; at+whole <= len(g.slots); {
		run := 0
		for run < whole && g.slots[at+run].free() {
			run++
		}
		if run < whole {
			at += run + 1
			continue
		}
		if tail == 0 || at+whole < len(g.slots) && g.slots[at+whole].fits(0, tail) {
			return at * perSlot
		}
		at++
	}
	return -1
}

// findPages returns the page where n free pages begin in one slot, -1 if nowhere:
// in one that others use too, if there is room.
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
