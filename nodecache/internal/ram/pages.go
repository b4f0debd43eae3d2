package ram

import "iter"

// pageSet is a set of a segment's pages, one bit each.
type pageSet []slot

// set adds n pages from page at on, or takes them out.
func (s pageSet) set(at, n int, in bool) {
	for word, mask := range s.words(at, n) {
		if in {
			*word |= mask
		} else {
			*word &^= mask
		}
	}
}

// all reports whether n pages from page at on are in the set.
func (s pageSet) all(at, n int) bool {
	for word, mask := range s.words(at, n) {
		if *word&mask != mask {
			return false
		}
	}
	return true
}

// none reports whether none of n pages from page at on is in the set.
func (s pageSet) none(at, n int) bool {
	for word, mask := range s.words(at, n) {
		if *word&mask != 0 {
			return false
		}
	}
	return true
}

// words yields the words that hold the bits of n pages from page at on, and which
// bits those are.
func (s pageSet) words(at, n int) iter.Seq2[*uint64, uint64] {
	return func(yield func(*uint64, uint64) bool) {
		for n > 0 {
			here := min(n, 64-at%64)
			if !yield(&s[at/perSlot][at%perSlot/64], ^uint64(0)>>(64-here)<<(at%64)) {
				return
			}
			at, n = at+here, n-here
		}
	}
}
