package soak_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/integration/faultproxy"
	"github.com/ingot-ml/ingot/registry/name"
)

// backend is what replicas keep everything in.
type backend interface {
	// replicas is how many may run on it at a time.
	replicas() int
	// pace is the time between two strikes, on the average: long enough for pushes to
	// come to an end in between.
	pace() time.Duration
	// serve returns arguments and variables for a replica.
	serve(i int) (args, environ []string)
	// disturb turns faults between replicas and the store on. Off, nothing that a
	// fault has put off comes any more when it returns.
	disturb(on bool) error
	// strike kills or pauses the store, and returns when it goes on.
	strike(ctx context.Context, r *rand.Rand, t *tally)
	// contents reads everything. No replica runs.
	contents(ctx context.Context) (*contents, error)
	faults() map[string]int
	close()
}

const (
	workers    = 20
	collectors = 3
	// repos share what is pushed. To delete a version takes a look at every tag that
	// its repository ever had, so there are many.
	repos = 24
	// heldEach is how many tags a worker keeps before it deletes one for each that it
	// makes.
	heldEach = 8
	// mostCached is room for what a round makes, more or less.
	mostCached = 64 << 20
	// patience is how long a client tries again, and answer how long any call may
	// take: after that its outcome is in doubt.
	patience = 8 * time.Second
	answer   = 40 * time.Second
)

// round is a cluster and those who work with it.
type round struct {
	config
	seed     uint64
	program  string
	dir      string
	pace     time.Duration
	backend  backend
	tally    *tally
	ledger   *ledger
	replicas []*replica
	clients  []*client.Registry // through the proxies: one for each replica, one over all
	cache    *client.Cache      // of all workers: what differences are made against
	later    sync.WaitGroup     // pauses that go on
	closed   bool
	epochs   uint64 // of this round, so far
}

func newRound(c config, seed uint64, program, dir string, b backend, t *tally) (_ *round, err error) {
	r := &round{config: c, seed: seed, program: program, dir: dir, pace: b.pace(), backend: b, tally: t}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.ledger, err = newLedger(dir); err != nil {
		return nil, err
	}
	if r.cache, err = client.OpenCache(filepath.Join(dir, "chunks"), mostCached); err != nil {
		return nil, err
	}
	for i := range b.replicas() {
		one, err := r.newReplica(i)
		if err != nil {
			return nil, err
		}
		r.replicas = append(r.replicas, one)
		if err := r.addClient("http://"+one.front.Addr(), nil); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.allReady(ctx); err != nil {
		return nil, err
	}
	return r, r.addClient("http://spread", &spread{r.replicas, &http.Transport{MaxIdleConnsPerHost: workers}})
}

func (r *round) addClient(base string, transport http.RoundTripper) error {
	o := client.Options{Patience: patience, Parallel: 2}
	if transport != nil {
		o.HTTP = &http.Client{Transport: transport}
	}
	c, err := client.New(base, o)
	r.clients = append(r.clients, c)
	return err
}

// spread sends each request to any replica, as a balancer of loads does: a push
// may be begun with one, sent to another and committed by a third.
type spread struct {
	replicas []*replica
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (s *spread) RoundTrip(q *http.Request) (*http.Response, error) {
	to := s.replicas[rand.IntN(len(s.replicas))].front.Addr()
	q = q.Clone(q.Context())
	q.URL.Host, q.Host = to, to
	return s.Transport.RoundTrip(q)
}

func (r *round) newReplica(i int) (*replica, error) {
	addr, err := address(r.random(fmt.Sprint("address", i)))
	if err != nil {
		return nil, err
	}
	front, err := faultproxy.Listen(faultproxy.Config{Target: addr, Seed: r.seed + uint64(i), Describe: describe})
	if err != nil {
		return nil, err
	}
	args, environ := r.backend.serve(i)
	args = append([]string{"serve", "--listen", addr, "--push-ttl", "1m", "--log-level", "warn"}, args...)
	p, err := newProcess(fmt.Sprint("replica-", i), r.dir, func() *exec.Cmd {
		cmd := exec.Command(r.program, args...)
		cmd.Env = append(r.environ(), environ...)
		return cmd
	}, r.ended)
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	return &replica{process: p, addr: addr, front: front}, nil
}

// ended takes note of a replica that ended by itself. It may when its store is
// gone, and says so in a line; it may not panic.
func (r *round) ended(said string) {
	if strings.Contains(said, "panic: ") || strings.Contains(said, "fatal error: ") {
		r.tally.broken("%s", said)
		return
	}
	r.ledger.note("ended: %s", said)
	_, why, _ := strings.Cut(said, ": ")
	r.tally.count(r.tally.exits, fmt.Sprintf("%.80q", why))
}

// describe tells calls of a registry apart.
func describe(q *http.Request) faultproxy.Call {
	return faultproxy.Call{Method: q.Method, Path: q.URL.Path}
}

// environ is what all programs get.
func (r *round) environ() []string {
	return append(os.Environ(), "HOME="+r.dir, "XDG_CACHE_HOME="+filepath.Join(r.dir, "cache"), "XDG_DATA_HOME="+filepath.Join(r.dir, "data"))
}

// random is a source of its own for whoever is called that.
func (r *round) random(who string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(who)) // never fails
	return rand.New(rand.NewPCG(r.seed, h.Sum64()))
}

// work has everybody do what they do until ctx ends. Calls that are under way then
// come to their end.
func (r *round) work(ctx context.Context) {
	for _, one := range r.replicas {
		one.front.Set(frontFaults()...)
	}
	if err := r.backend.disturb(true); err != nil {
		r.tally.broken("disturb: %v", err)
	}
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { r.newWorker(i).run(ctx) })
	}
	for i := range collectors {
		all.Go(func() { r.collect(ctx, i) })
	}
	all.Go(func() { r.chaos(ctx) })
	all.Go(func() { r.contest(ctx) })
	all.Wait()
	r.later.Wait()
}

// peace ends all faults.
func (r *round) peace(ctx context.Context) error {
	for _, one := range r.replicas {
		one.front.Set()
		one.front.Settle()
		one.signal(syscall.SIGCONT)
	}
	return errors.Join(r.backend.disturb(false), r.allReady(ctx))
}

// restart kills all replicas, so that no call goes on and nothing is remembered.
func (r *round) restart(ctx context.Context) error {
	for _, one := range r.replicas {
		one.signal(syscall.SIGKILL)
	}
	return r.allReady(ctx)
}

func (r *round) allReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, one := range r.replicas {
		if err := one.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) close() {
	if r.closed {
		return
	}
	r.closed = true
	for _, c := range r.clients {
		c.Close()
	}
	for _, one := range r.replicas {
		one.process.close()
		faults := map[string]int{}
		for f, n := range one.front.Faults() {
			faults["client "+f.String()] = n
		}
		r.tally.add(0, faults)
		if err := one.front.Close(); err != nil {
			r.tally.broken("close a proxy: %v", err)
		}
	}
	r.tally.add(0, r.backend.faults())
	r.backend.close()
	if r.ledger != nil {
		_ = r.ledger.log.Close() // it was for reading while something fails
	}
}

// repo is one of those that all workers share.
func repo(i int) name.Repo {
	return name.Repo{Namespace: fmt.Sprint("soak-", i%2), Name: fmt.Sprint("model-", i)}
}
