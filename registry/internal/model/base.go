package model

// deltaSteps are P2 with deltas. What a delta is to be decoded with is no matter of
// the upload: it may be of anything that some version needs.
func (p Pushes) deltaSteps(s Store, i int, take func(n Store, b body, what string, version int)) {
	upload := func(v int, b body) {
		for base := names(1); base < 1<<p.Names; base <<= 1 {
			if base&b.names() == 0 {
				continue
			}
			n := s
			chunk, ok := p.upload(&n, s.holds[index(base)]+1, base)
			if !ok {
				continue
			}
			if p.Twin {
				n.push[i].mine |= chunk
			}
			take(n, body{chunk: chunk}, "P2: uploads a delta of what is needed by version", v)
		}
	}
	p.hits(&s, 0, upload)
	if b := s.push[i].judged; b.chunk != 0 {
		upload(0, b)
	}
}

// baseSteps are the part of P3 that finds the base of a delta, and what that needs
// in its turn, by the rules of P1. It may be the chunk of a version or a base of
// one. Where there is none any more, the client sends the chunk whole.
func (p Pushes) baseSteps(s Store, i int, to *Steps[Store]) {
	a := s.push[i]
	found := func(bases names, what string, v int) {
		n := s
		n.push[i].body.bases, n.push[i].at = bases, p.afterFind()
		to.AddOf(n, p.pusher(i), what, v)
	}
	absent := a.absent
	if p.Flaw == BaseListed {
		absent = 0
	}
	p.hits(&s, absent, func(v int, b body) {
		if bases, ok := s.bases(a.body.chunk, b); ok {
			found(bases, "P3: finds the base in version", v)
		}
	})
	if b := a.judged; b.chunk != 0 && b.names()&a.absent == 0 {
		if bases, ok := s.bases(a.body.chunk, b); ok {
			found(bases, "P3: finds the base in what it remembers", none)
		}
	}
	if p.Flaw == BaseLeftOut {
		found(0, "P3: names no base", none)
	}
	n := s
	n.push[i].body, n.push[i].at = body{}, pushP1
	to.Add(n, p.pusher(i), "P3: tells the client that the chunk is missing")
}

// bases returns what of a place a delta needs, as long as that is no more than a
// closure may have.
func (s *Store) bases(delta names, in body) (names, bool) {
	bases, ok := s.closure(delta, in.chunk|in.bases)
	return bases, ok && count(bases) <= maxBases
}
