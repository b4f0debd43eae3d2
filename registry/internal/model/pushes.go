package model

import "fmt"

// The invariants of Pushes.
const (
	// Whole is I2: what can be read can be decoded, at every moment.
	Whole = "I2: a readable version cannot be decoded"
	// Kept is a part of I1: what somebody was told is there stays until it is retired.
	Kept = "I1: a version that was acknowledged cannot be read, and nobody has retired it"
	// Served is what the rule of readers is for.
	Served = "a reader gets an error from a version that is whole"
)

// Pushes is the push protocol against collection. The zero value of each switch is
// the smaller system.
type Pushes struct {
	Pushers    int
	Collectors int
	Names      int // of objects that can be made, those at the start included
	Epochs     int // collections

	Same    bool // both pushers push version 1; else each one of its own
	Twin    bool // both pushers are one push, of version 1, at two replicas
	Repush  bool // pushers may push version 0 too, once it is retired
	Retire  int  // so many versions, from 0 on, may be retired and taken back at any time
	Retry   int  // how often a push repeats P1 after a conflict
	Finish  bool // another replica may finish what it finds half done
	Judge   bool // a push remembers what it read of a version when it asks again
	Deltas  bool // version 0 is a delta, and pushers upload deltas of what versions need
	Bodies  bool // bodies are objects, and may be condemned like others
	Skip    bool // G1 reads all heads, and G3 only those that have changed since
	Listing bool // a list may miss a key that was made while it ran
	LatePut bool // an upload may be applied again at any time
	Exists  bool // P1 takes any object that the store says is there, which M10 and M12 are about
	Cache   bool // P1 knows places in version 0 from a cache, which M13 and R7 are about
	Moves   int  // how often protocol R begins
	Reader  bool // somebody reads version 0

	Flaw Flaw // a rule that is left out
}

// The names of actors in traces.
func (Pushes) pusher(i int) string    { return [...]string{"pusher A", "pusher B"}[i] }
func (Pushes) collector(i int) string { return [...]string{"collector A", "collector B"}[i] }

// versions returns how many versions there may be.
func (p Pushes) versions() int {
	if p.Same || p.Twin {
		return 2
	}
	return p.Pushers + 1
}

// Start implements System.
func (p Pushes) Start() Store {
	s := Store{stored: 0b1, used: 0b1}
	b := body{chunk: 0b1}
	if p.Deltas {
		b = body{chunk: 0b10, bases: 0b1}
		s.stored, s.holds[1], s.over[1] = 0b11, 1, 1
	}
	if p.Bodies {
		b.blob = s.stored + 1
		s.stored |= b.blob
	}
	s.used = s.stored
	s.heads[0] = head{state: committed, body: b, told: true}
	if p.Cache {
		s.cached = b
	}
	return s
}

// Steps implements System.
func (p Pushes) Steps(s Store, to *Steps[Store]) {
	p.lateSteps(s, to)
	p.othersSteps(s, to)
	for i := range p.Pushers {
		p.pushSteps(s, i, to)
	}
	p.replicaSteps(s, to)
	if p.Moves > 0 {
		p.moveSteps(s, to)
	}
	if p.Reader {
		p.readerSteps(s, to)
	}
	for i := range p.Collectors {
		p.collectSteps(s, i, to)
	}
}

// Broken implements System.
func (p Pushes) Broken(s Store) string {
	for i := range s.heads {
		h := &s.heads[i]
		switch {
		case h.readable() && !s.decodes(h.body):
			return Whole
		case h.told && !h.readable():
			return Kept
		}
	}
	if s.reader.at == readerFailed {
		return Served
	}
	return ""
}

// What may come about in Pushes.
const (
	Pushed    Goals = 1 << iota // every push has ended with its version readable
	Repaired                    // a push that had to begin again ends well
	Collected                   // the last collection has ended, and objects are gone
	Retired                     // a version is dead
	Moved                       // protocol R has pointed version 0 elsewhere
	Followed                    // a reader has followed version 0 elsewhere
)

// Reached implements System.
func (p Pushes) Reached(s Store) (g Goals) {
	done := 0
	for i := range p.Pushers {
		if s.push[i].at == pushDone {
			done++
			if s.push[i].tries > 0 {
				g |= Repaired
			}
		}
	}
	if done == p.Pushers && done > 0 {
		g |= Pushed
	}
	if s.gc.phase == idle && int(s.gc.epoch) == p.Epochs && s.used&^s.stored != 0 {
		g |= Collected
	}
	for i := range s.heads {
		if s.heads[i].state == dead {
			g |= Retired
		}
	}
	if s.move.at == moveDone && s.move.worked {
		g |= Moved
	}
	if s.reader.at == readerFollowed {
		g |= Followed
	}
	return g
}

// Facts implements System.
func (p Pushes) Facts(s Store) []string {
	facts := []string{
		fmt.Sprintf("objects: %v", s.stored),
		fmt.Sprintf("deletes sent: %v", s.deleted),
		fmt.Sprintf("g/state: %v", s.gc),
	}
	for v := range p.versions() {
		facts = append(facts, fmt.Sprintf("version %d: %v", v, s.heads[v]))
	}
	for i := range p.Pushers {
		a := &s.push[i]
		facts = append(facts, fmt.Sprintf("%s knows epochs up to %d, counts %v as absent, has %v", p.pusher(i), a.e0, a.absent, a.body))
	}
	for i := range p.Collectors {
		facts = append(facts, fmt.Sprintf("%s has marked %v", p.collector(i), s.collect[i].marks))
	}
	if p.Cache {
		facts = append(facts, fmt.Sprintf("cached of version 0: %v", s.cached))
	}
	if p.Moves > 0 {
		facts = append(facts, fmt.Sprintf("mover knows epochs up to %d, counts %v as absent, has %v", s.move.e0, s.move.absent, s.move.body))
	}
	if p.Reader {
		facts = append(facts, fmt.Sprintf("reader reads by %v", s.reader.body))
	}
	return facts
}

// setHead writes a head. What others have read of it is out of date from now on, so
// a compare-and-swap of theirs fails: they begin again, which is all they could do.
// The caller notes what it holds itself after this.
func (p Pushes) setHead(s *Store, v int, h head) {
	s.heads[v] = h
	for i := range s.push {
		a := &s.push[i]
		if int(a.version) != v {
			continue
		}
		a.holds = false
		if a.at == pushP5 && p.Flaw != M7 && p.Flaw != P5Any {
			a.at = pushP3
		}
	}
	if int(s.other.version) == v && p.Flaw != ReapBlind && p.Flaw != RestoreBlind {
		s.other = replica{}
	}
	if int(s.move.version) == v && s.move.at.holds() && p.Flaw != R5 {
		s.move = mover{at: moveDone, round: s.move.round}
	}
	for i := range s.collect {
		unnoticed := p.Flaw == SkipByKey || p.Flaw == SkipLateVersion && s.collect[i].at <= collectG2
		if !unnoticed {
			s.collect[i].same &^= 1 << v
		}
	}
}

// setGC writes g/state. Other collectors fail at their next write of it and begin
// again.
func (p Pushes) setGC(s *Store, by int, g gcState) {
	s.gc = g
	if g.phase != idle {
		s.lists[g.epoch] = g.list
	}
	for i, a := range s.collect {
		if i == by || p.decidesAlone() && a.list != 0 {
			continue
		}
		s.collect[i] = collector{}
		if p.Flaw == SkipWithoutMarks {
			s.collect[i].same = a.same
		}
	}
}

// upload puts a chunk under a name that nobody has had: whole, or as a delta of what
// the object base holds. It returns none when all names are used up.
func (p Pushes) upload(s *Store, chunk uint8, base names) (n names, ok bool) {
	if n, ok = p.fresh(s); !ok {
		return 0, false
	}
	s.holds[index(n)], s.over[index(n)] = chunk, 0
	if base != 0 {
		s.over[index(n)] = s.holds[index(base)] + 1
	}
	return n, true
}

// wanted is the chunk that a pusher uploads whole: the one that version 0 has.
func (p Pushes) wanted() uint8 {
	if p.Deltas {
		return 1
	}
	return 0
}

// fresh makes an object under a name that nobody has had.
func (p Pushes) fresh(s *Store) (names, bool) {
	if p.Flaw == M1 {
		s.stored |= 0b1
		return 0b1, true
	}
	for i := range p.Names {
		if n := names(1) << i; s.used&n == 0 {
			s.used |= n
			s.stored |= n
			return n, true
		}
	}
	return 0, false
}
