package scrub_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/scrub"
)

// runs has a Scrubber run at 1000 bytes a second until the test has called what is
// returned. A round of a day begins at once.
func (w *world) runs() (stop func()) {
	w.config.Rate = 1000
	s := scrub.New(w.config)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx, 24*time.Hour)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// readsOf returns how often chunks were read, in the order of the store.
func (w *world) readsOf() (reads []int) {
	names := w.blobsOf("c/")
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, object := range names {
		reads = append(reads, w.store.reads[object])
	}
	return reads
}

// TestRun reads everything once in a round, at its pace, also over a store that
// fails for a while; finds what rots, and heals it.
func TestRun(t *testing.T) {
	v, twin := newVersion(t, large(1), small(2)), newVersion(t, large(1), small(3)) // encoders must not be made in a bubble
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.push(model, v, "main", false)
		object := w.chunkIn(large(1))
		w.push(other, twin, "main", true)
		stop := w.runs()
		time.Sleep(time.Minute)
		if r := w.readsOf(); r[0] != 1 || r[1] != 0 {
			t.Errorf("%v reads in a minute, want that of one chunk, of 300 kB", r)
		}
		w.store.mu.Lock()
		w.store.down = 5
		w.store.mu.Unlock()
		time.Sleep(time.Hour)
		if r := w.readsOf(); r[0] != 1 || r[1] != 6 {
			t.Errorf("%v reads in the first round, want one, and six of which five failed", r)
		}
		if n := len(w.quarantined()); n != 0 {
			t.Errorf("%d objects in quarantine", n)
		}
		w.store.flip(object, 5000)
		time.Sleep(24 * time.Hour)
		if n := len(w.quarantined()); n != 1 {
			t.Errorf("%d objects in quarantine, want the one that rots", n)
		}
		w.check(model, v)
		w.check(other, twin)
		w.collect()
		time.Sleep(24 * time.Hour)
		if n := len(w.quarantined()); n != 0 {
			t.Errorf("%d objects in quarantine after the collection", n)
		}
		stop()
	})
}

// TestRunTellsAtOnce finds a bad chunk long before the end of a round: it is out of
// use from then on.
func TestRunTellsAtOnce(t *testing.T) {
	v := newVersion(t, large(1), large(2))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.push(model, v, "main", false)
		w.store.flip(w.blobsOf("c/")[0], 5000)
		stop := w.runs()
		time.Sleep(time.Minute)
		if n := len(w.quarantined()); n != 1 {
			t.Errorf("%d objects in quarantine, want the bad one", n)
		}
		if r := w.readsOf(); r[1] != 0 {
			t.Errorf("%v reads: the round is over", r)
		}
		stop()
	})
}

// TestTurns has three processes run on one registry: one of them reads, and another
// goes on when that one is gone.
func TestTurns(t *testing.T) {
	v := newVersion(t, large(1), large(2))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.push(model, v, "main", false)
		first := w.runs()
		time.Sleep(time.Minute)
		second, third := w.runs(), w.runs()
		time.Sleep(time.Hour)
		if r := w.readsOf(); r[0] != 1 || r[1] != 1 {
			t.Errorf("%v reads in the first round of three processes, want one of each", r)
		}
		time.Sleep(24 * time.Hour)
		if r := w.readsOf(); r[0] != 2 || r[1] != 2 {
			t.Errorf("%v reads in two rounds, want two of each", r)
		}
		first()
		second()
		time.Sleep(26 * time.Hour)
		if r := w.readsOf(); r[0] != 3 || r[1] != 3 {
			t.Errorf("%v reads in three rounds, want three of each", r)
		}
		third()
	})
}

// TestTurnOfTheDead begins a round anew whose process was killed in the middle.
func TestTurnOfTheDead(t *testing.T) {
	v := newVersion(t, large(1), large(2))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.push(model, v, "main", false)
		killed := w.runs()
		time.Sleep(time.Minute)
		killed()
		other := w.runs()
		time.Sleep(time.Hour)
		if r := w.readsOf(); r[0] != 1 || r[1] != 0 {
			t.Errorf("%v reads while the killed process may live, want those of that one", r)
		}
		time.Sleep(3 * time.Hour)
		if r := w.readsOf(); r[0] != 2 || r[1] != 1 {
			t.Errorf("%v reads after another began anew", r)
		}
		other()
	})
}
