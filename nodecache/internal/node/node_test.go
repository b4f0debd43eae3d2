package node_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// TestVariantsShare loads a base and variants of it: only what differs comes, and
// both tiers hold the rest once.
func TestVariantsShare(t *testing.T) {
	w := newWorld(t)
	w.spec.Hidden, w.spec.FF, w.spec.Vocab = 512, 1024, 1024
	w.push("base")
	h := w.node(nil)
	defer h.close()
	base := h.load("base", openapi.TierRAM)
	if base.BytesReused != 0 || base.Sources.Registry != base.BytesTotal || base.BytesReceived == 0 {
		t.Fatalf("first load: %+v", base)
	}
	for i, tag := range []string{"v1", "v2", "v3", "v4"} {
		w.push(tag, synth.ChangeLayers(uint64(i+2), i))
		plan, err := h.Plan(t.Context(), node.LoadOrder{Ref: ref("acme/llama:" + tag), Tier: openapi.TierRAM})
		if err != nil {
			t.Fatal(err)
		}
		got := h.load(tag, openapi.TierRAM)
		for _, s := range []*openapi.Sources{&got.Sources, &plan.Sources} { // new weights are no difference from old ones
			s.Registry, s.Delta = s.Registry+s.Delta, 0
		}
		if got.Sources != plan.Sources || got.ChunksNew != plan.ChunksNew || got.BytesReused != plan.BytesReused {
			t.Errorf("%s: planned %+v, got %+v", tag, plan, got)
		}
		if got.Sources.Registry == 0 || got.Sources.Registry > base.BytesTotal/4 {
			t.Errorf("%s: %d of %d bytes came from the registry", tag, got.Sources.Registry, got.BytesTotal)
		}
	}
	s := h.Status()
	if most := base.BytesTotal * 2; s.Tiers.RAM.Used > most || s.Tiers.Disk.Used > most {
		t.Errorf("five versions of %d bytes take %d of the RAM and %d of the disk", base.BytesTotal, s.Tiers.RAM.Used, s.Tiers.Disk.Used)
	}
	for tag := range w.models {
		l := h.lease(tag)
		h.check(l, tag)
		l.Release()
	}
	if again := h.load("v4", openapi.TierRAM); again.BytesReceived != 0 || again.Sources.RAM != again.BytesTotal || again.ChunksTotal == 0 {
		t.Errorf("second load: %+v", again)
	}
}

// TestConcurrentWants has many want one version at the same time: every chunk
// comes once.
func TestConcurrentWants(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(nil)
	defer h.close()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			l, err := h.Lease(t.Context(), node.LeaseOrder{Ref: ref("acme/llama:base")}, nil)
			if err != nil {
				t.Error(err)
				return
			}
			h.check(l, "base")
			l.Release()
		})
	}
	wg.Wait()
	if c := h.Counters(); c.Loads != 1 {
		t.Errorf("%d loads, want 1", c.Loads)
	}
	if m := h.model("base"); m.Leases != 0 || m.Tier != openapi.TierRAM {
		t.Errorf("afterwards: %+v", m)
	}
}

// TestSwitch moves a tag while somebody uses the old version.
func TestSwitch(t *testing.T) {
	w := newWorld(t)
	first := w.push("prod")
	old := w.models["prod"]
	h := w.node(func(c *node.Config) {
		c.Models = []node.Model{{Ref: ref("acme/llama:prod"), Tier: openapi.TierRAM, Watch: true}}
	})
	defer h.close()
	until(t, "the configured load", func() bool { return h.model("prod").Tier == openapi.TierRAM })
	l := h.lease("prod")
	second := w.push("prod", synth.ChangeLayers(7, 1))
	h.Changed(ref("acme/llama:prod"), second, node.Model{})
	if got := <-l.Moved(); got != (node.Move{Version: second}) { // beside the first, for which there is room
		t.Fatalf("moved to %+v, want %s", got, second)
	}
	if l.Version() != first {
		t.Fatal("the lease moved")
	}
	if m := h.model("prod"); m.Version != second.String() || m.Tier != openapi.TierRAM || len(m.Old) != 1 || m.Old[0].Leases != 1 {
		t.Errorf("after the switch: %+v", m)
	}
	fresh := w.models["prod"]
	w.models["prod"] = old
	h.check(l, "prod")
	w.models["prod"] = fresh
	next := h.lease("prod")
	h.check(next, "prod")
	before := h.Status().Tiers.RAM.Used
	l.Release()
	if m := h.model("prod"); len(m.Old) != 0 {
		t.Errorf("the old version is still listed: %+v", m)
	}
	if now := h.Status().Tiers.RAM.Used; now >= before {
		t.Errorf("%d bytes of RAM are used after the old version has left, %d before", now, before)
	}
	h.check(next, "prod")
	next.Release()
}

// TestFull fills the RAM with leases: who wants more is told who has it, and gets
// it when that ends.
func TestFull(t *testing.T) {
	w := newWorld(t)
	w.push("a")
	w.push("b", synth.ChangeLayers(2, 0, 1, 2, 3), synth.ReplaceHead(3))
	h := w.node(func(c *node.Config) { c.RAMLimits.Bytes = 8 * mib })
	defer h.close()
	a := h.lease("a")
	_, err := h.Lease(t.Context(), node.LeaseOrder{Ref: ref("acme/llama:b"), Deadline: 50 * time.Millisecond}, nil)
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) || !strings.Contains(err.Error(), "acme/llama@"+a.Version().Short()) {
		t.Fatalf("error %v, want busy and who has it", err)
	}
	until(t, "the end of the wait", func() bool { return h.Status().Waiting == 0 })
	got := make(chan *node.Lease)
	go func() {
		l, err := h.Lease(t.Context(), node.LeaseOrder{Ref: ref("acme/llama:b")}, nil)
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	until(t, "the wait", func() bool { return h.Status().Waiting == 1 })
	h.check(a, "a")
	a.Release()
	b := <-got
	h.check(b, "b")
	if m := h.model("a"); m.Tier != openapi.TierDisk {
		t.Errorf("what was evicted is in %s, want disk", m.Tier)
	}
	b.Release()
}

// TestTooLarge wants what never fits.
func TestTooLarge(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(func(c *node.Config) { c.RAMLimits.Bytes, c.DiskLimits.Bytes = 1*mib, 2*mib })
	defer h.close()
	for _, to := range openapi.Tiers[:2] {
		_, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:base"), Tier: to})
		if !errors.Is(err, &openapi.Error{Code: openapi.CodeTooLarge}) || !strings.Contains(err.Error(), "the budget is") {
			t.Errorf("into %s: %v, want too_large and the numbers", to, err)
		}
	}
	if n := len(h.Status().Models); n != 0 {
		t.Errorf("%d models are known afterwards", n)
	}
}

// TestRestart opens a node again: what was whole on the disk is served without a
// registry.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(nil)
	h.load("base", openapi.TierRAM)
	h.close()

	w.gone.Store(true)
	h = w.node(nil)
	defer h.close()
	if m := h.model("base"); m.Tier != openapi.TierDisk || m.State != openapi.ModelReady {
		t.Fatalf("after the restart: %+v", m)
	}
	l := h.lease("base")
	h.check(l, "base")
	l.Release()
	again, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:base"), Tier: openapi.TierRAM})
	if err != nil || again.BytesReceived != 0 {
		t.Errorf("load without a registry: %+v, %v", again, err)
	}
	if s := h.Status(); s.Registry.Reachable || s.Registry.Error == "" {
		t.Errorf("the registry is said to be %+v", s.Registry)
	}
	if _, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/other"), Tier: openapi.TierDisk}); !errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) {
		t.Errorf("unknown model without a registry: %v", err)
	}
}

// TestInterruptedLoad goes on from what had come.
func TestInterruptedLoad(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(nil)
	defer h.close()
	ctx, cancel := context.WithCancel(t.Context())
	events := h.Events(ctx)
	failed := make(chan error)
	go func() {
		_, err := h.Load(ctx, node.LoadOrder{Ref: ref("acme/llama:base"), Tier: openapi.TierDisk})
		failed <- err
	}()
	for e := range events {
		if e.Type == openapi.EventLoading || e.Type == openapi.EventLoaded {
			cancel()
			break
		}
	}
	cancel()
	first := <-failed
	r := h.load("base", openapi.TierDisk)
	if first != nil && r.BytesReused == 0 {
		t.Errorf("nothing was reused after %v: %+v", first, r)
	}
	if r.BytesReused+r.Sources.Registry != r.BytesTotal {
		t.Errorf("receipt does not add up: %+v", r)
	}
}

// TestIdle lets a version fall when nobody uses it, and brings it back.
func TestIdle(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(func(c *node.Config) { c.IdleRAM, c.IdleDisk = time.Millisecond, 2*time.Millisecond })
	defer h.close()
	l := h.lease("base")
	time.Sleep(1200 * time.Millisecond) // more than a tick
	if m := h.model("base"); m.Tier != openapi.TierRAM {
		t.Fatalf("a leased version fell to %s", m.Tier)
	}
	l.Release()
	until(t, "the fall", func() bool { return h.model("base").Tier == openapi.TierNone })
	if s := h.Status(); s.Tiers.RAM.Used != 0 {
		t.Errorf("%d bytes of RAM are still used", s.Tiers.RAM.Used)
	}
	l = h.lease("base")
	h.check(l, "base")
	l.Release()
	if c := h.Counters(); c.Idle.RAM == 0 || c.Idle.Disk == 0 || c.Hits.None != 2 {
		t.Errorf("counters %+v", c)
	}
}

// TestUnload takes versions out, and refuses to while they are leased.
func TestUnload(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(nil)
	defer h.close()
	l := h.lease("base")
	if _, err := h.Unload(t.Context(), ref("acme/llama:base"), openapi.TierNone); !errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}) {
		t.Fatalf("unload of a leased version: %v", err)
	}
	l.Release()
	r, err := h.Unload(t.Context(), ref("acme/llama:base"), openapi.TierDisk)
	if err != nil || r.Tier != openapi.TierDisk || r.Freed.RAM == 0 || r.Freed.Disk != 0 {
		t.Fatalf("unload to the disk: %+v, %v", r, err)
	}
	r, err = h.Unload(t.Context(), ref("acme/llama:base"), openapi.TierNone)
	if err != nil || r.Tier != openapi.TierNone || r.Freed.Disk == 0 {
		t.Fatalf("unload: %+v, %v", r, err)
	}
	if s := h.Status(); len(s.Models) != 0 || s.Tiers.RAM.Used != 0 {
		t.Errorf("afterwards: %+v", s)
	}
	if _, err := h.Unload(t.Context(), ref("acme/llama:base"), openapi.TierNone); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Errorf("unload of nothing: %v", err)
	}
}

// TestWindow streams a version that is larger than the RAM.
func TestWindow(t *testing.T) {
	for _, kept := range []bool{false, true} {
		w := newWorld(t)
		w.push("base")
		h := w.node(func(c *node.Config) { c.RAMLimits.Bytes = 2 * mib })
		if kept {
			h.load("base", openapi.TierDisk)
		}
		l, err := h.Lease(t.Context(), node.LeaseOrder{Ref: ref("acme/llama:base"), Mode: openapi.LeaseWindow}, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for a, err := range l.Arrivals(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			seen++
			h.checkTensor(l, a, "base")
			if used := h.ram.Used(); used > 2*mib {
				t.Fatalf("%d bytes of RAM are used", used)
			}
			l.Ack()
		}
		want := 0
		for _, f := range l.Manifest().Files {
			want += len(f.Tensors)
		}
		if seen != want || want == 0 {
			t.Errorf("%d tensors came, want %d", seen, want)
		}
		l.Release()
		if s := h.Status(); s.Tiers.RAM.Used != 0 || h.ram.Used() != 0 {
			t.Errorf("%d bytes of RAM are still used", s.Tiers.RAM.Used)
		}
		h.close()
	}
}
