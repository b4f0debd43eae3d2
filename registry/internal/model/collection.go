package model

// collector is where a collector is. What it has read of g/state is what stands
// there: when another writes that, it begins again.
type collector struct {
	at    collectAt
	next  uint8 // the head that it reads next
	marks names // what the heads it has read need
	same  uint8 // the heads that it has read in G1 and that are unchanged, one bit each
	known uint8 // the heads that were there when its second list began
	list  names // M4, G4Blind: what it may delete, in which collection
	epoch uint8
}

type collectAt uint8

const (
	collectG0 collectAt = iota
	collectG1
	collectG2
	collectG3
	collectG4
	collectG5
	collectG6
	collectOwn // M4: it waits until what it deletes itself is gone
)

// collectSteps are G0 to G6.
func (p Pushes) collectSteps(s Store, i int, to *Steps[Store]) {
	n := s
	switch a := s.collect[i]; a.at {
	case collectG0:
		p.beginSteps(s, i, to)
	case collectG1:
		n.collect[i].marks |= p.marked(s.heads[a.next])
		n.collect[i].same |= 1 << a.next
		if n.collect[i].next++; int(n.collect[i].next) == p.versions() {
			n.collect[i].next, n.collect[i].at = 0, collectG2
		}
		to.AddOf(n, p.collector(i), "G1: reads the head, with its register's version, of version", int(a.next))
	case collectG2:
		p.publishListSteps(s, i, to)
	case collectG3:
		p.markSteps(s, i, to)
	case collectG4:
		p.decideSteps(s, i, to)
	case collectG5:
		n.deleted |= s.gc.list
		n.collect[i].at = collectG6
		to.Add(n, p.collector(i), "G5: sends deletes of all names in the list")
	case collectG6:
		if p.waits() && s.gc.list&s.stored != 0 {
			return
		}
		n.collect[i] = collector{}
		p.setGC(&n, i, gcState{epoch: s.gc.epoch})
		to.Add(n, p.collector(i), "G6: g/state → idle")
	case collectOwn:
		p.ownSteps(s, i, to)
	}
}

// waits tells whether G6 waits until what is deleted is gone. Only who asks the
// store what there is can be deceived by an object that is to go, so without that
// nothing rests on the wait, and the model allows more than the protocol.
func (p Pushes) waits() bool { return p.Exists && p.Flaw != M10 }

// beginSteps is G0: a collector begins a collection, or takes over the one that is
// under way.
func (p Pushes) beginSteps(s Store, i int, to *Steps[Store]) {
	n := s
	a := collector{same: s.collect[i].same} // SkipWithoutMarks; else there is none
	switch s.gc.phase {
	case idle:
		if int(s.gc.epoch) == p.Epochs {
			return
		}
		a = collector{at: collectG2}
		if p.Skip || p.Flaw == M5 {
			a.at = collectG1
		}
		if p.Flaw == ListBeforeG2 {
			a.known = p.known(&s)
		}
		n.collect[i] = a
		to.Add(n, p.collector(i), "G0: reads g/state, begins a collection")
	case publishing:
		a.at, a.known = collectG3, p.known(&s)
		if p.Flaw == SkipTakeOver {
			a.same = 1<<maxVersions - 1
		}
		if p.decidesAlone() {
			a.list, a.epoch = s.gc.list, s.gc.epoch
		}
		n.collect[i] = a
		to.Add(n, p.collector(i), "G0: reads g/state, takes over at G3")
	case sweeping:
		n.collect[i] = collector{at: collectG5}
		to.Add(n, p.collector(i), "G0: reads g/state, takes over at G5")
	}
}

// known returns the heads that a list which begins now has for sure, one bit each.
func (p Pushes) known(s *Store) (all uint8) {
	if !p.Listing && p.Flaw != ListBeforeG2 {
		return 0
	}
	for v := range s.heads {
		if s.heads[v].state != absent {
			all |= 1 << v
		}
	}
	return all
}

// publishListSteps is G2. The first mark is there to find what is worth deleting
// and nothing rests on it, so any objects may be candidates. A collector that skips
// heads in G3 relies on its marks, so its candidates are among the others.
func (p Pushes) publishListSteps(s Store, i int, to *Steps[Store]) {
	a := s.collect[i]
	for list := names(1); list < 1<<p.Names; list++ {
		if list&(a.marks|^s.stored) != 0 {
			continue
		}
		n := s
		n.collect[i] = collector{at: collectG3, same: a.same, known: p.known(&s)}
		if p.Flaw == M5 {
			n.collect[i].at = collectG4
		}
		if p.Flaw == ListBeforeG2 {
			n.collect[i].known = a.known
		}
		if p.decidesAlone() {
			n.collect[i].list, n.collect[i].epoch = list, s.gc.epoch+1
		}
		p.setGC(&n, i, gcState{s.gc.epoch + 1, publishing, list})
		to.Add(n, p.collector(i), "G2: g/state → condemned, with a list of candidates")
	}
}

// markSteps is G3, which reads one head in each step: what a list of keys and
// versions says of a key is as old as that, or newer.
func (p Pushes) markSteps(s Store, i int, to *Steps[Store]) {
	a := s.collect[i]
	v := a.next
	read := func(marks names, what string) {
		n := s
		n.collect[i].marks |= marks
		n.collect[i].same &^= 1 << v
		if n.collect[i].next++; int(n.collect[i].next) == p.versions() {
			n.collect[i] = collector{at: collectG4, marks: n.collect[i].marks, list: a.list, epoch: a.epoch}
		}
		to.AddOf(n, p.collector(i), what, int(v))
	}
	if a.same>>v&1 == 1 {
		read(0, "G3: does not read the head, unchanged since G1, of version")
		return
	}
	marks := p.marked(s.heads[v])
	read(marks, "G3: reads the head of version")
	if marks != 0 && (p.Flaw == M11 || (p.Listing || p.Flaw == ListBeforeG2) && a.known>>v&1 == 0) {
		read(0, "G3: lists no head of version")
	}
}

// marked returns what a collection keeps for a head.
func (p Pushes) marked(h head) names {
	switch {
	case h.state == pending && p.Flaw == M6:
		return 0
	case h.state == condemned && p.Flaw == CondemnedUnmarked:
		return 0
	case h.state != pending && !h.readable():
		return 0
	}
	all := []body{h.body, h.next}
	if p.Flaw == R2 {
		all = all[:1]
	}
	var marks names
	for _, b := range all {
		switch p.Flaw {
		case M14a:
			b.bases = 0
		case BodyUnmarked:
			b.blob = 0
		}
		marks |= b.names()
	}
	return marks
}

// decideSteps is G4.
func (p Pushes) decideSteps(s Store, i int, to *Steps[Store]) {
	n := s
	a := s.collect[i]
	g := gcState{s.gc.epoch, sweeping, s.gc.list &^ a.marks}
	if p.Flaw == G4Blind {
		g = gcState{a.epoch, sweeping, a.list &^ a.marks}
	}
	if p.Flaw == M4 {
		n.collect[i] = collector{at: collectOwn, list: a.list, marks: a.marks, epoch: a.epoch}
		n.deleted |= a.list &^ a.marks
		to.Add(n, p.collector(i), "sends deletes of what it has not marked itself")
		return
	}
	n.collect[i] = collector{at: collectG5}
	p.setGC(&n, i, g)
	to.Add(n, p.collector(i), "G4: g/state → sweeping, with the list of what is deleted")
}

// decidesAlone tells whether a collector goes on after another has written g/state.
func (p Pushes) decidesAlone() bool { return p.Flaw == M4 || p.Flaw == G4Blind }

// ownSteps are the end of a collection in which each collector decides for itself
// what it deletes: M4.
func (p Pushes) ownSteps(s Store, i int, to *Steps[Store]) {
	n := s
	a := s.collect[i]
	n.collect[i] = collector{}
	switch {
	case s.gc.phase == idle || s.gc.epoch != a.epoch:
		to.Add(n, p.collector(i), "finds that another has ended the collection")
	case a.list&^a.marks&s.stored == 0:
		p.setGC(&n, i, gcState{epoch: s.gc.epoch})
		to.Add(n, p.collector(i), "g/state → idle")
	}
}
