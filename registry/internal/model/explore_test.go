package model

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"strings"
	"testing"
)

// jugs is the old puzzle: two jugs of 3 and 5 litres, and 4 litres to be measured.
type jugs struct {
	goal int // litres in the large jug that are "broken"
}

type water struct{ small, large int }

func (jugs) Start() water { return water{} }

func (jugs) Steps(s water, to *Steps[water]) {
	to.Add(water{3, s.large}, "small", "fill")
	to.Add(water{s.small, 5}, "large", "fill")
	to.Add(water{0, s.large}, "small", "empty")
	to.Add(water{s.small, 0}, "large", "empty")
	n := min(s.small, 5-s.large)
	to.Add(water{s.small - n, s.large + n}, "small", "pour")
	n = min(s.large, 3-s.small)
	to.Add(water{s.small + n, s.large - n}, "large", "pour")
}

func (j jugs) Broken(s water) string {
	if s.large == j.goal {
		return "it is measured"
	}
	return ""
}

func (jugs) Reached(s water) Goals { return 1 << s.large }

func (jugs) Facts(s water) []string {
	return []string{fmt.Sprintf("small %d", s.small), fmt.Sprintf("large %d", s.large)}
}

// TestShortestTrace finds the six steps that are known to be fewest.
func TestShortestTrace(t *testing.T) {
	got, err := Explore(t.Context(), jugs{goal: 4}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Line{
		{"", "at the start", []string{"small 0", "large 0"}},
		{"large", "fill", []string{"large 5"}},
		{"large", "pour", []string{"small 3", "large 2"}},
		{"small", "empty", []string{"small 0"}},
		{"large", "pour", []string{"small 2", "large 0"}},
		{"large", "fill", []string{"large 5"}},
		{"large", "pour", []string{"small 3", "large 4"}},
	}
	if !reflect.DeepEqual(got.Trace, want) || got.Broken != "it is measured" || got.Depth != 6 || got.Exhausted {
		t.Errorf("got %+v", got)
	}
	if text := got.String(); !strings.HasPrefix(text, "broken: it is measured\n") || !strings.Contains(text, "  6  large        pour\n") {
		t.Errorf("printed as\n%s", text)
	}
}

// TestExhaust visits the 16 states of the puzzle, of 24.
func TestExhaust(t *testing.T) {
	got, err := Explore(t.Context(), jugs{goal: 6}, Limits{})
	want := Result{States: 16, Depth: 7, Exhausted: true, Reached: 0b111111}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// TestBrokenFromTheStart needs no step.
func TestBrokenFromTheStart(t *testing.T) {
	got, err := Explore(t.Context(), jugs{goal: 0}, Limits{})
	if err != nil || got.Broken == "" || got.States != 1 || got.Depth != 0 || len(got.Trace) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// grid has n³ states, and levels wide enough for several workers to meet again and
// again.
type grid struct{ n, broken int }

func (grid) Start() [3]int { return [3]int{} }

func (g grid) Steps(s [3]int, to *Steps[[3]int]) {
	for i := range s {
		if n := s; s[i] < g.n-1 {
			n[i]++
			to.Add(n, "walker", [...]string{"right", "down", "in"}[i])
		}
	}
}

func (g grid) Broken(s [3]int) string {
	if s[0]+s[1]+s[2] == g.broken {
		return "too far"
	}
	return ""
}

func (grid) Reached([3]int) Goals { return 1 }

func (grid) Facts(s [3]int) []string { return []string{fmt.Sprint(s)} }

// TestWorkers finds the same states in the same order, whoever does it.
func TestWorkers(t *testing.T) {
	for _, g := range []grid{{n: 45, broken: -1}, {n: 45, broken: 60}} {
		var one Result
		for workers := 1; workers <= 4; workers++ {
			got, err := Explore(t.Context(), g, Limits{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			if workers == 1 {
				one = got
			}
			if !reflect.DeepEqual(got, one) {
				t.Errorf("%d workers: %d states, depth %d, want %d and %d", workers, got.States, got.Depth, one.States, one.Depth)
			}
		}
		if g.broken < 0 && (one.States != 45*45*45 || one.Depth != 3*44 || !one.Exhausted) {
			t.Errorf("%d states, depth %d", one.States, one.Depth)
		}
		if g.broken >= 0 && (one.Depth != g.broken || len(one.Trace) != g.broken+1) {
			t.Errorf("%d steps to what is broken, want %d", len(one.Trace)-1, g.broken)
		}
	}
}

func TestLimit(t *testing.T) {
	got, err := Explore(t.Context(), grid{n: 1000, broken: -1}, Limits{States: 5000})
	if err != nil || got.Exhausted || got.States < 5000 || got.States > 6000 {
		t.Errorf("got %+v, %v, want about 5000 states", got, err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := Explore(ctx, grid{n: 10, broken: -1}, Limits{})
	if !errors.Is(err, context.Canceled) || got.Exhausted {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestHashes compares the set with a map, with hashes that meet in one place.
func TestHashes(t *testing.T) {
	var set hashes
	known := map[uint64]bool{}
	seed := maphash.MakeSeed()
	for i := range 5000 {
		h := maphash.Comparable(seed, i%1700)
		switch i % 3 {
		case 0:
			h = uint64(i%1300) << 40 // all want the first place
		case 1:
			h &= 0xffff
		}
		if h == 1 {
			h = 2 // 1 stands for 0
		}
		if set.has(h) != known[h] || set.add(h) == known[h] || !set.has(h) {
			t.Fatalf("%d: %#x", i, h)
		}
		known[h] = true
	}
	if set.used != len(known) {
		t.Errorf("%d hashes, want %d", set.used, len(known))
	}
}
