package node

import "sync"

// bell wakes all who wait for a change. Its zero value is ready.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

// next returns a channel that is closed by the next ring. Who takes it before
// looking at what may change misses nothing.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

// ring wakes those who wait.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}
