package simtest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// sim is one scenario on its way. Everything but what mu protects belongs to the
// scheduler, which changes it only while all others wait.
type sim struct {
	plan   plan
	pool   []*model
	dice   *rand.Rand
	disk   *disk
	judge  *judge
	procs  []*proc
	late   []*call // writes that may happen at any time, though nobody waits for them
	counts Counts
	trace  trace
	last   string // who was let go last
	calm   bool   // no more faults

	mu       sync.Mutex          // protects the fields below; never held while something waits
	parked   []*call             // by their identity
	requests []*request          // open ones, by their identity
	running  map[uint64]*request // by their goroutines
	current  *request            // that was let go last
	shared   bool                // others may have been waiting for the same
	clients  int                 // that have not ended
	now      time.Time
	steps    int
	over     bool

	wake chan struct{} // something has parked, or a client has ended
}

// Counts says how much a simulation has done.
type Counts struct {
	Steps, Lost, Dropped, Late, Twice, Refused, Held, Cut, Kills, Pauses, Stalls, Jumps, GivenUp int
	Commits, Tags, Deletes, Reads, Collections, Swept, Moves, Spoiled, Healed, Deltas            int
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	mine, other := c.all(), o.all()
	for i := range mine {
		*mine[i] += *other[i]
	}
}

func (c *Counts) all() []*int {
	return []*int{
		&c.Steps, &c.Lost, &c.Dropped, &c.Late, &c.Twice, &c.Refused, &c.Held, &c.Cut, &c.Kills, &c.Pauses, &c.Stalls, &c.Jumps,
		&c.GivenUp, &c.Commits, &c.Tags, &c.Deletes, &c.Reads, &c.Collections, &c.Swept, &c.Moves, &c.Spoiled, &c.Healed, &c.Deltas,
	}
}

// Faults is how many faults were injected.
func (c *Counts) Faults() int {
	return c.Lost + c.Dropped + c.Late + c.Twice + c.Refused + c.Held + c.Cut + c.Kills + c.Pauses + c.Stalls + c.Jumps + c.GivenUp
}

// trace is the schedule so far: as a hash, and in words if anybody wants them.
type trace struct {
	hash  uint64
	words func(string)
}

func (t *trace) add(step int, what string) {
	t.mix(what)
	if t.words != nil {
		t.words(fmt.Sprintf("%5d  %s", step, what))
	}
}

// call adds what becomes of a call.
func (t *trace) call(step int, c *call, what string) {
	t.mix(c.who)
	t.mix(string(c.kind))
	t.mix(mask(c.key))
	t.mix(what)
	if t.words != nil {
		t.words(fmt.Sprintf("%5d  %-22s %-7s %s%s", step, c.who, c.kind, mask(c.key), what))
	}
}

// mix adds a text to the hash: FNV-1a, with an end that no text has.
func (t *trace) mix(text string) {
	for i := range len(text) {
		t.hash = (t.hash ^ uint64(text[i])) * 0x100000001b3
	}
	t.hash = (t.hash ^ 0x1ff) * 0x100000001b3
}

// call is one call to what replicas stand on.
type call struct {
	who    string // the request that makes it
	proc   *proc
	kind   kind
	key    string // register, or name of a blob
	ctx    context.Context
	effect func() any // what it does, and its answer
	answer any
	err    error
	held   bool // it has happened, and its answer is under way
	after  int  // the step before which it does not happen
	done   chan struct{}
}

func compareCalls(a, b *call) int {
	return cmp.Or(strings.Compare(a.who, b.who), cmp.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
}

// do parks until the scheduler lets the call happen, or lets it fail.
func (s *sim) do(ctx context.Context, p *proc, k kind, key string, effect func() any) (any, error) {
	c := &call{who: whoIs(ctx), proc: p, kind: k, key: key, ctx: ctx, effect: effect, done: make(chan struct{}, 1)}
	if !s.park(c) {
		return s.direct(c)
	}
	<-c.done
	return c.answer, c.err
}

// direct makes a call without the scheduler, which has ended.
func (s *sim) direct(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, errOver
	}
	return c.effect(), nil
}

// park adds the call to those that wait, unless there is no scheduler any more.
func (s *sim) park(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.calm {
		return false
	}
	at, _ := slices.BinarySearchFunc(s.parked, c, compareCalls)
	s.parked = slices.Insert(s.parked, at, c)
	s.signal()
	return true
}

func (s *sim) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// schedule lets calls happen until every client has ended and no request is open.
func (s *sim) schedule() {
	for {
		synctest.Wait()
		if s.judge.broken != nil {
			return
		}
		if s.steps > maxSteps {
			s.judge.fail("liveness", "%d calls, and no end", s.steps)
			return
		}
		s.tick(1, time.Duration(s.dice.IntN(2000))*time.Millisecond)
		if s.nature() {
			continue
		}
		if c := s.choose(); c != nil {
			s.release(c)
			continue
		}
		if s.clients == 0 && len(s.living()) == 0 {
			return
		}
		if !s.sleep() {
			s.judge.fail("liveness", "nobody can go on: %d clients wait", s.clients)
			return
		}
	}
}

// tick lets time go on.
func (s *sim) tick(steps int, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps += steps
	s.now = s.now.Add(by)
}

const (
	maxSteps = 50_000
	// longest is how long a scenario may sleep: longer than any pause in the code.
	longest = 365 * 24 * time.Hour
)

// sleep lets the bubble's time go on until something parks.
func (s *sim) sleep() bool {
	select {
	case <-s.wake: // of what was released since
	default:
	}
	if s.unpause() {
		return true
	}
	before := time.Now()
	select {
	case <-s.wake:
		s.tick(0, time.Since(before))
		return true
	case <-time.After(longest):
		return false
	}
}

// living returns the requests that something can still come of.
func (s *sim) living() []*request {
	return slices.DeleteFunc(slices.Clone(s.requests), func(r *request) bool { return r.proc.dead })
}

// choose takes the call that goes on next. With the plan's stickiness that is one
// of the request that went on last, so that long runs of one alternate with tight
// interleaving.
func (s *sim) choose() *call {
	var able []*call
	for _, c := range s.parked {
		if c.ready() <= s.steps {
			able = append(able, c)
		}
	}
	if len(able) == 0 {
		return nil
	}
	c := able[s.dice.IntN(len(able))]
	if s.dice.Float64() < s.plan.sticky {
		if i := slices.IndexFunc(able, func(c *call) bool { return c.who == s.last }); i >= 0 {
			c = able[i]
		}
	}
	if c.kind != note && c.after == 0 && s.dice.Float64() < s.plan.stalls*c.weight() {
		s.stall(c)
		return s.choose()
	}
	s.remove(c)
	s.last = c.who
	return c
}

// ready returns the step at which the call may happen.
func (c *call) ready() int {
	if c.proc == nil {
		return c.after
	}
	return max(c.after, c.proc.paused)
}

// stall holds a call up for so long that everybody else overtakes it: what was read
// before it is out of date by then.
func (s *sim) stall(c *call) {
	s.counts.Stalls++
	c.after = s.steps + 20 + s.dice.IntN(600)
	s.trace.call(s.steps, c, fmt.Sprintf(" stalls until %d", c.after))
}

func (s *sim) remove(c *call) {
	s.parked = slices.DeleteFunc(s.parked, func(o *call) bool { return o == c })
}

// resume lets the caller go on with what became of its call.
func (s *sim) resume(c *call, what string, answer any, err error) {
	s.counts.Steps++
	s.trace.call(s.steps, c, what)
	c.answer, c.err = answer, err
	s.move(c)
	c.done <- struct{}{}
}

// move notes whose call returns.
func (s *sim) move(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.shared = nil, strings.HasPrefix(c.key, placement.Bodies.Prefix())
	at, ok := slices.BinarySearchFunc(s.requests, c.who, func(r *request, who string) int { return strings.Compare(r.who, who) })
	if ok {
		s.current = s.requests[at]
	}
}

// perform lets the call happen.
func (s *sim) perform(c *call) any {
	s.judge.by = c
	defer func() { s.judge.by = nil }()
	return c.effect()
}

// end lets everybody go who still waits; nothing happens any more.
func (s *sim) end() {
	s.mu.Lock()
	s.over = true
	parked, requests := s.parked, slices.Clone(s.requests)
	s.parked = nil
	s.mu.Unlock()
	for _, c := range parked {
		c.err = errOver
		c.done <- struct{}{}
	}
	for _, p := range s.procs {
		for _, c := range p.stuck {
			c.err = errOver
			c.done <- struct{}{}
		}
	}
	for _, r := range requests {
		r.cancel()
	}
}
