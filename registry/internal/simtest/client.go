package simtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// proc is one life of a replica.
type proc struct {
	name   string
	place  int // which replica
	life   int
	dead   bool
	paused int           // the step at which it goes on
	skew   time.Duration // of its clock
	stuck  []*call       // that never return, because it is dead
	index  index
	*versions.Service
	config versions.Config
}

// start begins a life of the replica at a place. Its index is what the last life
// left, or lost.
func (s *sim) start(place, life int) *proc {
	p := &proc{name: fmt.Sprintf("r%d.%d", place, life), place: place, life: life}
	if s.plan.skew {
		p.skew = time.Duration(s.dice.IntN(48*60)-24*60) * time.Minute
	}
	p.index = index{s, p, map[chunker.Digest][]versions.Source{}}
	last := slices.IndexFunc(s.procs, func(o *proc) bool { return o.place == place && o.life == life-1 })
	if last >= 0 && s.dice.IntN(2) == 0 {
		for d, at := range s.procs[last].index.at {
			p.index.at[d] = slices.Clone(at)
		}
	}
	p.config = versions.Config{
		Registers: engine{s, p}, Blobs: store{s, p}, Index: p.index, Known: p.index, Policy: access.Open{},
		Now:     func() time.Time { return s.clock().Add(p.skew) },
		Rand:    draws{s, rand.NewPCG(s.plan.seed, 1+uint64(place)<<32+uint64(life))},
		Logger:  slog.New(slog.DiscardHandler),
		PushTTL: pushTTL, BodyCache: s.plan.memory, PushMemory: int(s.plan.memory),
	}
	p.Service = versions.New(p.config)
	return p
}

const pushTTL = 6 * time.Hour

func (s *sim) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *sim) step() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steps
}

// draws is the randomness of a replica. What a request draws depends on the request
// and on what it has drawn before, not on who else draws at that moment: two that
// waited for one body go on together.
type draws struct {
	*sim
	own *rand.PCG // of what no request draws
}

// Read implements io.Reader. To ask for the goroutine is slow, and hardly ever
// needed.
func (d draws) Read(b []byte) (int, error) {
	n, id := len(b), uint64(0)
	r, alone := d.moving()
	if !alone {
		id = goroutine()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !alone {
		r = d.running[id]
	}
	from := d.own
	if r != nil {
		from = r.draws
	}
	for len(b) > 0 {
		b = b[copy(b, binary.LittleEndian.AppendUint64(nil, from.Uint64())):]
	}
	return n, nil
}

// moving returns the request that was let go last, and whether no other can be on its
// way: those that wait for a body that it has read.
func (s *sim) moving() (r *request, alone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, !s.shared
}

// goroutine returns the number of the goroutine that calls it, which begins its
// stack.
func goroutine() uint64 {
	var b [40]byte
	text := b[len("goroutine "):runtime.Stack(b[:], false)]
	n := uint64(0)
	for i := 0; i < len(text) && text[i] != ' '; i++ {
		n = 10*n + uint64(text[i]-'0')
	}
	return n
}

// client is somebody who uses the registry, one request after the other. What it
// draws, it draws from dice of its own.
type client struct {
	*sim
	name    string
	dice    *rand.Rand
	made    int    // requests
	request string // the one made last
	twins   int
}

func (s *sim) client(kind string, n int, run func(*client)) {
	c := &client{sim: s, name: fmt.Sprintf("%s%d", kind, n)}
	c.dice = rand.New(rand.NewPCG(s.plan.seed, uint64(len(kind))<<40+uint64(kind[0])<<32+uint64(n)))
	s.launch(c, run)
}

// twin starts another client that does something at the same time.
func (c *client) twin(run func(*client)) {
	c.twins++
	t := &client{sim: c.sim, name: fmt.Sprintf("%st%d", c.name, c.twins), dice: rand.New(rand.NewPCG(c.dice.Uint64(), 0))}
	c.launch(t, run)
}

func (s *sim) launch(c *client, run func(*client)) {
	s.mu.Lock()
	s.clients++
	s.mu.Unlock()
	go func() {
		run(c)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.clients--
		s.signal()
	}()
}

// whoKey is the context's key of the identity of who makes a call.
type whoKey struct{}

func whoIs(ctx context.Context) string {
	who, ok := ctx.Value(whoKey{}).(string)
	if !ok {
		return "nobody"
	}
	return who
}

// tell has the scheduler do something that cannot fail.
func (c *client) tell(what string, effect func()) {
	ctx := context.WithValue(context.Background(), whoKey{}, c.name)
	_, _ = c.do(ctx, nil, note, what, func() any { effect(); return nil }) // only the end is an error
}

// idle does nothing for up to so many steps.
func (s *sim) idle(who string, steps int) {
	n := &call{who: who, kind: note, key: "idle", effect: func() any { return nil }, done: make(chan struct{}, 1)}
	n.after = s.step() + steps
	if s.park(n) {
		<-n.done
	}
}

// ask makes a request of a replica and waits for its answer, unless the replica
// dies or the client loses patience. It returns false, too, when nobody knows what
// became of it.
func ask[T any](c *client, what intent, f func(context.Context, *proc) (T, error)) (answer T, known bool, err error) {
	type reply struct {
		val   T
		known bool
		err   error
	}
	replies := make(chan reply, 2)
	p := c.pick()
	c.made++
	r := &request{who: fmt.Sprintf("%s#%d", c.name, c.made), proc: p, intent: what, draws: rand.NewPCG(c.dice.Uint64(), 0)}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), whoKey{}, r.who))
	r.cancel, c.request = cancel, r.who
	r.reset = func() {
		if !r.alone {
			r.alone = true
			replies <- reply{err: errReset}
		}
	}
	if !c.begin(r) {
		cancel()
		return answer, false, errOver
	}
	go func() {
		defer cancel()
		c.run(r)
		val, err := f(ctx, p)
		c.finish(r)
		replies <- reply{val, true, err}
	}()
	got := <-replies
	return got.val, got.known, got.err
}

// pick draws a replica.
func (c *client) pick() *proc {
	c.mu.Lock()
	defer c.mu.Unlock()
	live := slices.DeleteFunc(slices.Clone(c.procs), func(p *proc) bool { return p.dead })
	return live[c.dice.IntN(len(live))]
}

// begin notes an open request, unless all is over.
func (s *sim) begin(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	at, _ := slices.BinarySearchFunc(s.requests, r, func(a, b *request) int { return strings.Compare(a.who, b.who) })
	s.requests = slices.Insert(s.requests, at, r)
	s.judge.intends(r)
	return true
}

// run notes which goroutine a request is.
func (s *sim) run(r *request) {
	id := goroutine()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[id] = r
}

func (s *sim) finish(r *request) {
	id := goroutine()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, id)
	s.requests = slices.DeleteFunc(s.requests, func(o *request) bool { return o == r })
	s.signal()
}
