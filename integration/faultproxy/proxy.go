// Package faultproxy owns a reverse proxy that stands before an HTTP server, such
// as an object store or a registry, fails as networks and stores fail, and counts
// what it is asked for.
//
// Laws:
//   - What reaches the server is byte for byte what the client sent, the target and
//     the Host included: requests to a store are signed.
//   - What a request meets depends on the seed and on its place in the line, not on
//     the time.
//   - A fault happens to one operation as a whole, "applied, but the answer is
//     lost" among them: no proxy for bytes can do that.
//   - Close returns when everything that the proxy started has ended.
package faultproxy

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Rule has a fault happen to some requests.
type Rule struct {
	Fault Fault
	// PerMille is how many of a thousand requests that match meet it.
	PerMille int
	// Times is after how many faults the rule has done its work; 0 is never.
	Times int
	// Match picks requests; nil is all.
	Match func(Call) bool
}

// Config says what a proxy stands before, and what it does.
type Config struct {
	Target string // host:port of the server
	Seed   uint64
	// Describe says what a request is; nil is its method and nothing more.
	Describe func(*http.Request) Call
	// Rewrite may change an answer before it is passed on; nil does not.
	Rewrite func(Call, *http.Response) error
	// Pause is the most that a Delay waits; 0 is 200 ms.
	Pause time.Duration
	// After is how much later what comes later comes, at least and at most; 0 is 1
	// to 30 s.
	After [2]time.Duration
	// Burst is how many requests in a row a SlowDown refuses, at most; 0 is 20.
	Burst int
}

// Proxy is a proxy that listens.
type Proxy struct {
	config    Config
	transport *http.Transport
	listener  net.Listener
	server    *http.Server
	serving   sync.WaitGroup
	late      sync.WaitGroup
	hurry     chan struct{} // closed when what would come later has to come now

	mu      sync.Mutex
	settled bool // hurry is closed
	rules   []Rule
	met     []int // faults of each rule
	seen    uint64
	counts  Counts
	faults  map[Fault]int
	burst   int // requests that are still refused
	every   time.Duration
	next    time.Time // when the next request may pass, if every is not 0
}

// Listen starts a proxy at a free address of this machine.
func Listen(c Config) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a fault proxy: %w", err)
	}
	if c.Describe == nil {
		c.Describe = func(q *http.Request) Call { return Call{Method: q.Method, Path: q.URL.Path} }
	}
	if c.Pause == 0 {
		c.Pause = 200 * time.Millisecond
	}
	if c.After[1] == 0 {
		c.After = [2]time.Duration{time.Second, 30 * time.Second}
	}
	if c.Burst == 0 {
		c.Burst = 20
	}
	p := &Proxy{
		config: c, listener: l, hurry: make(chan struct{}), counts: Counts{}, faults: map[Fault]int{},
		transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}
	p.server = &http.Server{Handler: p, ErrorLog: quiet()}
	p.serving.Go(func() { _ = p.server.Serve(l) }) // it ends when it is closed
	return p, nil
}

// Addr is where the proxy listens, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL is where the proxy listens.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// Close cuts all connections, and ends what would have come later.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.Settle()
	p.serving.Wait()
	p.transport.CloseIdleConnections()
	return err
}

// Set replaces the rules. The first that a request meets is the one that counts.
func (p *Proxy) Set(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.met, p.burst = slices.Clone(rules), make([]int, len(rules)), 0
}

// Limit lets that many requests pass in a second, each in its turn; 0 is all.
func (p *Proxy) Limit(perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every = 0
	if perSecond > 0 {
		p.every = time.Duration(float64(time.Second) / perSecond)
	}
}

// Settle sends now what would have come later. It has been answered when Settle
// returns, and from then on nothing comes later. Take away the rules first.
func (p *Proxy) Settle() {
	p.mu.Lock()
	if !p.settled {
		close(p.hurry)
	}
	p.settled = true
	p.mu.Unlock()
	p.late.Wait()
}

// Counts returns how many requests there were, by what they are.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts.clone()
}

// Faults returns how many faults there were.
func (p *Proxy) Faults() map[Fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[Fault]int{}
	for f, n := range p.faults {
		all[f] = n
	}
	return all
}

// choice is what becomes of one request.
type choice struct {
	fault Fault
	rand  *rand.Rand // of this request
	wait  time.Duration
}

// choose counts a request and tells what it meets.
func (p *Proxy) choose(c Call) choice {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.add(c)
	p.seen++
	d := choice{rand: rand.New(rand.NewPCG(p.config.Seed, p.seen))}
	if p.every > 0 {
		now := time.Now()
		p.next = later(p.next, now)
		d.wait, p.next = p.next.Sub(now), p.next.Add(p.every)
	}
	if d.fault = p.meet(c, d.rand); d.fault != None {
		p.faults[d.fault]++
	}
	return d
}

// meet returns the fault that a request meets.
func (p *Proxy) meet(c Call, r *rand.Rand) Fault {
	if p.burst > 0 {
		p.burst--
		return SlowDown
	}
	for i, rule := range p.rules {
		spent := rule.Times > 0 && p.met[i] >= rule.Times
		if spent || rule.Match != nil && !rule.Match(c) || r.IntN(1000) >= rule.PerMille {
			continue
		}
		p.met[i]++
		if rule.Fault == SlowDown {
			p.burst = r.IntN(p.config.Burst)
		}
		return rule.Fault
	}
	return None
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	call := p.config.Describe(q)
	body, err := io.ReadAll(q.Body) // to be able to send it twice
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	d := p.choose(call)
	if !pause(q.Context(), d.wait) {
		panic(http.ErrAbortHandler)
	}
	e := &exchange{Proxy: p, call: call, request: q, body: body, choice: d}
	e.serve(w)
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
