package node_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// TestLeasesOfMovingTag leases a reference while it moves to and fro: a version
// that was left meanwhile is whole for as long as it is leased.
func TestLeasesOfMovingTag(t *testing.T) {
	w := newWorld(t)
	tags := map[chunker.Digest]string{w.push("a"): "a", w.push("b", synth.ChangeLayers(9, 1)): "b"}
	h := w.node(nil)
	defer h.close()
	moving := ref("acme/llama:moving")
	like := node.Model{Ref: moving, Tier: openapi.TierRAM, Watch: true}
	for d := range tags {
		h.Changed(moving, d, like)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for d := range tags {
				h.Changed(moving, d, like)
			}
		}
	})
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 50 {
				l, err := h.Lease(ctx, node.LeaseOrder{Ref: moving}, nil)
				if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
					continue // the registry has no such tag, and is asked before the first version is there
				}
				if err != nil {
					t.Error(err)
					return
				}
				if l.Manifest() == nil {
					t.Error("a lease without a manifest")
					return
				}
				h.check(l, tags[l.Version()])
				l.Release()
			}
		})
	}
	readers.Wait()
	stop()
	wg.Wait()
	until(t, "the last version is all that is there", func() bool {
		s := h.Status()
		m := h.model("moving")
		return m.Leases == 0 && len(m.Old) == 0 && s.Tiers.RAM.Used == m.BytesOwn+m.BytesShared && s.Tiers.RAM.Models == 1
	})
}
