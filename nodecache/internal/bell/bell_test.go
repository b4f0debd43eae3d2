package bell_test

import (
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/nodecache/internal/bell"
)

// TestRingWakesAll has many wait for a number that others count up: nobody misses
// the last.
func TestRingWakesAll(t *testing.T) {
	var b bell.Bell
	var mu sync.Mutex
	n, all := 0, 1000
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			for {
				rung := b.Next()
				mu.Lock()
				done := n == all
				mu.Unlock()
				if done {
					return
				}
				<-rung
			}
		})
	}
	for range all {
		mu.Lock()
		n++
		mu.Unlock()
		b.Ring()
	}
	waiting.Wait()
	select {
	case <-b.Next():
		t.Error("a bell that nobody rings has rung")
	default:
	}
}
