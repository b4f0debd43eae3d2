package model

import "math/bits"

func count(n names) int { return bits.OnesCount8(uint8(n)) }
func index(n names) int { return bits.TrailingZeros8(uint8(n)) }

// push is where a pusher is, and what it knows.
type push struct {
	at      pushAt
	version uint8
	e0      uint8 // it knows the lists up to this epoch
	absent  names // they count as absent for the rest of the push
	body    body  // what it publishes
	judged  body  // where a version had the chunk that it has looked at
	mine    names // Twin: what it has uploaded
	tries   uint8 // how often it has repeated P1
	holds   bool  // it wrote the head last
}

type pushAt uint8

const (
	pushP0 pushAt = iota
	pushP1
	pushLate // M8: the epoch is read only now
	pushBase // it has a delta, and no base yet
	pushBody
	pushP3
	pushP4
	pushP5
	pushUnpublished // M2: checked, and not published yet
	pushDone
)

// pushSteps are P0 to P5, and the part of P6 that takes a version back.
func (p Pushes) pushSteps(s Store, i int, to *Steps[Store]) {
	switch a := s.push[i]; a.at {
	case pushP0:
		p.startSteps(s, i, to)
	case pushP1:
		p.findSteps(s, i, to)
	case pushLate:
		n := s
		n.push[i].e0, n.push[i].at = s.gc.epoch, p.afterFind()
		to.Add(n, p.pusher(i), "reads the epoch of g/state")
	case pushBase:
		p.baseSteps(s, i, to)
	case pushBody:
		n := s
		if blob, ok := p.fresh(&n); ok {
			n.push[i].body.blob, n.push[i].at = blob, pushP3
			to.Add(n, p.pusher(i), "P3: writes the body")
		}
	case pushP3:
		p.publishSteps(s, i, to)
	case pushP4:
		p.checkSteps(s, i, to)
	case pushP5:
		n := s
		h := head{state: committed, body: a.body, told: true}
		if p.Flaw == P5Any && !a.holds {
			h.body = s.heads[a.version].body
		}
		if a.holds || p.Flaw == M7 || p.Flaw == P5Any && s.heads[a.version].state == pending {
			p.setHead(&n, int(a.version), h)
			n.push[i] = push{at: pushDone, tries: a.tries}
			to.AddOf(n, p.pusher(i), "P5: pending → committed: version", int(a.version))
		}
	case pushUnpublished:
		n := s
		p.setHead(&n, int(a.version), head{state: committed, body: a.body, told: true})
		n.push[i] = push{at: pushDone}
		to.AddOf(n, p.pusher(i), "→ committed: version", int(a.version))
	}
}

// startSteps are P0. A push that is resumed at another replica begins there with
// what its register says.
func (p Pushes) startSteps(s Store, i int, to *Steps[Store]) {
	if p.Flaw == BaseBeforeP0 && s.push[i].judged.chunk == 0 {
		p.hits(&s, 0, func(v int, b body) {
			n := s
			n.push[i].judged = b
			to.AddOf(n, p.pusher(i), "reads, before P0, and remembers the places of version", v)
		})
	}
	n := s
	n.push[i].at = pushP1
	if first := s.push[0]; p.Twin && i > 0 {
		if first.at == pushP0 || first.at == pushDone {
			return
		}
		n.push[i].e0, n.push[i].absent = first.e0, first.absent
		if p.Flaw == ResumeForgets {
			n.push[i].absent = 0
		}
		to.Add(n, p.pusher(i), "reads the register of the push")
		return
	}
	if p.Flaw != M8 {
		n.push[i].e0 = s.gc.epoch
	}
	if p.Flaw != M8 && p.Flaw != M9 {
		n.push[i].absent = s.gc.active()
	}
	to.Add(n, p.pusher(i), "P0: reads g/state")
}

// afterFind is where a push goes when it has a place for the chunk.
func (p Pushes) afterFind() pushAt {
	if p.Bodies {
		return pushBody
	}
	return pushP3
}

// findSteps are P1 and P2: the push takes a place from a version, or uploads.
func (p Pushes) findSteps(s Store, i int, to *Steps[Store]) {
	a := s.push[i]
	next := p.afterFind()
	if p.Flaw == M8 {
		next = pushLate
	}
	take := func(n Store, b body, what string, v int) {
		n.push[i].body, n.push[i].at = b, next
		if b.bases == 0 && n.over[index(b.chunk)] != 0 && p.Flaw != M14c {
			n.push[i].at = pushBase
		}
		to.AddOf(n, p.pusher(i), what, v)
	}
	if p.Judge && a.tries == 0 && a.judged.chunk == 0 {
		p.hits(&s, 0, func(v int, b body) {
			n := s
			n.push[i].judged = b
			to.AddOf(n, p.pusher(i), "P1: reads, after P0, and remembers the places of version", v)
		})
	}
	p.hits(&s, a.absent, func(v int, b body) {
		entry := b
		if p.Flaw == M14c {
			entry.bases = 0
		}
		take(s, entry, "P1: finds the chunk in version", v)
	})
	if p.Deltas {
		p.deltaSteps(s, i, take)
	}
	if b := a.judged; b.chunk != 0 && b.names()&a.absent == 0 && p.Flaw != BaseBeforeP0 {
		take(s, b, "P1: takes the place that it remembers", none)
	}
	mine := s.push[0].mine | s.push[1].mine // of one push, if there are any
	for n := names(1); n < 1<<p.Names; n <<= 1 {
		if there := n & s.stored &^ a.absent; there&mine != 0 {
			take(s, body{chunk: n}, "P1: finds in the store what the push has uploaded", none)
		} else if there != 0 && p.Exists {
			take(s, body{chunk: n}, "finds an object in the store", none)
		}
	}
	n := s
	if chunk, ok := p.upload(&n, p.wanted(), 0); ok {
		if p.Twin {
			n.push[i].mine |= chunk
		}
		take(n, body{chunk: chunk}, "P2: uploads the chunk", none)
	}
}

// hits calls f with the places that P1 may use: those in heads that are committed
// now, which is after P0, without objects that count as absent.
func (p Pushes) hits(s *Store, without names, f func(version int, b body)) {
	try := func(v int, b body) {
		seen := b.chunk | b.bases
		if p.Flaw == M14d {
			seen = b.chunk
		}
		if b.chunk != 0 && seen&without == 0 {
			f(v, body{chunk: b.chunk, bases: b.bases})
		}
	}
	for v := range s.heads {
		h := &s.heads[v]
		if h.state != committed {
			continue
		}
		try(v, h.body)
		if v == 0 && s.cached != h.body && (p.Flaw == M13 || p.Flaw == R7) {
			try(v, s.cached)
		}
		if p.Flaw == R4 {
			try(v, h.next)
		}
	}
}

// publishSteps is P3. The head is read and swapped in one step: a swap succeeds
// just when nobody has written since the read, so that it could have been read now.
func (p Pushes) publishSteps(s Store, i int, to *Steps[Store]) {
	a := s.push[i]
	for v := range p.versions() {
		if a.tries > 0 && v != int(a.version) || !p.pushes(i, v) {
			continue
		}
		h := s.heads[v]
		n := s
		n.push[i].version = uint8(v)
		switch {
		case p.Flaw == M2:
			if h.state == absent && p.since(&s, a.e0)&a.body.names() == 0 {
				n.push[i].at = pushUnpublished
				to.Add(n, p.pusher(i), "P4: no list names what it needs, and nothing is published yet")
			}
		case h.state == dead && p.Flaw == DeadRestored:
			h.state, h.told = committed, true
			p.setHead(&n, v, h)
			n.push[i] = push{at: pushDone}
			to.AddOf(n, p.pusher(i), "dead → committed: version", v)
		case !h.readable() || p.Flaw == P3Blind && h.state == committed:
			p.setHead(&n, v, head{state: pending, body: a.body, e0: p.published(&s, a), told: h.told})
			n.push[i].at, n.push[i].holds = pushP4, true
			to.AddOf(n, p.pusher(i), "P3: → pending: version", v)
		default: // it is there; one that is condemned is taken back
			h.state, h.told = committed, true
			if h != s.heads[v] {
				p.setHead(&n, v, h)
			}
			n.push[i] = push{at: pushDone, tries: a.tries}
			to.AddOf(n, p.pusher(i), "P3: finds readable, and keeps, version", v)
		}
	}
}

// pushes tells whether pusher i pushes version v.
func (p Pushes) pushes(i, v int) bool {
	switch {
	case v == 0:
		return p.Repush
	case p.Same || p.Twin:
		return v == 1
	}
	return v == i+1
}

// published returns the epoch that P3 writes into the head.
func (p Pushes) published(s *Store, a push) uint8 {
	if p.Flaw == P3Epoch {
		return s.gc.epoch
	}
	return a.e0
}

// checkSteps is P4.
func (p Pushes) checkSteps(s Store, i int, to *Steps[Store]) {
	a := s.push[i]
	n := s
	if p.passes(&s, head{state: pending, body: a.body, e0: a.e0}) {
		n.push[i].at = pushP5
		if !a.holds && p.Flaw != M7 && p.Flaw != P5Any {
			n.push[i].at = pushP3 // P5 would fail: it looks again
		}
		to.Add(n, p.pusher(i), "P4: reads g/state, no new list names what it needs")
		return
	}
	if p.since(&s, a.e0)&(a.body.chunk|a.body.bases) == 0 {
		n.push[i].body.blob, n.push[i].at = 0, pushBody
		to.Add(n, p.pusher(i), "P4: reads g/state, a new list names the body")
		return
	}
	if int(a.tries) == p.Retry {
		return // it gives up
	}
	n.push[i] = push{
		at: pushP1, version: a.version, e0: s.gc.epoch, absent: a.absent | p.since(&s, a.e0), judged: a.judged, mine: a.mine,
		tries: a.tries + 1,
	}
	switch p.Flaw {
	case RetryForgets:
		n.push[i].absent = p.since(&s, a.e0)
	case RetryKeeps:
		n.push[i].body, n.push[i].at = a.body, pushP3
	}
	to.Add(n, p.pusher(i), "P4: reads g/state, a new list names what it needs: again from P1")
}

// passes is P4 for a pending head, and R3 for a committed one with a next body. What
// that one's body names is marked by every collection up to R4, so it needs no check.
func (p Pushes) passes(s *Store, h head) bool {
	b, e0, skip := h.body, h.e0, p.Flaw == M3
	if h.state == committed {
		b, e0, skip = h.next, h.nextE0, p.Flaw == R1
	}
	check := b.names()
	if h.state == committed {
		check &^= h.body.names()
	}
	switch p.Flaw {
	case M14b:
		check &^= b.bases
	case BodyUnchecked:
		check &^= b.blob
	case HeldElsewhere:
		for i := range s.heads {
			if s.heads[i].state == committed {
				check &^= s.heads[i].body.names()
			}
		}
	}
	return skip || p.since(s, e0)&check == 0
}

// since returns what collections have condemned that began after e0 was read.
func (p Pushes) since(s *Store, e0 uint8) (all names) {
	for e := e0 + 1; e <= s.gc.epoch; e++ {
		if p.Flaw != ListsGone || e == s.gc.epoch {
			all |= s.lists[e]
		}
	}
	return all
}

// settled is what P5 and R4 write.
func settled(h head) head {
	if h.state == committed {
		h.body, h.next, h.nextE0 = h.next, body{}, 0
		return h
	}
	return head{state: committed, body: h.body, told: h.told}
}
