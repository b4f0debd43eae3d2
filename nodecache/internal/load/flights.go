package load

import (
	"context"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
)

// Flights knows which chunks are being fetched by the loads of a node, so that no
// two fetch the same at a time. It is safe for concurrent use.
type Flights struct {
	mu    sync.Mutex
	under map[chunker.Digest]chan struct{}
}

// NewFlights returns Flights of nothing.
func NewFlights() *Flights { return &Flights{under: make(map[chunker.Digest]chan struct{})} }

// begin makes the caller the one who fetches d, and returns nil, or returns what
// is closed when the one who does has ended.
func (f *Flights) begin(d chunker.Digest) (other <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, taken := f.under[d]; taken {
		return other
	}
	f.under[d] = make(chan struct{})
	return nil
}

// end is for the one who fetches d, whether it came or not.
func (f *Flights) end(d chunker.Digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.under[d])
	delete(f.under, d)
}

// Take makes the caller the one who fetches d, until it calls End, or waits until
// another who does has ended: then mine is false, and whoever wants the chunk looks
// again where it should be.
func (f *Flights) Take(ctx context.Context, d chunker.Digest) (mine bool, err error) {
	other := f.begin(d)
	if other == nil {
		return true, nil
	}
	select {
	case <-other:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// End ends what Take began, whether the chunk came or not.
func (f *Flights) End(d chunker.Digest) { f.end(d) }

// Len returns how many chunks are being fetched.
func (f *Flights) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.under)
}
