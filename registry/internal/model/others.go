package model

// lateSteps are what a store may do late: every delete and every upload that was
// ever sent may be applied at any time, again and again.
func (p Pushes) lateSteps(s Store, to *Steps[Store]) {
	for a := names(1); a < 1<<p.Names; a <<= 1 {
		n := s
		switch {
		case s.deleted&s.stored&a != 0:
			n.stored &^= a
			to.Add(n, "store", "applies a delete")
		case p.LatePut && s.used&^s.stored&a != 0:
			n.stored |= a
			to.Add(n, "store", "applies an upload once more")
		}
	}
}

// othersSteps are what somebody may do to a head at any time in one
// compare-and-swap: retire a version, take it back, give up a commit or a
// re-pointing, fill a cache.
func (p Pushes) othersSteps(s Store, to *Steps[Store]) {
	for v := range s.heads {
		write := func(h head, who, what string) {
			n := s
			p.setHead(&n, v, h)
			to.AddOf(n, who, what, v)
		}
		h := s.heads[v]
		if v < p.Retire && h.state == committed {
			h.state = condemned
			write(h, "user", "retirement: committed → condemned: version")
		} else if v < p.Retire && h.state == condemned {
			h.state = committed
			write(h, "user", "P6, or a retirement that finds a tag: condemned → committed: version")
			write(p.retired(h), "user", "retirement that finds no tag: condemned → dead: version")
		}
		h = s.heads[v]
		if h.state == pending {
			write(head{state: aborted, told: h.told}, "collector", "gives up a commit: pending → aborted: version")
		}
		if h.next.chunk != 0 {
			h.next, h.nextE0 = body{}, 0
			write(h, "replica", "drops next of version")
		}
	}
	if n := s; p.Cache && s.heads[0].state == committed && s.cached != s.heads[0].body {
		n.cached = s.heads[0].body
		to.Add(n, "replica", "caches where version 0 lies")
	}
}

// retired returns what becomes of a head. Nobody looks at the body of a dead one,
// except where a flaw does.
func (p Pushes) retired(h head) head {
	if p.Flaw == DeadRestored || p.Flaw == RestoreBlind {
		return head{state: dead, body: h.body}
	}
	return head{state: dead}
}

// replica is another one that has read a head. It keeps nothing else: when somebody
// writes the head, it begins again.
type replica struct {
	at      replicaAt
	version uint8
}

type replicaAt uint8

const (
	replicaIdle replicaAt = iota
	replicaRead
	replicaChecked
	replicaReaps    // ReapBlind: it has read that the head is pending
	replicaRestores // RestoreBlind: it has read that the head is condemned
)

// replicaSteps finish from its register what somebody has begun: P4 and P5, or R3
// and R4.
func (p Pushes) replicaSteps(s Store, to *Steps[Store]) {
	n := s
	v := int(s.other.version)
	h := s.heads[v]
	switch s.other.at {
	case replicaIdle:
		p.pickSteps(s, to)
	case replicaRead:
		if p.passes(&s, h) {
			n.other.at = replicaChecked
			to.Add(n, "replica", "P4 or R3: reads g/state, no new list names what is needed")
		}
	case replicaChecked:
		p.setHead(&n, v, settled(h))
		n.other = replica{}
		to.AddOf(n, "replica", "P5 or R4: finishes version", v)
	case replicaReaps:
		p.setHead(&n, v, head{state: aborted, told: h.told})
		n.other = replica{}
		to.AddOf(n, "replica", "→ aborted: version", v)
	case replicaRestores:
		h.state = committed
		p.setHead(&n, v, h)
		n.other = replica{}
		to.AddOf(n, "replica", "→ committed: version", v)
	}
}

func (p Pushes) pickSteps(s Store, to *Steps[Store]) {
	for v := range s.heads {
		h := &s.heads[v]
		pick := func(at replicaAt, what string) {
			n := s
			n.other = replica{at, uint8(v)}
			to.AddOf(n, "replica", what, v)
		}
		if p.Finish && (h.state == pending || h.state == committed && h.next.chunk != 0) {
			pick(replicaRead, "reads the head, half done, of version")
		}
		if p.Flaw == ReapBlind && h.state == pending {
			pick(replicaReaps, "reads the head, pending, of version")
		}
		if p.Flaw == RestoreBlind && h.state == condemned {
			pick(replicaRestores, "reads the head, condemned, of version")
		}
	}
}

// reader reads version 0.
type reader struct {
	at   readerAt
	body body // that it reads by
}

type readerAt uint8

const (
	readerIdle     readerAt = iota
	readerReads             // by the first body
	readerFollowed          // by a later one
	readerFailed
)

// readerSteps are those of a reader. Of the objects that it reads only those matter
// that are gone when it comes to them.
func (p Pushes) readerSteps(s Store, to *Steps[Store]) {
	n := s
	h := s.heads[0]
	switch {
	case !h.readable():
	case s.reader.at == readerIdle:
		n.reader = reader{readerReads, h.body}
		to.Add(n, "reader", "reads the head of version 0")
	case s.reader.at == readerFailed || s.decodes(s.reader.body):
	case h.body == s.reader.body, p.Flaw == R8, p.Flaw == R9 && s.reader.at == readerFollowed:
		n.reader = reader{at: readerFailed}
		to.Add(n, "reader", "misses an object, and gives up")
	default:
		n.reader = reader{readerFollowed, h.body}
		to.Add(n, "reader", "misses an object, and finds that the head names another body")
	}
}
