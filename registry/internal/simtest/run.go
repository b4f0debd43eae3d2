package simtest

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Result is what came of a scenario.
type Result struct {
	Seed      uint64
	Plan      string
	Hash      uint64 // of the schedule
	Counts    Counts
	Undecided int   // tags whose history could not be checked in time
	Broken    error // the invariant that did not hold, or nil
}

// models are made once: noise and its digests are the same for every seed.
var models = sync.OnceValues(newModels)

// Run plays the scenario of a seed. words, if not nil, is given the schedule, line
// by line.
func Run(t *testing.T, seed uint64, words func(string)) Result {
	pool, err := models()
	if err != nil {
		t.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(seed, 0))
	s := &sim{
		plan: newPlan(seed, dice), pool: pool, dice: dice, disk: newDisk(), trace: trace{words: words},
		now: time.Unix(1_800_000_000, 0).UTC(), running: map[uint64]*request{},
	}
	s.judge = newJudge(s)
	plan := s.plan.String()
	synctest.Test(t, func(*testing.T) { s.play() })
	r := Result{Seed: seed, Plan: plan, Undecided: s.judge.checkOrders(), Hash: s.trace.hash}
	r.Counts, r.Broken = s.counts, s.judge.broken
	return r
}

// play is the scenario: everybody at once, then what is left when all have ended.
func (s *sim) play() {
	s.wake = make(chan struct{}, 1)
	for i := range s.plan.replicas {
		s.procs = append(s.procs, s.start(i, 0))
	}
	defer synctest.Wait()
	defer s.end()
	s.prepare()
	s.people("pusher", s.plan.pushers, (*client).push)
	s.people("tagger", s.plan.taggers, (*client).tagAround)
	s.people("deleter", s.plan.deleters, (*client).retire)
	s.people("reader", s.plan.readers, (*client).read)
	s.people("sweeper", s.plan.sweeps, (*client).collect)
	s.people("mover", s.plan.movers, (*client).move)
	s.people("spoiler", s.plan.spoilers, (*client).spoil)
	s.schedule()
	s.haunted()
	if s.judge.broken == nil {
		s.settle()
	}
}

// haunted has collectors work while what is late happens, and nothing else fails.
func (s *sim) haunted() {
	p := &s.plan
	p.faults, p.kills, p.pauses, p.jumps, p.impatience, p.late = 0, 0, 0, 0, 0, 0.1
	s.people("collector", 2, (*client).collect)
	s.schedule()
}

// people starts n clients that each do something for some rounds.
func (s *sim) people(kind string, n int, do func(*client)) {
	for i := range n {
		s.client(kind, i, func(c *client) {
			for range s.plan.rounds {
				if c.dice.IntN(2) == 0 {
					c.idle(c.name, c.dice.IntN(200))
				}
				do(c)
			}
		})
	}
}
