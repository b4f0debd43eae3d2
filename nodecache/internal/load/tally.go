package load

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/openapi"
)

// tally is what a load has done so far. Its zero value is ready.
type tally struct {
	plan, read, store watch

	mu       sync.Mutex
	bytes    [plan.Registry + 1]int64
	fresh    int
	received client.Received
	began    time.Time // of fetching; zero when nothing was fetched
	fetch    time.Duration
	storeErr error
	readErr  error
}

// watch sums up time.
type watch struct{ ns atomic.Int64 }

func (w *watch) add(began time.Time) { w.ns.Add(int64(time.Since(began))) }

func (w *watch) milliseconds() float64 { return milliseconds(time.Duration(w.ns.Load())) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// moved counts a chunk that is in the target.
func (t *tally) moved(from plan.Source, size uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes[from] += int64(size)
	if from >= plan.Delta {
		t.fresh++
	}
}

// fetching notes that the fetcher has something to do.
func (t *tally) fetching() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		t.began = time.Now()
	}
}

// fetched notes that the fetcher has ended.
func (t *tally) fetched(received client.Received) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.received = received
	if !t.began.IsZero() {
		t.fetch = time.Since(t.began)
	}
}

// unstored notes why the disk did not keep a chunk.
func (t *tally) unstored(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.storeErr == nil {
		t.storeErr = err
	}
}

func (t *tally) storeFailed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.storeErr != nil
}

// unread notes why the disk did not give a chunk.
func (t *tally) unread(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readErr == nil {
		t.readErr = err
	}
}

// explain adds to the error of a load why it needed what it did not get.
func (t *tally) explain(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readErr == nil {
		return err
	}
	return errors.Join(err, t.readErr)
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Result{
		Received: t.received, ChunksNew: t.fresh, StoreErr: t.storeErr,
		Sources: openapi.Sources{
			RAM: t.bytes[plan.RAM], Disk: t.bytes[plan.Disk], Delta: t.bytes[plan.Delta], Registry: t.bytes[plan.Registry],
		},
		Phases: openapi.Phases{
			Plan: t.plan.milliseconds(), Read: t.read.milliseconds(), Store: t.store.milliseconds(),
			Fetch: milliseconds(t.fetch),
		},
	}
}
