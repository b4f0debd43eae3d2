package client_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
)

// stopper is a Progress that ends a context at one of its calls.
type stopper struct {
	calls  atomic.Int64
	at     int64
	cancel context.CancelFunc
}

func (s *stopper) Total(int64) {}

func (s *stopper) Add(int64) {
	if s.calls.Add(1) == s.at {
		s.cancel()
	}
}

// TestCancelAnywhere ends a pull over an older version, whose chunks it uses, at
// every other of its steps. Each file is the old or the new one, what is in the making
// is below .ingot, and the next pull finishes.
func TestCancelAnywhere(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	r := f.client()
	older, newer := model(t), model(t, synth.ChangeLayers(3, 0))
	push(t, r, older, "acme/x:old", client.PushOptions{})
	push(t, r, newer, "acme/x:new", client.PushOptions{})
	was, becomes := tree(t, older), tree(t, newer)
	cancelled := 0
	for at := int64(1); ; at += 2 {
		dir := filepath.Join(t.TempDir(), "target")
		pull(t, r, "acme/x:old", dir, client.PullOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		stop := &stopper{at: at, cancel: cancel}
		_, err := r.Pull(ctx, ref(t, "acme/x:new"), dir, client.PullOptions{Progress: stop})
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled at step %d: %v", at, err)
		}
		if err != nil {
			cancelled++
		}
		for path, sum := range tree(t, dir) {
			if !strings.HasPrefix(path, ".ingot/") && sum != was[path] && sum != becomes[path] {
				t.Errorf("cancelled at step %d: %s is neither the old file nor the new one", at, path)
			}
		}
		pull(t, r, "acme/x:new", dir, client.PullOptions{})
		sameTree(t, dir, newer)
		if stop.calls.Load() < at { // it ended before the step came
			break
		}
	}
	if cancelled == 0 {
		t.Error("no pull was cancelled")
	}
}
