package model

import "fmt"

// Untagged is I5: whoever was told where a tag points can read what it points at.
const Untagged = "I5: a tag that somebody was told of points at a dead version"

// Tags is step P6, which sets tags, against retirement. Taggers move their tags to
// version 0, from version 1 at first, and begin again when they are done. Whether
// the objects of versions are there is a matter of Pushes.
type Tags struct {
	Taggers  int
	Retirers int
	OneTag   bool // all taggers move the same tag; else each one of its own

	Flaw TagFlaw // a rule that is left out
}

// TagFlaw is a rule that is left out, or a mistake that a program could make. The
// zero TagFlaw is none.
type TagFlaw uint8

// The flaws of Tags. T1 to T3 are those of the design.
const (
	_               TagFlaw = iota
	T1                      // the head is not read again after the tag is written
	T2                      // a retirement does not read the tags
	T3                      // condemned → dead is no compare-and-swap
	TagsFirst               // a retirement reads the tags before it condemns
	TagsOfOther             // who finds a head condemned trusts that its tags were read
	EqualVersions           // equal values of a register have equal versions
	TagThere                // who finds the tag in place does not read the head
	PutBackUnlooked         // who puts a tag back does not read the head that it was on
	PutBackBlind            // putting a tag back is no compare-and-swap
)

const (
	tagVersions = 2
	tagTags     = 2
	nowhere     = tagVersions // what a tag points at that is not there
)

// Repo is a state of Tags.
type Repo struct {
	heads  [tagVersions]headState // committed, condemned or dead
	tags   [tagTags]tag
	tagger [maxActors]tagger
	retire [maxActors]retirer
}

// tag is the register of a tag.
type tag struct {
	at, prev uint8 // versions, or nowhere
	told     bool  // who wrote it last has come to the end
}

func (t tag) String() string {
	place := func(v uint8) string {
		if v == nowhere {
			return "nowhere"
		}
		return fmt.Sprintf("version %d", v)
	}
	s := fmt.Sprintf("at %s, before at %s", place(t.at), place(t.prev))
	if !t.told {
		s += "; nobody was told yet"
	}
	return s
}

// tagger is on its way through P6. As everywhere, a register is read and swapped in
// one step, and who holds it has written or read it last.
type tagger struct {
	at    taggerAt
	holds bool // the tag
}

type taggerAt uint8

const (
	taggerIdle      taggerAt = iota
	taggerLooks              // it has to read the head of version 0
	taggerReturn             // version 0 is dead: it has to put the tag back
	taggerLooksBack          // it has to read the head of version 1, where the tag was
	taggerDrops              // that is dead too: it has to delete the tag
)

type retirer struct {
	at      retirerAt
	version uint8
	tag     uint8 // that it reads next
	saw     bool  // a tag that points at the version
}

type retirerAt uint8

const (
	retirerIdle retirerAt = iota
	retirerTags
	retirerDecides
	retirerCondemns // TagsFirst
)

// Start implements System.
func (t Tags) Start() Repo {
	s := Repo{heads: [...]headState{committed, committed}}
	for i := range s.tags {
		s.tags[i] = tag{at: nowhere, prev: nowhere, told: true}
	}
	for i := range t.Taggers {
		s.tags[t.tagOf(i)].at = 1
	}
	return s
}

func (t Tags) tagOf(tagger int) int {
	if t.OneTag {
		return 0
	}
	return tagger
}

func (Tags) tagger(i int) string  { return [...]string{"tagger A", "tagger B"}[i] }
func (Tags) retirer(i int) string { return [...]string{"retirer A", "retirer B"}[i] }

// Steps implements System.
func (t Tags) Steps(s Repo, to *Steps[Repo]) {
	for i := range t.Taggers {
		t.tagSteps(s, i, to)
	}
	for i := range t.Retirers {
		t.retireSteps(s, i, to)
	}
	for i := range s.tags {
		if n := s; s.tags[i].at != nowhere {
			t.setTag(&n, i, tag{at: nowhere, prev: s.tags[i].at, told: true})
			to.AddOf(n, "user", "deletes tag", i)
		}
	}
	for v := range s.heads {
		if n := s; s.heads[v] != committed {
			t.setHead(&n, v, committed)
			to.AddOf(n, "pusher", "pushes once more version", v)
		}
	}
}

// setTag and setHead write a register: who has read it before does not hold it any
// more.
func (t Tags) setTag(s *Repo, i int, to tag) {
	s.tags[i] = to
	for j := range t.Taggers {
		if t.tagOf(j) == i {
			s.tagger[j].holds = false
		}
	}
}

func (t Tags) setHead(s *Repo, v int, to headState) {
	s.heads[v] = to
	for i := range s.retire {
		a := &s.retire[i]
		if int(a.version) != v || a.at == retirerIdle || t.Flaw == T3 || t.Flaw == EqualVersions {
			continue
		}
		*a = retirer{} // its swap would fail
	}
}

// tagSteps are P6. A tagger that another has moved the tag away from only finds
// that out.
func (t Tags) tagSteps(s Repo, i int, to *Steps[Repo]) {
	n := s
	own := t.tagOf(i)
	switch a := s.tagger[i]; a.at {
	case taggerIdle:
		what := "P6: finds the tag on version 0"
		if old := s.tags[own]; old.at != 0 {
			t.setTag(&n, own, tag{at: 0, prev: old.at})
			what = "P6: writes the tag"
		}
		n.tagger[i] = tagger{taggerLooks, true}
		if t.Flaw == T1 || t.Flaw == TagThere && n.tags == s.tags {
			t.tell(&n, i)
		}
		to.Add(n, t.tagger(i), what)
	case taggerLooks, taggerLooksBack:
		t.lookSteps(s, i, to)
	case taggerReturn:
		old := s.tags[own]
		if !a.holds && t.Flaw != PutBackBlind {
			n.tagger[i] = tagger{}
			to.Add(n, t.tagger(i), "P6: somebody has moved the tag since")
			return
		}
		t.setTag(&n, own, tag{at: old.prev, prev: old.at})
		n.tagger[i] = tagger{taggerLooksBack, true}
		if old.prev == nowhere || t.Flaw == PutBackUnlooked {
			t.tell(&n, i)
		}
		to.Add(n, t.tagger(i), "P6: takes the tag back")
	case taggerDrops:
		if a.holds {
			t.setTag(&n, own, tag{at: nowhere, prev: s.tags[own].at, told: true})
		}
		n.tagger[i] = tagger{}
		to.Add(n, t.tagger(i), "P6: deletes the tag, unless somebody has moved it since")
	}
}

// lookSteps read the head that the tag points at now.
func (t Tags) lookSteps(s Repo, i int, to *Steps[Repo]) {
	n := s
	v, gone := 0, taggerReturn
	if s.tagger[i].at == taggerLooksBack {
		v, gone = 1, taggerDrops
	}
	what := "P6: done, finds committed version"
	switch s.heads[v] {
	case committed:
		t.tell(&n, i)
	case condemned:
		t.setHead(&n, v, committed)
		t.tell(&n, i)
		what = "P6: done, condemned → committed: version"
	case dead:
		n.tagger[i].at = gone
		what = "P6: finds dead version"
	}
	to.AddOf(n, t.tagger(i), what, v)
}

// tell ends the way of a tagger. What it says of the tag holds if nobody has moved
// that since.
func (t Tags) tell(s *Repo, i int) {
	if s.tagger[i].holds {
		s.tags[t.tagOf(i)].told = true
	}
	s.tagger[i] = tagger{}
}

// retireSteps are retirement.
func (t Tags) retireSteps(s Repo, i int, to *Steps[Repo]) {
	n := s
	switch a := s.retire[i]; a.at {
	case retirerIdle:
		for v, h := range s.heads {
			t.condemnSteps(s, i, v, h, to)
		}
	case retirerTags:
		if int(s.tags[a.tag].at) == int(a.version) && t.Flaw != T2 {
			n.retire[i].saw = true
		}
		if n.retire[i].tag++; n.retire[i].tag == tagTags {
			n.retire[i].tag, n.retire[i].at = 0, retirerDecides
			if t.Flaw == TagsFirst {
				n.retire[i].at = retirerCondemns
			}
		}
		to.AddOf(n, t.retirer(i), "retirement: reads tag", int(a.tag))
	case retirerCondemns:
		if s.heads[a.version] != committed {
			return
		}
		t.setHead(&n, int(a.version), condemned)
		n.retire[i] = retirer{at: retirerDecides, version: a.version, saw: a.saw}
		to.AddOf(n, t.retirer(i), "committed → condemned: version", int(a.version))
	case retirerDecides:
		n.retire[i] = retirer{}
		if t.Flaw == EqualVersions && s.heads[a.version] != condemned {
			to.AddOf(n, t.retirer(i), "finds changed the head of version", int(a.version))
			return
		}
		if a.saw {
			t.setHead(&n, int(a.version), committed)
			to.AddOf(n, t.retirer(i), "retirement: condemned → committed: version", int(a.version))
			return
		}
		t.setHead(&n, int(a.version), dead)
		to.AddOf(n, t.retirer(i), "retirement: condemned → dead: version", int(a.version))
	}
}

// condemnSteps begin the retirement of a version, or go on with one that somebody
// has begun.
func (t Tags) condemnSteps(s Repo, i, v int, h headState, to *Steps[Repo]) {
	n := s
	what := "retirement: reads the head, condemned, of version"
	switch {
	case h == dead:
		return
	case h == committed && t.Flaw != TagsFirst:
		t.setHead(&n, v, condemned)
		what = "retirement: committed → condemned: version"
	}
	n.retire[i] = retirer{at: retirerTags, version: uint8(v)}
	if t.Flaw == TagsOfOther && h == condemned {
		n.retire[i].at = retirerDecides
	}
	to.AddOf(n, t.retirer(i), what, v)
}

// Broken implements System.
func (t Tags) Broken(s Repo) string {
	for _, r := range s.tags {
		if r.told && r.at != nowhere && s.heads[r.at] == dead {
			return Untagged
		}
	}
	return ""
}

// What may come about in Tags.
const (
	Tagged   Goals = 1 << iota // a tag is on version 0
	Returned                   // a tag that was taken back is on version 1 again
	Dropped                    // a tag that was taken back has to be deleted
	BothDead                   // both versions are retired
)

// Reached implements System.
func (t Tags) Reached(s Repo) (g Goals) {
	for _, r := range s.tags {
		switch {
		case r.told && r.at == 0:
			g |= Tagged
		case r.told && r.at == 1 && r.prev == 0:
			g |= Returned
		}
	}
	for i := range s.tagger {
		if a := s.tagger[i]; a.at == taggerDrops && a.holds {
			g |= Dropped
		}
	}
	if s.heads[0] == dead && s.heads[1] == dead {
		g |= BothDead
	}
	return g
}

// Facts implements System.
func (t Tags) Facts(s Repo) []string {
	var facts []string
	for v, h := range s.heads {
		facts = append(facts, fmt.Sprintf("version %d: %v", v, h))
	}
	for i, r := range s.tags {
		facts = append(facts, fmt.Sprintf("tag %d: %v", i, r))
	}
	for i := range t.Retirers {
		facts = append(facts, fmt.Sprintf("%s has seen a tag on the version: %v", t.retirer(i), s.retire[i].saw))
	}
	return facts
}
