package collect

import (
	"hash/maphash"
	"slices"
)

// nameSet remembers names by a hash of 8 bytes. Two names of one hash make the set
// say of one that it is in though it is not, which only keeps garbage.
type nameSet struct {
	seed    maphash.Seed
	hashes  []uint64
	compact int // how many there were when they were last made distinct
	sorted  bool
}

func newNameSet(seed maphash.Seed) *nameSet { return &nameSet{seed: seed} }

func (s *nameSet) add(hash uint64) {
	s.hashes = append(s.hashes, hash)
	s.sorted = false
	if len(s.hashes) >= 2*s.compact+1024 {
		s.seal()
	}
}

// seal sorts what was added.
func (s *nameSet) seal() {
	if s.sorted {
		return
	}
	slices.Sort(s.hashes)
	s.hashes = slices.Compact(s.hashes)
	s.compact, s.sorted = len(s.hashes), true
}

func (s *nameSet) has(hash uint64) bool {
	s.seal()
	_, ok := slices.BinarySearch(s.hashes, hash)
	return ok
}

func (s *nameSet) clear() {
	s.hashes, s.compact, s.sorted = s.hashes[:0], 0, true
}

// part is a share of all names: those whose hash is i in the remainder by of. A
// registry with more names than may be remembered is marked part by part.
type part struct{ i, of uint64 }

func (p part) has(hash uint64) bool { return hash%p.of == p.i }
