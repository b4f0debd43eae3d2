// Package bell owns how goroutines wait for a change that anybody may make: all who
// wait are woken, and look for themselves.
//
// Law: who takes Next before looking misses no Ring that comes after the look.
package bell

import "sync"

// Bell wakes all who wait for a change. Its zero value is ready. It is safe for
// concurrent use.
type Bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

// Next returns a channel that is closed by the next Ring.
func (b *Bell) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

// Ring wakes those who wait.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
