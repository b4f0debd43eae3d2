package model

import (
	"fmt"
	"strings"
)

// The largest system that a Store has room for.
const (
	maxNames    = 6 // of objects
	maxEpochs   = 3
	maxVersions = 3
	maxActors   = 2 // pushers, and collectors
	maxBases    = 2 // in the closure of an entry, by policy
)

// names is a set of names of objects. A name that was given out is never given out
// again, so it stands for one upload.
type names uint8

func (n names) String() string {
	var b strings.Builder
	for i := range maxNames {
		if n>>i&1 == 1 {
			b.WriteByte('a' + byte(i))
		}
	}
	return "{" + b.String() + "}"
}

// body says where the only chunk of a version lies. Two bodies that say the same
// are one, unless bodies are objects themselves.
type body struct {
	blob  names // its own object, where bodies are objects
	chunk names // one name; none means that there is no body
	bases names // that decoding the chunk needs
}

func (b body) names() names { return b.blob | b.chunk | b.bases }

func (b body) String() string {
	s := b.chunk.String()
	if b.bases != 0 {
		s += " over " + b.bases.String()
	}
	if b.blob != 0 {
		s += ", body " + b.blob.String()
	}
	return s
}

type headState uint8

// The states of a head; absent is one that was never written.
const (
	absent headState = iota
	pending
	committed
	condemned
	dead
	aborted
)

func (s headState) String() string {
	return [...]string{"absent", "pending", "committed", "condemned", "dead", "aborted"}[s]
}

// head is the register of a version. What nobody will look at any more is zero, so
// that states are the same that differ only in that.
type head struct {
	state  headState
	e0     uint8 // while it is pending
	body   body
	next   body // while protocol R points it elsewhere
	nextE0 uint8
	told   bool // somebody was told that it is there, and it was not retired since
}

func (h head) readable() bool { return h.state == committed || h.state == condemned }

func (h head) String() string {
	s := h.state.String()
	if h.state == pending {
		s += fmt.Sprintf(", e0 %d", h.e0)
	}
	if h.body.chunk != 0 {
		s += ": " + h.body.String()
	}
	if h.next.chunk != 0 {
		s += fmt.Sprintf("; next %v, e0 %d", h.next, h.nextE0)
	}
	return s
}

type phase uint8

// The phases of a collection.
const (
	idle phase = iota
	publishing
	sweeping
)

func (p phase) String() string { return [...]string{"idle", "condemned", "sweeping"}[p] }

// gcState is the register g/state.
type gcState struct {
	epoch uint8
	phase phase
	list  names
}

// active returns the names that count as absent for who begins now.
func (g gcState) active() names {
	if g.phase == idle {
		return 0
	}
	return g.list
}

func (g gcState) String() string {
	if g.phase == idle {
		return fmt.Sprintf("epoch %d, idle", g.epoch)
	}
	return fmt.Sprintf("epoch %d, %v, list %v", g.epoch, g.phase, g.list)
}

// Store is a state of Pushes: registers, objects, and where every actor is.
type Store struct {
	stored  names                // objects that are there
	used    names                // names that were given out
	deleted names                // names that a delete was sent for
	holds   [maxNames]uint8      // the chunk that an object is an encoding of, by number
	over    [maxNames]uint8      // one more than the chunk that it is a delta of; 0 for a whole one
	gc      gcState              // g/state
	lists   [maxEpochs + 1]names // by epoch: the candidates, and later what is deleted; P4 may read both
	heads   [maxVersions]head    // version 0 is there from the start

	cached  body // where some replica's cache has the chunk of version 0
	push    [maxActors]push
	collect [maxActors]collector
	other   replica
	move    mover
	reader  reader
}

// decodes tells whether a version with that body can be read: whether everything is
// there that the body names, and names it all that decoding takes.
func (s *Store) decodes(b body) bool {
	if b.names()&^s.stored != 0 {
		return false
	}
	_, ok := s.closure(b.chunk, b.bases)
	return ok
}

// closure returns which of some objects decoding a chunk takes beside its own. A
// base may be any object that holds the right chunk.
func (s *Store) closure(chunk, among names) (bases names, ok bool) {
	want := s.over[index(chunk)]
	if want == 0 {
		return 0, true
	}
	for n := names(1); n <= among; n <<= 1 {
		if n&among == 0 || s.holds[index(n)]+1 != want {
			continue
		}
		if more, ok := s.closure(n, among&^n); ok {
			return n | more, true
		}
	}
	return 0, false
}
