package arrival

import (
	"math"
	"slices"
	"sort"
)

// span is the bytes from one offset up to another.
type span struct{ from, to int64 }

// spans are the bytes that are here: sorted, and none touches another.
type spans []span

// behind returns the index of the first span that ends at offset or behind it.
func (s spans) behind(offset int64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].to >= offset })
}

// add adds the bytes from one offset up to another, which are some.
func (s *spans) add(from, to int64) {
	i := s.behind(from)
	j := i
	for j < len(*s) && (*s)[j].from <= to {
		from, to = min(from, (*s)[j].from), max(to, (*s)[j].to)
		j++
	}
	*s = slices.Replace(*s, i, j, span{from, to})
}

// gap returns the first byte at offset or behind it that is not here.
func (s spans) gap(offset int64) int64 {
	if i := s.behind(offset); i < len(s) && s[i].from <= offset {
		return s[i].to
	}
	return offset
}

// next returns the first byte behind offset with which a span begins.
func (s spans) next(offset int64) int64 {
	for _, p := range s[s.behind(offset):] {
		if p.from > offset {
			return p.from
		}
	}
	return math.MaxInt64
}

func (s spans) has(offset int64) bool { return s.gap(offset) > offset }

func (s spans) covers(from, to int64) bool { return from >= to || s.gap(from) >= to }
