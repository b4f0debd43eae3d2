package model

import (
	"slices"
	"strings"
	"testing"
)

// mutant is a protocol without one of its rules, in the smallest system that shows
// what the rule is for.
type mutant struct {
	name   string
	flaw   Flaw
	system Pushes
	broken string
	states int // seen until then
}

func mutants() []mutant {
	plain := func(change func(p *Pushes)) Pushes {
		p := push1(nil)
		p.Finish, p.LatePut = false, false
		if change != nil {
			change(&p)
		}
		return p
	}
	again := plain(func(p *Pushes) { p.Epochs = 2 })
	same := plain(func(p *Pushes) { p.Pushers, p.Same = 2, true })
	deltas := plain(func(p *Pushes) { p.Names, p.Deltas = 3, true })
	bodies := plain(func(p *Pushes) { p.Names, p.Bodies = 5, true })
	skip := plain(func(p *Pushes) { p.Skip = true })
	skip2 := plain(func(p *Pushes) { p.Skip, p.Collectors = true, 2 })
	move := plain(func(p *Pushes) { p.Pushers, p.Moves = 0, 1 })
	read := plain(func(p *Pushes) { p.Pushers, p.Names, p.Epochs, p.Moves, p.Reader = 0, 3, 2, 2, true })
	return []mutant{
		{"M1 names are used again", M1, again, Whole, 811},
		{"M2 check before publishing", M2, plain(nil), Whole, 453},
		{"M3 no check at commit", M3, plain(nil), Whole, 896},
		{"M4 each collector decides for itself", M4, plain(func(p *Pushes) { p.Collectors, p.Epochs = 2, 2 }), Whole, 69_733},
		{"M5 no second mark", M5, plain(nil), Whole, 652},
		{"M6 second mark ignores pending", M6, plain(nil), Whole, 1078},
		{"M7 commit is no compare-and-swap", M7, plain(nil), Whole, 1367},
		{"M8 epoch read after the hit", M8, plain(nil), Whole, 1563},
		{"M9 hit on condemned names", M9, plain(nil), Whole, 1519},
		{"M10 idle before deletes are done, and the store is asked", M10, plain(func(p *Pushes) { p.Epochs, p.Exists = 2, true }), Whole, 2580},
		{"M11 list misses a key", M11, plain(nil), Whole, 346},
		{"M12 the store is asked, and uploads are late", M12, plain(func(p *Pushes) { p.Epochs, p.Exists, p.LatePut = 2, true, true }), Whole, 3605},
		{"M13 place of a stale body", M13, plain(func(p *Pushes) { p.Pushers, p.Retry, p.Repush, p.Cache = 2, 0, true, true }), Whole, 88_150},
		{"M14a second mark without bases", M14a, deltas, Whole, 1175},
		{"M14b check without bases", M14b, deltas, Whole, 7931},
		{"M14c hit without its bases", M14c, deltas, Whole, 168},
		{"M14d hit on a condemned base", M14d, deltas, Whole, 10_684},
		{"R1 next is not checked", R1, move, Whole, 351},
		{"R2 second mark ignores next", R2, move, Whole, 317},
		{"R3 epoch read after the new objects", R3, move, Whole, 373},
		{"R4 hit on next", R4, plain(func(p *Pushes) { p.Moves = 1 }), Whole, 14_960},
		{"R5 last step is no compare-and-swap", R5, move, Whole, 714},
		{"R6 check without next", R6, move, Whole, 247},
		{"R7 place of a body that was replaced", R7, plain(func(p *Pushes) { p.Epochs, p.Moves, p.Cache = 2, 1, true }), Whole, 48_958},
		{"R8 reader does not look again", R8, read, Served, 4765},
		{"R9 reader looks again once", R9, read, Served, 53_382},
		{"R3 leaves out what another version names", HeldElsewhere, plain(func(p *Pushes) { p.Retire, p.Moves = 2, 1 }), Whole, 16_340},
		{"P3 over a committed head", P3Blind, same, Kept, 1480},
		{"P3 writes an epoch that P1 did not know", P3Epoch, plain(func(p *Pushes) { p.Finish = true }), Whole, 3100},
		{"P5 commits what another push has published", P5Any, same, Whole, 23_570},
		{"repeated P1 keeps what lists name", RetryKeeps, plain(nil), Whole, 1539},
		{"repeated P1 forgets older lists", RetryForgets, plain(func(p *Pushes) { p.Epochs, p.Judge = 2, true }), Whole, 17_608},
		{"resumed push forgets the lists", ResumeForgets, plain(func(p *Pushes) { p.Pushers, p.Twin = 2, true }), Whole, 27_789},
		{"P4 takes a lost list for an empty one", ListsGone, again, Whole, 2990},
		{"giving up is no compare-and-swap", ReapBlind, plain(nil), Kept, 277},
		{"taking back is no compare-and-swap", RestoreBlind, plain(nil), Whole, 1903},
		{"a dead version is taken back", DeadRestored, plain(func(p *Pushes) { p.Repush = true }), Whole, 1235},
		{"second mark ignores condemned", CondemnedUnmarked, plain(nil), Whole, 374},
		{"G4 is no compare-and-swap", G4Blind, plain(func(p *Pushes) { p.Collectors, p.Epochs = 2, 2 }), Whole, 32_397},
		{"keys of G3 listed before G2", ListBeforeG2, plain(nil), Whole, 1529},
		{"skip by key", SkipByKey, skip, Whole, 610},
		{"skip by a version noted too late", SkipLateVersion, skip, Whole, 979},
		{"skip by one's own first mark, with another's list", SkipWithoutMarks, skip2, Whole, 14_555},
		{"skip what has not changed since the take-over", SkipTakeOver, skip2, Whole, 10_675},
		{"P3 names no base", BaseLeftOut, deltas, Whole, 512},
		{"base from a list that counts", BaseListed, deltas, Whole, 11_356},
		{"base found before P0", BaseBeforeP0, deltas, Whole, 19_511},
		{"R1 drops a base", MoveDropsBase, plain(func(p *Pushes) { p.Pushers, p.Names, p.Moves, p.Deltas = 0, 3, 1, true }), Whole, 191},
		{"second mark without the body itself", BodyUnmarked, bodies, Whole, 647},
		{"check without the body itself", BodyUnchecked, bodies, Whole, 5483},
	}
}

// TestMutants finds what each missing rule breaks, and that the same system with
// the rule is safe. M12 is the exception: it is two things that are each allowed,
// and has no rule to put back.
func TestMutants(t *testing.T) {
	walked := map[Pushes]bool{}
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			sound := m.system
			m.system.Flaw = m.flaw
			violate(t, m.system, m.broken, m.states)
			if m.flaw == M12 {
				sound.LatePut = false
			}
			if walked[sound] {
				return
			}
			walked[sound] = true
			r, err := Explore(t.Context(), sound, Limits{})
			if err != nil || r.Broken != "" {
				t.Errorf("with the rule: %v\n%v", err, r)
			}
			t.Logf("with the rule: %d states", r.States)
		})
	}
}

// violate walks through sys to a state in which that invariant is broken.
func violate[S comparable](t *testing.T, sys System[S], broken string, states int) {
	t.Helper()
	r, err := Explore(t.Context(), sys, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Broken != broken || r.Exhausted {
		t.Fatalf("broken is %q after %d states, want %q", r.Broken, r.States, broken)
	}
	if r.States != states {
		t.Errorf("%d states, want %d: the model has changed", r.States, states)
	}
	if full() {
		t.Log(r)
	}
	t.Logf("violated: %d states, %d steps", r.States, r.Depth)
}

// TestMutantsComplete has a mutant for every flaw.
func TestMutantsComplete(t *testing.T) {
	missing := map[Flaw]bool{}
	for f := M1; f <= BodyUnchecked; f++ {
		missing[f] = true
	}
	for _, m := range mutants() {
		delete(missing, m.flaw)
	}
	if len(missing) > 0 {
		t.Errorf("flaws without a mutant: %v", missing)
	}
}

// TestTrace reads how a push and a collection miss each other that has no P4.
func TestTrace(t *testing.T) {
	r, err := Explore(t.Context(), Pushes{Pushers: 1, Collectors: 1, Names: 2, Epochs: 1, Flaw: M3}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		" at the start",
		"pusher A P0: reads g/state",
		"pusher A P2: uploads the chunk",
		"collector A G0: reads g/state, begins a collection",
		"collector A G2: g/state → condemned, with a list of candidates",
		"collector A G3: reads the head of version 0",
		"collector A G3: reads the head of version 1",
		"pusher A P3: → pending: version 1",
		"pusher A P4: reads g/state, no new list names what it needs",
		"pusher A P5: pending → committed: version 1",
		"collector A G4: g/state → sweeping, with the list of what is deleted",
		"collector A G5: sends deletes of all names in the list",
		"store applies a delete",
	}
	var got []string
	for _, l := range r.Trace {
		got = append(got, l.Who+" "+l.What)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	last := r.Trace[len(r.Trace)-1].Facts
	if !slices.Equal(last, []string{"objects: {a}"}) {
		t.Errorf("the last step changes %q", last)
	}
}
