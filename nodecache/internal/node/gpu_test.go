package node_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

const (
	firstGPU  = "GPU-00000000-0000-0000-0000-000000000001"
	secondGPU = "GPU-00000000-0000-0000-0000-000000000002"
)

// rack opens a node with GPUs of these budgets.
func (w *world) rack(change func(*node.Config), budgets ...int64) (*house, []*fakeGPU) {
	w.t.Helper()
	var gpus []*fakeGPU
	h := w.node(func(c *node.Config) {
		c.GPUState = openapi.GPUReady
		for i, budget := range budgets {
			g := newFakeGPU(w.t, fmt.Sprintf("%s%d", firstGPU[:len(firstGPU)-1], i+1), budget)
			gpus = append(gpus, g)
			c.GPUs = append(c.GPUs, g)
		}
		if change != nil {
			change(c)
		}
	})
	for _, g := range gpus {
		g.mu.Lock()
		g.event = h.GPUEvent
		g.mu.Unlock()
	}
	return h, gpus
}

// attach leases a tag on a GPU.
func (h *house) attach(tag string, o node.LeaseOrder) *node.GPULease {
	h.w.t.Helper()
	o.Ref = ref("acme/llama:" + tag)
	l, err := h.LeaseGPU(h.w.t.Context(), o, nil)
	if err != nil {
		h.w.t.Fatal(err)
	}
	if a := <-l.Asks(); a.Image == nil || a.Image.Version != l.Version() {
		h.w.t.Fatalf("the first that is asked of a client is %+v", a)
	}
	return l
}

func is(err error, code openapi.Code) bool { return errors.Is(err, &openapi.Error{Code: code}) }

// TestGPULoad brings a version onto a GPU, says so, and takes it off again.
func TestGPULoad(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h, gpus := w.rack(nil, 64*mib, 32*mib)
	defer h.close()
	plan, err := h.Plan(t.Context(), node.LoadOrder{Ref: ref("acme/llama:base"), Tier: openapi.TierGPU})
	if err != nil || plan.Sources.Registry != plan.BytesTotal || plan.Tier != openapi.TierGPU {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	r := h.load("base", openapi.TierGPU)
	if r.GPU == nil || r.GPU.Kind != openapi.SwapLoad || r.GPU.Device != firstGPU || r.Tier != openapi.TierGPU || r.Sources.Registry != r.BytesTotal {
		t.Fatalf("receipt %+v", r)
	}
	m := h.model("base")
	if m.Tier != openapi.TierGPU || m.State != openapi.ModelReady || len(m.Devices) != 1 || m.Devices[0] != firstGPU || m.BytesOwn != m.BytesTotal {
		t.Errorf("the model is %+v", m)
	}
	if s := h.Status().Tiers.GPU; s.State != openapi.GPUReady || s.Models != 1 || s.Used != m.BytesTotal || s.Budget != 96*mib || len(s.Devices) != 2 {
		t.Errorf("the tier is %+v", s)
	}
	if r = h.load("base", openapi.TierGPU); r.GPU.Kind != openapi.SwapResident || r.BytesReused != r.BytesTotal || r.BytesReceived != 0 {
		t.Errorf("again: %+v", r)
	}
	u, err := h.Unload(t.Context(), ref("acme/llama:base"), openapi.TierRAM)
	if err != nil || u.Freed.GPU != m.BytesTotal || u.Freed.RAM != 0 || u.Tier != openapi.TierRAM {
		t.Errorf("unload %+v, %v", u, err)
	}
	h.load("base", openapi.TierGPU)
	u, err = h.Unload(t.Context(), ref("acme/llama:base"), openapi.TierNone)
	if err != nil || u.Freed.GPU == 0 || u.Freed.RAM == 0 || u.Freed.Disk == 0 || len(h.Status().Models) != 0 {
		t.Errorf("unload from everywhere: %+v, %v", u, err)
	}
	for _, g := range gpus {
		g.check()
	}
}

// TestGPUChoice names GPUs, or leaves it to the node.
func TestGPUChoice(t *testing.T) {
	w := newWorld(t)
	w.push("a")
	w.push("b", synth.ChangeLayers(2, 0, 1, 2, 3), synth.ReplaceHead(3))
	h, _ := w.rack(nil, 32*mib, 64*mib)
	defer h.close()
	on := func(tag, device string) string {
		t.Helper()
		r, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:" + tag), Tier: openapi.TierGPU, Device: device})
		if err != nil {
			t.Fatal(err)
		}
		return r.GPU.Device
	}
	if got := on("a", ""); got != secondGPU {
		t.Errorf("a is on %s, which has less room", got)
	}
	if got := on("a", strings.TrimPrefix(firstGPU, "GPU-")); got != firstGPU {
		t.Errorf("a is on %s, want the one that was named", got)
	}
	if m := h.model("a"); len(m.Devices) != 2 {
		t.Errorf("a is on %v", m.Devices)
	}
	if _, err := h.Swap(t.Context(), node.SwapOrder{From: ref("acme/llama:a"), To: ref("acme/llama:b")}); !is(err, openapi.CodeBadRequest) {
		t.Errorf("swap of what is on two GPUs: %v", err)
	}
	if r, err := h.Swap(t.Context(), node.SwapOrder{From: ref("acme/llama:a"), To: ref("acme/llama:b"), Device: firstGPU}); err != nil || r.Device != firstGPU {
		t.Errorf("%+v, %v", r, err)
	}
	for _, device := range []string{"GPU-00000000-0000-0000-0000-000000000009", "nonsense"} {
		_, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:a"), Tier: openapi.TierGPU, Device: device})
		if !is(err, openapi.CodeNotFound) || !strings.Contains(err.Error(), firstGPU) {
			t.Errorf("on %s: %v, want not_found and which there are", device, err)
		}
	}
}

// TestGPULease leases versions on a GPU: they stay until that ends.
func TestGPULease(t *testing.T) {
	w := newWorld(t)
	w.push("a")
	w.push("b", synth.ChangeLayers(2, 0, 1, 2, 3), synth.ReplaceHead(3))
	h, gpus := w.rack(nil, 8*mib)
	defer h.close()
	l := h.attach("a", node.LeaseOrder{Client: "one"})
	if m := h.model("a"); m.Leases != 1 || m.Tier != openapi.TierGPU {
		t.Errorf("leased: %+v", m)
	}
	for _, to := range []openapi.Tier{openapi.TierRAM, openapi.TierDisk, openapi.TierNone} {
		if r, err := h.Unload(t.Context(), ref("acme/llama:a"), to); !is(err, openapi.CodeConflict) {
			t.Errorf("unload to %s: %+v, %v", to, r, err)
		}
	}
	_, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:b"), Tier: openapi.TierGPU})
	if !is(err, openapi.CodeBusy) || !strings.Contains(err.Error(), "1 leases") {
		t.Errorf("load beside it: %v, want busy and who has the room", err)
	}
	if m := h.model("b"); m.Tier != openapi.TierRAM || m.Version == "" {
		t.Errorf("what found no room on the GPU: %+v", m)
	}
	l.Detach()
	h.load("b", openapi.TierGPU)
	if m := h.model("a"); m.Tier != openapi.TierRAM || m.Leases != 1 {
		t.Errorf("evicted while its client has nothing: %+v", m)
	}
	l.Acquire(0, 0)
	if a := <-l.Asks(); a.Image == nil || h.model("a").Tier != openapi.TierGPU {
		t.Errorf("acquired: %+v", a)
	}
	l.Release()
	l.Release()
	if c := h.Counters(); c.Hits.None != 1 || c.GPU.Loads == 0 {
		t.Errorf("counters %+v", c)
	}
	again := h.attach("a", node.LeaseOrder{})
	again.Release()
	if c := h.Counters(); c.Hits.GPU != 1 {
		t.Errorf("counters %+v", c)
	}
	gpus[0].check()
}

// TestGPUFollow moves a tag: who follows it is swapped, who does not is told, and
// the old version is gone when nobody uses it.
func TestGPUFollow(t *testing.T) {
	w := newWorld(t)
	first := w.push("prod")
	h, gpus := w.rack(func(c *node.Config) {
		c.Models = []node.Model{{Ref: ref("acme/llama:prod"), Tier: openapi.TierGPU, Watch: true}}
	}, 64*mib)
	defer h.close()
	until(t, "the configured load", func() bool { return h.model("prod").Tier == openapi.TierGPU })
	follows := h.attach("prod", node.LeaseOrder{Follow: true})
	stays := h.attach("prod", node.LeaseOrder{})
	parked := h.attach("prod", node.LeaseOrder{Follow: true})
	parked.Detach()
	second := w.push("prod", synth.ChangeLayers(7, 1))
	h.Changed(ref("acme/llama:prod"), second, node.Model{})
	if a := <-follows.Asks(); a.Image == nil || a.Image.Version != second {
		t.Fatalf("who follows got %+v", a)
	}
	if got := (<-stays.Moved()).Version; got != second || stays.Version() != first {
		t.Errorf("who does not follow heard of %s and has %s", got.Short(), stays.Version().Short())
	}
	until(t, "the new version is served", func() bool {
		m := h.model("prod")
		return m.Tier == openapi.TierGPU && m.Version == second.String() && len(m.Old) == 1 && m.Old[0].Leases == 1
	})
	if parked.Version() != second {
		t.Error("who follows and has nothing now would get the old version")
	}
	stays.Release()
	until(t, "the old version is gone", func() bool {
		s := h.Status()
		return s.Tiers.GPU.Models == 1 && s.Tiers.RAM.Models == 1 && s.Tiers.Disk.Models == 1
	})
	follows.Release()
	parked.Release()
	gpus[0].check()
}

// TestGPUFollowRefused has clients refuse to pause for the new version: they keep
// the old one, whole, until they do.
func TestGPUFollowRefused(t *testing.T) {
	w := newWorld(t)
	first := w.push("prod")
	h, gpus := w.rack(nil, 64*mib)
	defer h.close()
	l := h.attach("prod", node.LeaseOrder{Follow: true})
	gpus[0].refuses(fmt.Errorf("one %w", gpu.ErrPause))
	second := w.push("prod", synth.ChangeLayers(7, 1))
	h.load("prod", openapi.TierRAM)
	until(t, "the refusal", func() bool { return gpus[0].asked() > 0 && strings.Contains(h.model("prod").Error, "pause") })
	if l.Version() != first || h.Status().Tiers.Disk.Models != 2 {
		t.Error("who refuses to pause lost what he has")
	}
	gpus[0].refuses(nil)
	until(t, "the swap", func() bool { return l.Version() == second })
	until(t, "the old version is gone", func() bool { return h.Status().Tiers.Disk.Models == 1 && h.model("prod").Error == "" })
	l.Release()
	gpus[0].check()
}

// TestGPUSwap has the clients of one model use another, and back.
func TestGPUSwap(t *testing.T) {
	w := newWorld(t)
	w.push("a")
	w.push("b", synth.ChangeLayers(2, 0, 1, 2, 3), synth.ReplaceHead(3))
	h, gpus := w.rack(nil, 8*mib*4)
	defer h.close()
	if _, err := h.Swap(t.Context(), node.SwapOrder{From: ref("acme/llama:a"), To: ref("acme/llama:b")}); !is(err, openapi.CodeNotFound) {
		t.Errorf("swap of what is not there: %v", err)
	}
	if n := len(h.Status().Models); n != 0 {
		t.Errorf("%d models are known afterwards", n)
	}
	l := h.attach("a", node.LeaseOrder{})
	for i, step := range [][2]string{{"a", "b"}, {"b", "a"}} {
		r, err := h.Swap(t.Context(), node.SwapOrder{From: ref("acme/llama:" + step[0]), To: ref("acme/llama:" + step[1])})
		if err != nil || r.Leases != 1 || r.Device != firstGPU || r.From != "acme/llama:"+step[0] || r.To != "acme/llama:"+step[1] {
			t.Fatalf("%v: %+v, %v", step, r, err)
		}
		if a := <-l.Asks(); a.Image == nil || a.Image.Ref != r.To || l.Ref().String() != r.To || l.Version() != r.Version {
			t.Errorf("%v: the client got %+v", step, a)
		}
		from, to := h.model(step[0]), h.model(step[1])
		if from.Tier != openapi.TierRAM || from.Want != openapi.TierRAM || from.Leases != 0 || to.Tier != openapi.TierGPU || to.Leases != 1 || to.Want != openapi.TierGPU {
			t.Errorf("%v: %+v, %+v", step, from, to)
		}
		until(t, "the event", func() bool { return h.Counters().GPU.Swaps == uint64(i+1) })
	}
	gpus[0].refuses(fmt.Errorf("one %w", gpu.ErrPause))
	if _, err := h.Swap(t.Context(), node.SwapOrder{From: ref("acme/llama:a"), To: ref("acme/llama:b")}); !is(err, openapi.CodeBusy) || !strings.Contains(err.Error(), "did not pause in time") {
		t.Errorf("a swap that is refused: %v", err)
	}
	if l.Ref() != ref("acme/llama:a") || h.model("a").Tier != openapi.TierGPU || h.model("a").Want != openapi.TierGPU {
		t.Errorf("after that: %+v", h.model("a"))
	}
	l.Release()
	gpus[0].check()
}

// TestGPUSiblings moves one of two tags that are served from the same version: the
// other one stays on the GPU, and so does what a client has leased, where he gets it
// again.
func TestGPUSiblings(t *testing.T) {
	w := newWorld(t)
	first := w.push("prod")
	w.push("stable") // the same
	h, gpus := w.rack(nil, 64*mib)
	defer h.close()
	h.load("prod", openapi.TierGPU)
	h.load("stable", openapi.TierGPU)
	second := w.push("prod", synth.ChangeLayers(7, 1))
	h.load("prod", openapi.TierGPU)
	if s, p := h.model("stable"), h.model("prod"); s.Version != first.String() || s.Tier != openapi.TierGPU || p.Version != second.String() || p.Tier != openapi.TierGPU {
		t.Errorf("after one has moved: %+v, %+v", s, p)
	}
	l := h.attach("stable", node.LeaseOrder{})
	l.Detach()
	w.push("stable", synth.ChangeLayers(7, 1)) // as prod
	h.load("stable", openapi.TierRAM)
	until(t, "the tag has moved", func() bool { return h.model("stable").Version == second.String() && len(h.model("stable").Old) == 1 })
	time.Sleep(300 * time.Millisecond) // for what goes on behind that
	if s := h.Status(); s.Tiers.Disk.Models != 2 {
		t.Errorf("what a client has leased that has nothing mapped is not kept: %+v", s.Tiers)
	}
	if _, err := gpus[0].Unload(ledger.Key{Repo: l.Ref().Repo, Digest: first}); err != nil && !errors.Is(err, ledger.ErrUnknown) {
		t.Error(err)
	}
	w.gone.Store(true)
	l.Acquire(0, 0)
	if a := <-l.Asks(); a.Image == nil || a.Image.Version != first {
		t.Errorf("acquired what its tag has left, without a registry: %+v", a)
	}
	w.gone.Store(false)
	l.Release()
	until(t, "the first version is gone", func() bool { return h.Status().Tiers.Disk.Models == 1 })
	gpus[0].check()
}

// TestGPUIdle lets a version fall from the GPU first, after its time.
func TestGPUIdle(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	var ahead atomic.Int64
	h, gpus := w.rack(func(c *node.Config) {
		c.IdleGPU = time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}, 64*mib)
	defer h.close()
	l := h.attach("base", node.LeaseOrder{})
	ahead.Store(int64(2 * time.Hour))
	time.Sleep(1200 * time.Millisecond) // more than a tick
	if m := h.model("base"); m.Tier != openapi.TierGPU {
		t.Fatalf("what is in use fell to %s", m.Tier)
	}
	l.Detach()
	time.Sleep(1200 * time.Millisecond)
	if m := h.model("base"); m.Tier != openapi.TierGPU {
		t.Fatalf("what was just used fell to %s", m.Tier)
	}
	ahead.Store(int64(4 * time.Hour))
	until(t, "the fall", func() bool { m := h.model("base"); return m.Tier == openapi.TierRAM && m.Want == openapi.TierRAM })
	if c := h.Counters(); c.Idle.GPU != 1 {
		t.Errorf("counters %+v", c)
	}
	l.Release()
	gpus[0].check()
}

// TestGPURestart keeps which GPU a reference was on.
func TestGPURestart(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h, _ := w.rack(nil, 32*mib, 64*mib)
	if _, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:base"), Tier: openapi.TierGPU, Device: firstGPU}); err != nil {
		t.Fatal(err)
	}
	h.close()
	h, gpus := w.rack(nil, 32*mib, 64*mib)
	if m := h.model("base"); m.Tier != openapi.TierDisk || m.Want != openapi.TierGPU {
		t.Errorf("after the restart: %+v", m)
	}
	l := h.attach("base", node.LeaseOrder{})
	if m := h.model("base"); len(m.Devices) != 1 || m.Devices[0] != firstGPU {
		t.Errorf("it is on %v, want where it was", m.Devices)
	}
	l.Release()
	gpus[0].check()
	h.close()
}

// TestGPUStop stops a node under a lease: nothing leaves.
func TestGPUStop(t *testing.T) {
	w := newWorld(t)
	w.push("prod")
	h, gpus := w.rack(nil, 64*mib)
	l := h.attach("prod", node.LeaseOrder{})
	w.push("prod", synth.ChangeLayers(7, 1))
	h.load("prod", openapi.TierRAM)
	<-l.Moved()
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	k := l.Version()
	l.Release()
	if u := gpus[0].Usage(); u.Models == 0 {
		t.Errorf("version %s left a node that has stopped", k.Short())
	}
	if _, err := h.LeaseGPU(t.Context(), node.LeaseOrder{Ref: ref("acme/llama:other")}, nil); err == nil {
		t.Error("a node that has stopped leases")
	}
	h.close()
}

// TestNoGPU asks a node without GPUs for one: it says why, and keeps what should be
// there in RAM.
func TestNoGPU(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(func(c *node.Config) {
		c.GPUState, c.GPUMessage = openapi.GPUNoLibrary, "libcuda is not on this machine"
		c.Models = []node.Model{{Ref: ref("acme/llama:base"), Tier: openapi.TierGPU, Device: firstGPU}}
	})
	defer h.close()
	until(t, "the load into RAM", func() bool { return h.model("base").Tier == openapi.TierRAM })
	base := ref("acme/llama:base")
	_, load := h.Load(t.Context(), node.LoadOrder{Ref: base, Tier: openapi.TierGPU})
	_, lease := h.LeaseGPU(t.Context(), node.LeaseOrder{Ref: base}, nil)
	_, plan := h.Plan(t.Context(), node.LoadOrder{Ref: base, Tier: openapi.TierGPU})
	_, swap := h.Swap(t.Context(), node.SwapOrder{From: base, To: base})
	for _, err := range []error{load, lease, plan, swap} {
		if !is(err, openapi.CodeBadRequest) || !strings.Contains(err.Error(), "libcuda is not on this machine") {
			t.Errorf("%v, want bad_request and why", err)
		}
	}
	if s := h.Status().Tiers.GPU; s.State != openapi.GPUNoLibrary || s.Message == "" || s.Devices == nil || s.Budget != 0 {
		t.Errorf("the tier is %+v", s)
	}
}

// TestGPULargerThanRAM wants on a GPU what has no room in RAM, through which it
// comes.
func TestGPULargerThanRAM(t *testing.T) {
	w := newWorld(t)
	w.push("a")
	h, gpus := w.rack(func(c *node.Config) { c.RAMLimits.Bytes = 2 * mib }, 64*mib)
	defer h.close()
	_, load := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:a"), Tier: openapi.TierGPU})
	_, lease := h.LeaseGPU(t.Context(), node.LeaseOrder{Ref: ref("acme/llama:a")}, nil)
	_, plan := h.Plan(t.Context(), node.LoadOrder{Ref: ref("acme/llama:a"), Tier: openapi.TierGPU})
	for _, err := range []error{load, lease, plan} {
		if !is(err, openapi.CodeTooLarge) || !strings.Contains(err.Error(), "2.0 MiB") || !strings.Contains(err.Error(), "ram") {
			t.Errorf("%v, want too_large and why", err)
		}
	}
	if n := len(h.Status().Models); n != 0 {
		t.Errorf("%d models are known afterwards", n)
	}
	gpus[0].check()
}

// TestGPUHint loads into free room behind the call, and drives nobody out.
func TestGPUHint(t *testing.T) {
	w := newWorld(t)
	w.push("a")
	w.push("b", synth.ChangeLayers(2, 0, 1, 2, 3), synth.ReplaceHead(3))
	h, gpus := w.rack(func(c *node.Config) { c.RAMLimits.Bytes = 8 * mib }, 64*mib)
	defer h.close()
	hint := func(tag string) {
		t.Helper()
		r, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:" + tag), Tier: openapi.TierGPU, Hint: true})
		if err != nil || r.GPU != nil {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	hint("a")
	until(t, "the load", func() bool { return h.model("a").Tier == openapi.TierGPU })
	hint("b")
	until(t, "the end of the hint", func() bool { return len(h.Status().Models) == 1 })
	if m := h.model("a"); m.Tier != openapi.TierGPU || h.Status().Tiers.RAM.Models != 1 {
		t.Errorf("a hint drove %+v out of the RAM", m)
	}
	gpus[0].check()
}
