package model

// mover points a committed version at other objects: protocol R.
type mover struct {
	at      moveAt
	version uint8
	e0      uint8
	absent  names
	body    body // what the version is to have
	round   uint8
	worked  bool
}

type moveAt uint8

const (
	moveR0 moveAt = iota
	moveR1
	moveLate // R3: the epoch is read only now
	moveR2
	moveUnpublished // R6: checked, and not published
	moveR3
	moveR4
	moveDone
)

// holds tells whether a swap of the head is to come that was read before.
func (at moveAt) holds() bool { return at > moveR1 && at < moveDone }

// moveSteps are R0 to R4. A mover may also be gone at any moment, and another one
// begin.
func (p Pushes) moveSteps(s Store, to *Steps[Store]) {
	a := s.move
	n := s
	h := s.heads[a.version]
	h.next, h.nextE0 = a.body, a.e0
	switch a.at {
	case moveR0:
		n.move.at = moveR1
		if p.Flaw != R3 {
			n.move.e0, n.move.absent = s.gc.epoch, s.gc.active()
		}
		to.Add(n, "mover", "R0: reads g/state")
	case moveR1:
		for v := range s.heads {
			p.moveBodySteps(s, v, to)
		}
	case moveLate:
		n.move.e0, n.move.at = s.gc.epoch, moveR2
		to.Add(n, "mover", "reads the epoch of g/state")
	case moveR2:
		if p.Flaw == R6 {
			if p.passes(&s, h) {
				n.move.at = moveUnpublished
				to.Add(n, "mover", "R3: no new list names what it needs, and nothing is published yet")
			}
			break
		}
		p.setHead(&n, int(a.version), h)
		n.move = a
		n.move.at = moveR3
		to.AddOf(n, "mover", "R2: writes next of version", int(a.version))
	case moveR3:
		p.checkNextSteps(s, h, to)
	case moveR4, moveUnpublished:
		h.state = committed
		p.setHead(&n, int(a.version), settled(h))
		n.move = mover{at: moveDone, round: a.round, worked: true}
		to.AddOf(n, "mover", "R4: next becomes the body of version", int(a.version))
	}
	if a.at != moveR0 && int(a.round)+1 < p.Moves {
		n = s
		n.move = mover{round: a.round + 1}
		to.Add(n, "mover", "is gone, or done; another begins")
	}
}

// moveBodySteps is R1 for one version: new objects, or places in other versions.
func (p Pushes) moveBodySteps(s Store, v int, to *Steps[Store]) {
	h := s.heads[v]
	if h.state != committed || h.next.chunk != 0 {
		return
	}
	take := func(n Store, b body, what string) {
		ok := true
		if p.Bodies {
			b.blob, ok = p.fresh(&n)
		}
		if !ok {
			return
		}
		n.move.version, n.move.body, n.move.at = uint8(v), b, moveR2
		if p.Flaw == R3 {
			n.move.at = moveLate
		}
		to.AddOf(n, "mover", what, v)
	}
	n := s
	if chunk, ok := p.upload(&n, s.holds[index(h.body.chunk)], 0); ok {
		take(n, body{chunk: chunk}, "R1: uploads whole the chunk of version")
	}
	if h.body.bases != 0 {
		p.moveBaseSteps(s, h.body, take)
	}
	p.hits(&s, s.move.absent, func(from int, b body) {
		if from == v {
			return
		}
		take(s, b, "R1: takes a place of another for version")
		n := s
		if !p.Deltas || count(b.chunk|b.bases) > maxBases {
			return
		}
		if chunk, ok := p.upload(&n, s.holds[index(h.body.chunk)], b.chunk); ok {
			take(n, body{chunk: chunk, bases: b.chunk | b.bases}, "R1: uploads a delta over the chunk of another for version")
		}
	})
}

// moveBaseSteps are R1 for what is a delta: another delta of the base that it has, or
// the same one with its base elsewhere, whole. What the old body names needs no check
// to stay in use.
func (p Pushes) moveBaseSteps(s Store, old body, take func(n Store, b body, what string)) {
	for base := names(1); base < 1<<p.Names; base <<= 1 {
		if base&old.bases == 0 || s.holds[index(base)]+1 != s.over[index(old.chunk)] {
			continue
		}
		n := s
		if chunk, ok := p.upload(&n, s.holds[index(old.chunk)], base); ok {
			take(n, body{chunk: chunk, bases: old.bases}, "R1: uploads a delta over the base of version")
		}
		n = s
		copied, ok := p.upload(&n, s.holds[index(base)], 0)
		if p.Flaw == MoveDropsBase {
			copied = 0
		}
		if ok {
			take(n, body{chunk: old.chunk, bases: copied}, "R1: uploads whole the base of version")
		}
	}
}

// checkNextSteps is R3.
func (p Pushes) checkNextSteps(s Store, h head, to *Steps[Store]) {
	n := s
	if h.state = committed; p.passes(&s, h) {
		n.move.at = moveR4
		to.Add(n, "mover", "R3: reads g/state, no new list names what next needs")
		return
	}
	h = s.heads[s.move.version]
	h.next, h.nextE0 = body{}, 0
	p.setHead(&n, int(s.move.version), h)
	n.move = mover{at: moveDone, round: s.move.round}
	to.Add(n, "mover", "R3: reads g/state, a new list names what next needs: drops next")
}
