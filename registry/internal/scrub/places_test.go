package scrub

import "testing"

// TestParts counts in how many parts places are compared for which there is little
// room.
func TestParts(t *testing.T) {
	p := new(places)
	p.clear(part{0, 1})
	for i := range uint32(1000) {
		p.add(place{object: "c/a", offset: i % 500})
	}
	if p.seal(); p.count() != 500 || p.complete() {
		t.Errorf("%d places, want 500", p.count())
	}
	all := 0
	for i := range uint64(4) {
		p.clear(part{i, 4})
		for j := range uint32(500) {
			p.add(place{object: "c/a", offset: j})
		}
		p.seal()
		if n := p.count(); n < 75 || n > 175 {
			t.Errorf("part %d has %d of 500 places", i, n)
		}
		all += p.count()
		for j := range uint32(500) {
			at := place{object: "c/a", offset: j}
			lacked := p.lacks(at)
			if p.see(at); p.lacks(at) || lacked != p.has(at) {
				t.Errorf("place %d: lacked %v, is named %v", j, lacked, p.has(at))
			}
		}
		if !p.complete() {
			t.Errorf("part %d is not complete", i)
		}
	}
	if all != 500 {
		t.Errorf("%d places in all parts", all)
	}
}
