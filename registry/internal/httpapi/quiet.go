package httpapi

import (
	"sync"
	"time"
)

// Quiet returns for how long no request has been under way; 0 while one is.
// Work that can wait waits for that.
func (a *API) Quiet() time.Duration {
	a.load.mu.Lock()
	defer a.load.mu.Unlock()
	if a.load.running > 0 {
		return 0
	}
	return time.Since(a.load.last)
}

// load counts the requests under way.
type load struct {
	mu      sync.Mutex // protects the fields below
	running int
	last    time.Time // when the last request ended
}

func (l *load) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running++
}

func (l *load) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.last = time.Now()
}
