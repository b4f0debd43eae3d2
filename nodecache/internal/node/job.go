package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// tellEvery is how often those who wait are told how far a load is.
const tellEvery = 250 * time.Millisecond

// job brings one version into one tier, for all who want it there. It ends when
// that is done, and is given up when nobody waits any more.
type job struct {
	key     ledger.Key
	tier    openapi.Tier
	first   []string
	cancel  context.CancelFunc
	waiters int // n.mu protects it, and ended

	ended    bool
	admitted chan struct{} // closed when it has its room
	done     chan struct{} // closed when the rest is set
	receipt  openapi.LoadReceipt
	err      error
	leased   []*shelf // where the version is leased until all waiters have gone
	over     *version // whose memory it comes into, and that is not leased to anybody new; n.mu protects it
	under    *version // that it waits for to be let go; n.mu protects it

	total    atomic.Int64
	progress atomic.Int64
	toldAt   atomic.Int64 // nanoseconds of the last event
	arrived  arrivals
}

// arrivals is which chunks of a version have come.
type arrivals struct {
	mu   sync.Mutex
	have []bool // nil before it is known how many there are
	bell bell.Bell
}

func (a *arrivals) expect(chunks int) {
	a.mu.Lock()
	a.have = make([]bool, chunks)
	a.mu.Unlock()
}

func (a *arrivals) add(c uint32) {
	a.mu.Lock()
	a.have[c] = true
	a.mu.Unlock()
	a.bell.Ring()
}

func (a *arrivals) has(c uint32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(c) < len(a.have) && a.have[c]
}

// errStopped reports what is asked of a node that stops.
var errStopped = openapi.Errorf(openapi.CodeUnavailable, "the agent stops")

// join returns the job that brings k into the tier, and begins it if need be: in the
// trace of who asked first. The caller leaves it.
func (n *Node) join(asked context.Context, k ledger.Key, to openapi.Tier, first []string) *job {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.version(k)
	j := v.jobs[to]
	if j == nil {
		ctx, cancel := context.WithCancel(trace.Under(n.ctx, asked))
		j = &job{
			key: k, tier: to, first: first, cancel: cancel,
			admitted: make(chan struct{}), done: make(chan struct{}),
		}
		v.held++
		if n.going(func() { n.do(ctx, v, j) }) {
			v.jobs[to] = j
		} else {
			j.ended, j.err = true, errStopped
			close(j.done)
		}
	}
	j.waiters++
	return j
}

// leave is for a waiter who does not wait any more. The last one ends the job.
func (n *Node) leave(j *job) {
	n.mu.Lock()
	j.waiters--
	last, ended := j.waiters == 0, j.ended
	if last && !ended {
		j.cancel()
		n.part(j)
	}
	n.mu.Unlock()
	if last && ended {
		n.unlease(j)
	}
}

// part makes room for another job of the kind. n.mu is held.
func (n *Node) part(j *job) {
	if v := n.versions[j.key]; v != nil && v.jobs[j.tier] == j {
		delete(v.jobs, j.tier)
	}
}

// unlease lets go what the job kept for its waiters.
func (n *Node) unlease(j *job) {
	for _, s := range j.leased {
		s.release(j.key)
	}
	n.mu.Lock()
	n.version(j.key).held--
	n.mu.Unlock()
	n.settle(j.key)
}

// do is the life of a job.
func (n *Node) do(ctx context.Context, v *version, j *job) {
	defer j.cancel()
	began := n.config.Now()
	err := n.traced(ctx, v, j)
	j.receipt.Version, j.receipt.Tier = j.key.Digest, j.tier
	j.receipt.Seconds = n.config.Now().Sub(began).Seconds()
	n.mu.Lock()
	j.err, j.ended = err, true
	n.part(j)
	last := j.waiters == 0
	if err == nil {
		n.counters.Loads++
		addSources(&n.counters.Bytes, j.receipt.Sources)
	} else if ctx.Err() == nil {
		n.counters.Failed++
	}
	n.counters.received(client.Received{
		Bytes: j.receipt.BytesReceived, DeltaBytes: j.receipt.BytesReceivedDelta, BaseBytes: j.receipt.BytesReceivedBase,
		DeltaChunks: j.receipt.ChunksDelta, BasesWrong: j.receipt.BasesWrong,
	})
	n.mu.Unlock()
	if err == nil {
		n.tell(j.key, openapi.NodeEvent{
			Type: openapi.EventLoaded, Tier: j.tier, Bytes: j.receipt.BytesTotal, Total: j.receipt.BytesTotal,
		})
		n.serve(j.key)
	}
	n.vacated(j)
	close(j.done)
	if last {
		n.unlease(j)
	}
	n.watermark()
	n.dirty.Ring()
}

func addSources(to *openapi.Sources, s openapi.Sources) {
	to.Disk += s.Disk
	to.RAM += s.RAM
	to.Peer += s.Peer
	to.Delta += s.Delta
	to.Registry += s.Registry
}

// vacated lets everybody lease again what a job came over, or should have.
func (n *Node) vacated(j *job) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if j.over != nil {
		close(j.over.vacating)
		j.over.vacating, j.over = nil, nil
	}
}

// closed reports whether a channel is closed, through which nothing comes.
func closed(what <-chan struct{}) bool {
	select {
	case <-what:
		return true
	default:
		return false
	}
}

// await waits until the channel is closed, the job is done or ctx ends, and tells
// how far the job is in between. The error of ctx is told with what the job waits
// for.
func (n *Node) await(ctx context.Context, j *job, until <-chan struct{}, waiting func(done, total int64)) error {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-until:
			return nil
		case <-j.done:
			return j.err
		case <-tick.C:
			if waiting != nil {
				waiting(j.progress.Load(), j.total.Load())
			}
		case <-ctx.Done():
			return errors.Join(n.stuck(j), ctx.Err())
		}
	}
}

// stuck says what a job waits for that somebody has waited for too long.
func (n *Node) stuck(j *job) error {
	n.mu.Lock()
	v := n.versions[j.key]
	var m *manifest.Manifest
	if v != nil {
		m = v.manifest
	}
	old := j.under
	if old != nil && old.leases > 0 {
		defer n.mu.Unlock()
		return openapi.Errorf(openapi.CodeBusy, "it has room only in the place of %s, which has %d leases; it comes when they end", old.key, old.leases)
	}
	n.mu.Unlock()
	select {
	case <-j.admitted:
	default:
		if m == nil {
			return errors.New("the registry has not sent its manifest yet")
		}
		return cmp.Or(n.shelf(j.tier).blocked(n.entry(j.key, j.tier, m)), errors.New("others who wait for room came first"))
	}
	return fmt.Errorf("%s of %s are there", spell(j.progress.Load()), spell(j.total.Load()))
}

// entry is what the account of a tier has of a version. Memory is shared with the
// clients of one namespace only, so chunks of two are two.
func (n *Node) entry(k ledger.Key, t openapi.Tier, m *manifest.Manifest) ledger.Entry {
	e := ledger.Entry{Key: k, Chunks: m.Chunks}
	if t == openapi.TierRAM {
		e.Domain = k.Repo.Namespace
	}
	return e
}
