package model

import "testing"

// TestTagsSafe walks through taggers and retirers to the end.
func TestTagsSafe(t *testing.T) {
	all := Tagged | Returned | Dropped | BothDead
	for _, s := range []struct {
		name          string
		system        Tags
		states, depth int
	}{
		{"a tag each", Tags{Taggers: 2, Retirers: 2}, 42_284, 28},
		{"the same tag", Tags{Taggers: 2, Retirers: 2, OneTag: true}, 24_758, 25},
	} {
		t.Run(s.name, func(t *testing.T) {
			exhaust(t, s.system, all, s.states, s.depth)
		})
	}
}

// TestTagMutants finds what each missing rule breaks.
func TestTagMutants(t *testing.T) {
	tests := []struct {
		name   string
		system Tags
		states int
	}{
		{"T1 no look after the tag is written", Tags{Flaw: T1}, 516},
		{"T2 tags are not read", Tags{Flaw: T2}, 328},
		{"T3 condemned → dead is no compare-and-swap", Tags{Flaw: T3}, 2868},
		{"tags are read before the head is condemned", Tags{Flaw: TagsFirst}, 3467},
		{"who finds a head condemned does not read the tags", Tags{Flaw: TagsOfOther}, 132},
		{"equal values have equal versions", Tags{Flaw: EqualVersions}, 5909},
		{"no look when the tag is there", Tags{Flaw: TagThere, OneTag: true}, 834},
		{"no look when the tag is put back", Tags{Flaw: PutBackUnlooked}, 12_948},
		{"putting back is no compare-and-swap", Tags{Flaw: PutBackBlind, OneTag: true}, 2588},
	}
	flaws := map[TagFlaw]bool{}
	for _, m := range tests {
		t.Run(m.name, func(t *testing.T) {
			m.system.Taggers, m.system.Retirers = 2, 2
			violate(t, m.system, Untagged, m.states)
		})
		flaws[m.system.Flaw] = true
	}
	if len(flaws) != int(PutBackBlind) {
		t.Errorf("mutants of %d flaws, want all %d", len(flaws), PutBackBlind)
	}
}
