package model

import (
	"os"
	"testing"
)

// full tells whether the tests are to walk through larger systems, as "make models"
// asks for.
func full() bool { return os.Getenv("INGOT_MODEL") == "full" }

// push1 is the smallest system in which a push can meet a collection: one pusher,
// another replica that finishes what it finds, one collector that collects once,
// and a store that is late with everything.
func push1(change func(p *Pushes)) Pushes {
	p := Pushes{Pushers: 1, Collectors: 1, Names: 2, Epochs: 1, Retire: 1, Retry: 1, Finish: true, LatePut: true}
	if change != nil {
		change(&p)
	}
	return p
}

// safe is a system that is walked through to the end.
type safe struct {
	name          string
	system        Pushes
	reached       Goals
	states, depth int // pinned: a model that changes shows it here
}

const (
	pushed = Pushed | Repaired | Collected | Retired
	moved  = Moved | Collected | Retired
)

func safeSystems() []safe {
	return []safe{
		{"one push", push1(nil), pushed, 3247, 20},
		{"two pushes", push1(func(p *Pushes) { p.Pushers = 2 }), pushed, 190_095, 31},
		{"two collectors", push1(func(p *Pushes) { p.Collectors, p.Epochs = 2, 2 }), pushed, 95_189, 28},
		{"a push that begins again twice, from memory", push1(func(p *Pushes) { p.Epochs, p.Names, p.Retry, p.Judge = 2, 3, 2, true }), pushed, 113_019, 32},
		{"a list that misses what is made while it runs", push1(func(p *Pushes) { p.Collectors, p.Listing = 2, true }), pushed, 21_296, 21},
		{"two pushes of one version", push1(func(p *Pushes) { p.Pushers, p.Same, p.Retire = 2, true, 2 }), pushed, 165_805, 32},
		{"one push at two replicas", push1(func(p *Pushes) { p.Pushers, p.Twin, p.Finish = 2, true, false }), pushed, 39_853, 24},
		{"P1 asks the store, uploads are not late", push1(func(p *Pushes) { p.Epochs, p.Exists, p.LatePut = 2, true, false }), pushed, 12_196, 27},
		{"G3 skips unchanged heads", push1(func(p *Pushes) { p.Collectors, p.Skip, p.Listing = 2, true, true }), pushed, 21_975, 23},
		{"G3 skips unchanged heads, two collections", push1(func(p *Pushes) { p.Epochs, p.Skip = 2, true }), pushed, 16_753, 33},
		{"re-push (M13)", push1(func(p *Pushes) { p.Epochs, p.Repush, p.Cache = 2, true, true }), pushed, 115_165, 38},
		{"deltas (M14), from memory", push1(func(p *Pushes) { p.Names, p.Deltas, p.Judge = 3, true, true }), pushed, 38_488, 22},
		{"bodies are objects", push1(func(p *Pushes) { p.Names, p.Bodies = 6, true }), pushed, 30_459, 25},
		{"R", push1(func(p *Pushes) { p.Moves = 1 }), pushed | moved, 46_932, 26},
		{"R, a reader", push1(func(p *Pushes) { p.Pushers, p.Collectors, p.Epochs, p.Moves, p.Reader = 0, 2, 2, 1, true }), moved | Followed, 19_490, 26},
		{"R twice, a reader", push1(func(p *Pushes) { p.Pushers, p.Names, p.Epochs, p.Moves, p.Reader = 0, 3, 2, 2, true }), moved | Followed, 85_695, 32},
		{"R, deltas", push1(func(p *Pushes) { p.Pushers, p.Names, p.Epochs, p.Moves, p.Deltas = 0, 4, 2, 1, true }), moved, 18_784, 22},
		{"R, deltas, a push", push1(func(p *Pushes) { p.Names, p.Moves, p.Deltas, p.Finish = 3, 1, true, false }), pushed | moved, 84_977, 24},
		{"R, G3 skips unchanged heads", push1(func(p *Pushes) { p.Moves, p.Skip = 1, true }), pushed | moved, 37_510, 28},
		{"R, bodies are objects", push1(func(p *Pushes) { p.Pushers, p.Names, p.Moves, p.Bodies, p.Reader = 0, 6, 1, true, true }), moved | Followed, 4668, 19},
	}
}

// TestSafe walks through every system to the end, and finds nothing broken.
func TestSafe(t *testing.T) {
	systems := safeSystems()
	if full() {
		systems = append(systems, largeSystems()...)
	}
	for _, s := range systems {
		t.Run(s.name, func(t *testing.T) {
			exhaust(t, s.system, s.reached, s.states, s.depth)
		})
	}
}

// exhaust walks through sys to the end.
func exhaust[S comparable](t *testing.T, sys System[S], reached Goals, states, depth int) {
	t.Helper()
	r, err := Explore(t.Context(), sys, Limits{})
	switch {
	case err != nil:
		t.Fatal(err)
	case r.Broken != "":
		t.Fatalf("after %d states\n%v", r.States, r)
	case !r.Exhausted:
		t.Fatalf("%d states were not all", r.States)
	case r.Reached&reached != reached:
		t.Errorf("reached %b, want %b: the walk shows little", r.Reached, reached)
	case r.States != states || r.Depth != depth:
		t.Errorf("%d states, depth %d, want %d and %d: the model has changed", r.States, r.Depth, states, depth)
	}
	t.Logf("safe: %d states, depth %d", r.States, r.Depth)
}
