package simtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// kind is what a call asks for.
type kind string

const (
	get    kind = "get"
	cas    kind = "cas"
	list   kind = "list"
	put    kind = "put"
	open   kind = "open"
	stat   kind = "stat"
	scan   kind = "scan" // a page of the store's list
	remove kind = "delete"
	look   kind = "look" // into the chunk index
	note   kind = "note" // of a client: nothing that can fail
)

func (k kind) writes() bool { return k == cas || k == put || k == remove }

// weight is how often a call stalls: most is at stake at a write, and where pushes
// and collections meet.
func (c *call) weight() float64 {
	switch {
	case c.kind == cas && c.key == record.CollectionKey:
		return 5
	case c.kind.writes():
		return 1
	}
	return 0.2
}

// Faults of a call, as the caller sees them.
var (
	errFault = errors.New("fault of the simulation")
	errReset = fmt.Errorf("connection reset: %w", errFault)
	errOver  = fmt.Errorf("the simulation has ended: %w", errFault)
)

// mask shortens digests, and hides nonces: they are drawn by whoever is first, and
// no schedule depends on them.
func mask(key string) string {
	var b strings.Builder
	for len(key) > 0 {
		n := 0
		for n < len(key) && strings.IndexByte("0123456789abcdef", key[n]) >= 0 {
			n++
		}
		switch n {
		case 16, 32: // alone, or with the seal of what is in it
			b.WriteByte('*')
		case 64:
			b.WriteString(key[:8])
		case 0:
			n = 1
			fallthrough
		default:
			b.WriteString(key[:n])
		}
		key = key[n:]
	}
	return b.String()
}

// release lets one call go on, or not.
func (s *sim) release(c *call) {
	switch {
	case c.kind == note:
		s.resume(c, "", s.perform(c), nil)
	case c.held:
		s.resume(c, " answered", c.answer, c.err)
	case c.ctx.Err() != nil:
		s.canceled(c)
	case c.kind == cas && c.key == record.CollectionKey && s.dice.Float64() < s.plan.slow:
		s.hold(c) // everybody sees the new phase, and the collector has not gone on
	case s.dice.Float64() >= s.plan.faults:
		s.answer(c, "")
	case c.kind.writes():
		s.failWrite(c)
	default:
		s.failRead(c)
	}
}

// answer lets the call happen, and answers it.
func (s *sim) answer(c *call, what string) {
	a := s.perform(c)
	s.resume(c, what, a, nil)
}

// canceled is a call whose caller has gone away: it was sent, or it was not.
func (s *sim) canceled(c *call) {
	if c.kind.writes() && s.dice.IntN(2) == 0 {
		s.perform(c)
		s.resume(c, " canceled after it happened", nil, s.lost(c, c.ctx.Err()))
		return
	}
	s.resume(c, " canceled", nil, c.ctx.Err())
}

// lost is the error of a call whose outcome is unknown.
func (s *sim) lost(c *call, cause error) error {
	if c.kind == cas {
		return fmt.Errorf("write register %q: %w: %w", c.key, registers.ErrUnknown, cause)
	}
	return fmt.Errorf("%s %s: %w", c.kind, c.key, cause)
}

func (s *sim) failRead(c *call) {
	switch s.dice.IntN(3) {
	case 0:
		s.hold(c)
	case 1:
		if c.kind == open {
			s.cut(c)
			return
		}
		fallthrough
	default:
		s.counts.Refused++
		s.resume(c, " refused", nil, fmt.Errorf("%s %s: 503: %w", c.kind, c.key, errFault))
	}
}

func (s *sim) failWrite(c *call) {
	timeout := s.lost(c, errFault)
	switch s.dice.IntN(6) {
	case 0:
		s.counts.Lost++
		s.perform(c)
		s.resume(c, " happened, answer lost", nil, timeout)
	case 1:
		s.counts.Dropped++
		s.resume(c, " did not happen, answer unknown", nil, timeout)
	case 2:
		s.counts.Late++
		s.delay(c)
		s.resume(c, " happens later, answer unknown", nil, timeout)
	case 3:
		s.counts.Twice++
		s.delay(c)
		s.answer(c, ", and again later")
	case 4:
		s.hold(c)
	default:
		s.counts.Refused++
		s.resume(c, " refused", nil, fmt.Errorf("%s %s: no connection: %w", c.kind, c.key, errFault))
	}
}

// hold lets the call happen now, and be answered some other time.
func (s *sim) hold(c *call) {
	s.counts.Held++
	s.trace.call(s.steps, c, " happens")
	c.answer, c.held = s.perform(c), true
	if s.dice.IntN(2) == 0 {
		s.stall(c)
	}
	if !s.park(c) {
		panic("the scheduler has ended")
	}
}

// delay keeps a copy of the call that may happen at any time.
func (s *sim) delay(c *call) {
	s.late = append(s.late, &call{who: c.who, kind: c.kind, key: c.key, effect: c.effect})
}

// cut has the reader end early: with an error, or as if that were all.
func (s *sim) cut(c *call) {
	s.counts.Cut++
	a := s.perform(c)
	if r, ok := a.(opened); ok && len(r.bytes) > 0 {
		r.bytes = r.bytes[:s.dice.IntN(len(r.bytes))]
		r.cut = s.dice.IntN(2) == 0
		a = r
	}
	s.resume(c, " cut", a, nil)
}

// nature lets something happen that nobody has asked for, now and then.
func (s *sim) nature() bool {
	p := &s.plan
	switch x := s.dice.Float64(); {
	case x < p.late && len(s.late) > 0:
		s.haunt()
	case x < p.late:
		return false
	case x < p.late+p.kills:
		return s.kill()
	case x < p.late+p.kills+p.pauses:
		s.pause()
	case x < p.late+p.kills+p.pauses+p.jumps:
		s.jump()
	case x < p.late+p.kills+p.pauses+p.jumps+p.impatience:
		return s.giveUp()
	default:
		return false
	}
	return true
}

// haunt lets a write happen that somebody made long ago.
func (s *sim) haunt() {
	i := s.dice.IntN(len(s.late))
	c := s.late[i]
	s.late = slices.Delete(s.late, i, i+1)
	s.trace.call(s.steps, c, " happens at last")
	s.perform(c)
}

// kill ends a replica in the middle of whatever it does. Writes that it has sent
// may still happen. Another takes its place, which remembers nothing.
func (s *sim) kill() bool {
	i := s.dice.IntN(len(s.procs))
	p := s.procs[i]
	if p.dead {
		return false
	}
	s.counts.Kills++
	s.trace.add(s.steps, "kill "+p.name)
	p.dead = true
	for _, c := range slices.Clone(s.parked) {
		if c.proc != p {
			continue
		}
		s.remove(c)
		p.stuck = append(p.stuck, c)
		if c.kind.writes() && !c.held && s.dice.IntN(2) == 0 {
			s.delay(c)
		}
	}
	s.procs = append(s.procs, s.start(p.place, p.life+1))
	lost := slices.DeleteFunc(slices.Clone(s.requests), func(r *request) bool { return r.proc != p })
	for _, r := range lost { // from here on clients move
		r.reset()
	}
	return true
}

// pause has a replica stand still for a while.
func (s *sim) pause() {
	p := s.procs[s.dice.IntN(len(s.procs))]
	s.counts.Pauses++
	p.paused = s.steps + 1 + s.dice.IntN(400)
	s.trace.add(s.steps, fmt.Sprintf("pause %s until %d", p.name, p.paused))
}

// unpause lets the replica go on that has paused long enough when nobody else can
// move.
func (s *sim) unpause() bool {
	until := 0
	for _, c := range s.parked {
		if ready := c.ready(); until == 0 || ready < until {
			until = ready
		}
	}
	if until <= s.steps {
		return false
	}
	s.tick(until-s.steps, 0)
	return true
}

// jump sets the clock of a replica, or all of them, by up to a day.
func (s *sim) jump() {
	s.counts.Jumps++
	by := time.Duration(s.dice.IntN(48*60)-24*60) * time.Minute
	if i := s.dice.IntN(len(s.procs) + 1); i < len(s.procs) {
		s.procs[i].skew += by
		s.trace.add(s.steps, fmt.Sprintf("jump %s by %v", s.procs[i].name, by))
		return
	}
	s.tick(0, by.Abs())
	s.trace.add(s.steps, fmt.Sprintf("jump all by %v", by.Abs()))
}

// giveUp has a client lose patience with a request, which goes on without it. Some
// of them tell the replica.
func (s *sim) giveUp() bool {
	waiting := slices.DeleteFunc(slices.Clone(s.requests), func(r *request) bool { return r.alone || r.proc.dead })
	if len(waiting) == 0 {
		return false
	}
	r := waiting[s.dice.IntN(len(waiting))]
	s.counts.GivenUp++
	s.trace.add(s.steps, "give up "+r.who)
	r.reset()
	if s.dice.IntN(2) == 0 {
		r.cancel()
	}
	return true
}

// request is one request of a client to a replica, which lives on when its client
// has gone away.
type request struct {
	who    string
	proc   *proc
	intent intent
	alone  bool // nobody waits for it
	draws  *rand.PCG
	cancel context.CancelFunc
	reset  func() // has the client go on without an answer
}
