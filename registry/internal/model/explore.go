package model

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// System is a graph of states. S is a value without pointers.
type System[S comparable] interface {
	// Start returns the state in which everything begins.
	Start() S
	// Steps adds every step that may be taken in s, always in the same order. It is
	// called by several goroutines at once.
	Steps(s S, to *Steps[S])
	// Broken names the invariant that does not hold in s, or returns "".
	Broken(s S) string
	// Reached returns what has come about in s, of those things without which a walk
	// would show nothing.
	Reached(s S) Goals
	// Facts tells what a reader of a trace should know of s, always the same things
	// in the same order.
	Facts(s S) []string
}

// Goals is a set of things that may come about, one bit each.
type Goals uint32

// Steps takes the steps that lead on from one state.
type Steps[S comparable] struct{ list []step[S] }

type step[S comparable] struct {
	to        S
	who, what string
	which     int
}

// none is the which of a step that is about no numbered thing.
const none = -1

// Add adds a step: who does what, and the state after it.
func (t *Steps[S]) Add(to S, who, what string) { t.AddOf(to, who, what, none) }

// AddOf adds a step that is about one of several things; what ends with their name.
func (t *Steps[S]) AddOf(to S, who, what string, which int) {
	t.list = append(t.list, step[S]{to, who, what, which})
}

func (t step[S]) String() string {
	if t.which == none {
		return t.what
	}
	return fmt.Sprintf("%s %d", t.what, t.which)
}

// Limits bound a walk.
type Limits struct {
	States  int // no more states than about this; 0 for as many as there are
	Workers int // goroutines; 0 for as many as run at once
}

// Result is what a walk has found.
type Result struct {
	States    int    // distinct ones
	Depth     int    // steps to the farthest of them
	Exhausted bool   // there are no others
	Reached   Goals  // in any of them
	Broken    string // the invariant that does not hold in the last state of Trace
	Trace     []Line // a shortest way there; empty when nothing is broken
}

// Line is one step of a trace.
type Line struct {
	Who, What string
	Facts     []string // those that the step has changed
}

// String returns the trace as text, a step a line and what it changes below.
func (r Result) String() string {
	var b strings.Builder
	if r.Broken != "" {
		fmt.Fprintf(&b, "broken: %s\n", r.Broken)
	}
	for i, l := range r.Trace {
		fmt.Fprintf(&b, "%3d  %-12s %s\n", i, l.Who, l.What)
		for _, f := range l.Facts {
			fmt.Fprintf(&b, "     %-12s   %s\n", "", f)
		}
	}
	return b.String()
}

// Explore walks through the states of sys until it has seen all, or one in which an
// invariant is broken, or as many as it may. States are told apart by 64 bits of
// hash, under a seed of the run's own. So the odds that one of n states was taken
// for another are about n²/2⁶⁵, one in 30 million for a million states, and a
// second run would not repeat the mistake.
func Explore[S comparable](ctx context.Context, sys System[S], limits Limits) (Result, error) {
	if limits.Workers == 0 {
		limits.Workers = runtime.GOMAXPROCS(0)
	}
	w := &walk[S]{System: sys, limits: limits, seed: maphash.MakeSeed()}
	err := w.run(ctx)
	return w.result, err
}

// perWorker is how many states a worker takes on before what all have found is
// put together: enough to make the meeting cheap, few enough to keep little.
const perWorker = 1024

// walk numbers states as it finds them, which is level by level, so those it goes
// on from have numbers in a row.
type walk[S comparable] struct {
	System[S]
	limits Limits
	seed   maphash.Seed
	result Result

	seen     hashes
	origins  []origin // of the states by their number, the start left out
	frontier []S      // the states of one level
	first    int      // number of the first of them
	next     []S      // the states of the level after it, as far as they are found
	broken   bool
}

// origin tells how a state was found: by which of the steps from which state.
type origin struct {
	parent uint32
	step   uint16
}

// found is a state that one worker has not seen yet.
type found[S comparable] struct {
	state   S
	hash    uint64
	origin  origin
	broken  string
	reached Goals
}

func (w *walk[S]) run(ctx context.Context) error {
	start := w.Start()
	w.seen.add(w.hash(start))
	w.result.States, w.result.Reached = 1, w.Reached(start)
	if w.result.Broken = w.Broken(start); w.result.Broken != "" {
		w.result.Trace = w.trace()
		return nil
	}
	for w.frontier = []S{start}; len(w.frontier) > 0; {
		if err := w.level(ctx); err != nil {
			return fmt.Errorf("explore: stopped after %d states: %w", w.result.States, err)
		}
		if w.broken {
			w.result.Trace = w.trace()
			return nil
		}
		if w.limits.States > 0 && w.result.States >= w.limits.States {
			return nil
		}
		if len(w.next) > 0 {
			w.result.Depth++
		}
		w.first += len(w.frontier)
		w.frontier, w.next = w.next, w.frontier[:0]
	}
	w.result.Exhausted = true
	return nil
}

// level goes on from every state of the frontier, some at a time. It stops early
// at the limit, or when an invariant is broken.
func (w *walk[S]) level(ctx context.Context) error {
	parts := make([][]found[S], w.limits.Workers)
	for at := 0; at < len(w.frontier); at += perWorker * len(parts) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var working sync.WaitGroup
		for i := range parts {
			from := min(at+i*perWorker, len(w.frontier))
			to := min(from+perWorker, len(w.frontier))
			working.Go(func() { parts[i] = w.expand(from, to, parts[i][:0]) })
		}
		working.Wait()
		for _, part := range parts {
			if w.merge(part); w.broken {
				return nil
			}
		}
		if w.limits.States > 0 && w.result.States >= w.limits.States {
			return nil
		}
	}
	return nil
}

// expand appends what can be reached in one step from some states of the frontier
// and was not seen before. It only reads what workers share.
func (w *walk[S]) expand(from, to int, out []found[S]) []found[S] {
	var steps Steps[S]
	for i := from; i < to; i++ {
		steps.list = steps.list[:0]
		w.Steps(w.frontier[i], &steps)
		for n := range steps.list {
			s := steps.list[n].to
			h := w.hash(s)
			if w.seen.has(h) {
				continue
			}
			out = append(out, found[S]{s, h, origin{uint32(w.first + i), uint16(n)}, w.Broken(s), w.Reached(s)})
		}
	}
	return out
}

// merge takes over what a worker has found, in order, up to the first state in
// which an invariant is broken.
func (w *walk[S]) merge(part []found[S]) {
	for i := range part {
		f := &part[i]
		if !w.seen.add(f.hash) {
			continue
		}
		w.result.States++
		w.result.Reached |= f.reached
		w.origins = append(w.origins, f.origin)
		w.next = append(w.next, f.state)
		if f.broken != "" {
			w.result.Broken, w.broken = f.broken, true
			w.result.Depth++
			return
		}
	}
}

func (w *walk[S]) hash(s S) uint64 { return maphash.Comparable(w.seed, s) }

// trace returns the way to the state found last. States are not kept, so it goes
// that way once more, from the start.
func (w *walk[S]) trace() []Line {
	var way []uint16
	for n := len(w.origins); n > 0; n = int(w.origins[n-1].parent) {
		way = append(way, w.origins[n-1].step)
	}
	slices.Reverse(way)
	s := w.Start()
	lines := []Line{{What: "at the start", Facts: w.Facts(s)}}
	for _, n := range way {
		var steps Steps[S]
		w.Steps(s, &steps)
		t := steps.list[n]
		lines = append(lines, Line{t.who, t.String(), changed(w.Facts(s), w.Facts(t.to))})
		s = t.to
	}
	return lines
}

func changed(before, after []string) (facts []string) {
	for i := range after {
		if after[i] != before[i] {
			facts = append(facts, after[i])
		}
	}
	return facts
}
