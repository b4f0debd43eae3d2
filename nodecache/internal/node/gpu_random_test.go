package node_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// TestGPURandom has many load, lease, swap, pin and unload versions on two GPUs that
// have room for some, while a tag moves to and fro. In the end nobody is left with
// anything, and everything can be taken out.
func TestGPURandom(t *testing.T) {
	w := newWorld(t)
	tags := []string{"a", "b", "c"}
	a := w.push("a")
	b := w.push("b", synth.ChangeLayers(2, 0, 1))
	w.push("c", synth.ChangeLayers(3, 2, 3))
	w.push("moving") // as a
	h, gpus := w.rack(func(c *node.Config) { c.RAMLimits.Bytes, c.Wait = 24*mib, 5*time.Second }, 8*mib, 12*mib)
	defer h.close()
	moving := ref("acme/llama:moving")
	h.Changed(moving, a, node.Model{Tier: openapi.TierGPU, Watch: true})
	tags = append(tags, "moving")
	var wg sync.WaitGroup
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range 6 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 60 {
				h.anything(r, tags)
			}
		})
	}
	wg.Go(func() {
		r := rand.New(rand.NewPCG(seed, 99))
		for range 40 {
			to := a
			if r.IntN(2) == 0 {
				to = b
			}
			h.Changed(moving, to, node.Model{})
			g := gpus[r.IntN(2)]
			g.refuses(nil)
			if r.IntN(4) == 0 {
				g.refuses(fmt.Errorf("one %w", gpu.ErrPause))
			}
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		}
		for _, g := range gpus {
			g.refuses(nil)
		}
	})
	wg.Wait()
	h.Changed(moving, a, node.Model{})
	until(t, "the tag comes to rest", func() bool {
		m := h.model("moving")
		return m.Version == a.String() && len(m.Old) == 0 && m.Leases == 0
	})
	for _, tag := range tags {
		until(t, "the end of "+tag, func() bool {
			_, err := h.Pin(t.Context(), ref("acme/llama:"+tag), false)
			if err == nil {
				_, err = h.Unload(t.Context(), ref("acme/llama:"+tag), openapi.TierNone)
			}
			return err == nil || is(err, openapi.CodeNotFound)
		})
	}
	until(t, "all is out", func() bool {
		s := h.Status()
		return s.Tiers.RAM.Used == 0 && s.Tiers.GPU.Used == 0 && s.Tiers.Disk.Models == 0
	})
	for _, g := range gpus {
		g.check()
	}
}

// anything does something with a tag. Whether it works depends on what the others
// do: what is refused is refused with a code.
func (h *house) anything(r *rand.Rand, tags []string) {
	ctx, tag := h.w.t.Context(), tags[r.IntN(len(tags))]
	device := []string{"", firstGPU, secondGPU}[r.IntN(3)]
	var err error
	switch r.IntN(7) {
	case 0, 1:
		err = h.useGPU(r, node.LeaseOrder{Ref: ref("acme/llama:" + tag), Device: device, Follow: r.IntN(2) == 0, Deadline: time.Second})
	case 2:
		_, err = h.Load(ctx, node.LoadOrder{Ref: ref("acme/llama:" + tag), Tier: openapi.TierGPU, Device: device, Deadline: time.Second, Hint: r.IntN(3) == 0})
	case 3:
		to := tags[r.IntN(len(tags))]
		_, err = h.Swap(ctx, node.SwapOrder{From: ref("acme/llama:" + tag), To: ref("acme/llama:" + to), Device: device, Deadline: time.Second})
	case 4:
		_, err = h.Unload(ctx, ref("acme/llama:"+tag), openapi.Tier(r.IntN(3)))
	case 5:
		_, err = h.Pin(ctx, ref("acme/llama:"+tag), r.IntN(2) == 0)
	case 6:
		h.Status()
		h.Residents()
	}
	if is(err, openapi.CodeInternal) {
		h.w.t.Errorf("%s on %s: %v", tag, device, err)
	}
}

// useGPU leases a version on a GPU, and lets go of it and takes it again.
func (h *house) useGPU(r *rand.Rand, o node.LeaseOrder) error {
	l, err := h.LeaseGPU(h.w.t.Context(), o, nil)
	if err != nil {
		return err
	}
	defer l.Release()
	for range r.IntN(3) {
		time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond)
		l.Detach()
		l.Acquire(0, time.Second)
	}
	return nil
}
