package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/openapi"
)

const mib = 1 << 20

// The sizes of the images: see gpuFamily.
const (
	slabOf4   = 66 * mib // four layers of 16 MiB, and their norms
	slabOf1   = 18 * mib
	imageSize = 2*slabOf4 + slabOf1
	otherSize = 50 * mib
	tinySize  = 4 * mib
)

// gpuNode is an agent with a GPU, which is the fake driver's.
type gpuNode struct {
	*node
	fake  *cudatest.State
	known string // what versions hold
	uuid  string // of the first device
}

// fakeGPU starts an agent with a fake GPU of that much memory, of which the agent
// may take a part.
func fakeGPU(t *testing.T, memory, budget int64, file string, args ...string) *gpuNode {
	t.Helper()
	return fakeGPUOf(t, cudatest.Options{Memory: memory}, nil, budget, file, args...)
}

// fakeGPUOf is fakeGPU with a driver of these options and a registry that was prepared.
func fakeGPUOf(t *testing.T, o cudatest.Options, prepare func(*registry), budget int64, file string, args ...string) *gpuNode {
	t.Helper()
	fake := cudatest.Use(t, o)
	r := serveGPU(t)
	if prepare != nil {
		prepare(r)
	}
	args = append([]string{"--gpu", fmt.Sprint(budget)}, args...)
	g := &gpuNode{node: r.gpuNode(file, args...), fake: fake, known: gpuFamily.known}
	g.untilGPU(openapi.GPUReady)
	g.uuid = g.gpu().UUID
	return g
}

// gpuNode starts an agent with room for the models.
func (r *registry) gpuNode(file string, args ...string) *node {
	r.t.Helper()
	n := r.node(file, append([]string{"--disk", "2GiB", "--ram", "1GiB", "--gpu-headroom", "none"}, args...)...)
	r.t.Cleanup(func() {
		if r.t.Failed() {
			n.kill()
			r.t.Logf("the agent said:\n%s", n.log)
		}
	})
	return n
}

// gpu returns what the agent says of its first GPU.
func (g *gpuNode) gpu() openapi.GPUDevice {
	g.t.Helper()
	s := g.status().Tiers.GPU
	if len(s.Devices) == 0 {
		g.t.Fatalf("the agent has no GPU: %+v", s)
	}
	return s.Devices[0]
}

// untilGPU waits until the first GPU is in a state.
func (g *gpuNode) untilGPU(state string) {
	g.t.Helper()
	g.until("its GPU is "+state, func() error {
		s := g.status().Tiers.GPU
		if len(s.Devices) == 0 || s.Devices[0].State != state {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
}

// onto loads a version onto the GPU.
func (g *gpuNode) onto(ref string) openapi.SwapReceipt {
	g.t.Helper()
	got, err := g.Load(g.t.Context(), openapi.LoadRequest{Ref: ref, Tier: openapi.TierGPU, Device: g.uuid})
	if err != nil {
		g.t.Fatalf("load %s: %v", ref, err)
	}
	if got.GPU == nil || got.Tier != openapi.TierGPU {
		g.t.Fatalf("load %s says nothing of the GPU: %+v", ref, got)
	}
	return *got.GPU
}

// swap has those who use one version use another.
func (g *gpuNode) swap(from, to string) openapi.SwapReceipt {
	g.t.Helper()
	got, err := g.Swap(g.t.Context(), openapi.SwapRequest{From: from, To: to, Device: g.uuid, Deadline: patience.Seconds()})
	if err != nil {
		g.t.Fatalf("swap %s to %s: %v", from, to, err)
	}
	return got
}

// use is the lease of a version on the GPU.
func (g *gpuNode) use(ref string) openapi.LeaseRequest {
	return openapi.LeaseRequest{Ref: ref, Tier: openapi.TierGPU, Device: g.uuid, Deadline: patience.Seconds(), Client: "holder"}
}

// traffic is bytes and copies that the driver has counted.
type traffic struct{ up, within, copies int64 }

func (g *gpuNode) traffic() traffic {
	return traffic{g.fake.Bytes(cudatest.H2D), g.fake.Bytes(cudatest.D2D), int64(g.fake.Copies(cudatest.H2D) + g.fake.Copies(cudatest.D2D))}
}

// moved compares a receipt with what the driver has counted since, and with what it
// should have been.
func (g *gpuNode) moved(got openapi.SwapReceipt, before traffic, want openapi.SwapReceipt) {
	g.t.Helper()
	now := g.traffic()
	real := traffic{now.up - before.up, now.within - before.within, now.copies - before.copies}
	said := traffic{got.BytesUploaded, got.BytesDeviceCopied, int64(got.Copies)}
	if real != said {
		g.t.Errorf("the driver has counted %+v, the receipt says %+v", real, said)
	}
	if want.BytesTotal == 0 {
		want.BytesTotal = want.BytesUploaded + want.BytesDeviceCopied + want.BytesReused
	}
	if got.QueuedMS < 0 || got.PausedMS < 0 || got.TotalMS < got.PausedMS {
		g.t.Errorf("times of %+v", got)
	}
	want.From, want.To, want.FromVersion, want.Version, want.Device = got.From, got.To, got.FromVersion, got.Version, g.uuid
	want.QueuedMS, want.PausedMS, want.TotalMS, want.Copies = got.QueuedMS, got.PausedMS, got.TotalMS, got.Copies
	if got != want {
		g.t.Errorf("receipt: %+v\nwant     %+v", got, want)
	}
}

// untilUsed waits until the driver counts so many bytes as taken.
func (g *gpuNode) untilUsed(bytes int64) {
	g.t.Helper()
	g.until(fmt.Sprintf("%d bytes of the GPU are taken", bytes), func() error {
		if used := g.fake.Used(0); used != bytes {
			return fmt.Errorf("%d are", used)
		}
		return nil
	})
}

// untilFreed unloads a version, as soon as the agent has noticed that nobody uses it.
func (g *gpuNode) untilFreed(ref string) openapi.UnloadReceipt {
	g.t.Helper()
	var got openapi.UnloadReceipt
	g.until("nobody uses "+ref, func() (err error) {
		got, err = g.Unload(g.t.Context(), openapi.UnloadRequest{Ref: ref, Tier: openapi.TierRAM})
		return err
	})
	return got
}

// leases returns how many leases the agent knows for a reference.
func (g *gpuNode) untilLeases(ref string, n int) {
	g.t.Helper()
	g.until(fmt.Sprintf("%s has %d leases", ref, n), func() error {
		if got := g.model(ref).Leases; got != n {
			return fmt.Errorf("it has %d", got)
		}
		return nil
	})
}

// ended stops the agent and wants nothing of it left on the GPU, nor of its holders.
func (g *gpuNode) ended() {
	g.t.Helper()
	if err := g.stop(); err != nil {
		g.t.Errorf("the agent ends: %v\n%s", err, g.log)
	}
	deadline := time.Now().Add(patience / 4)
	for {
		err := g.nothingLeft()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			g.t.Error(err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// nothingLeft reports what the driver still has.
func (g *gpuNode) nothingLeft() error {
	for _, p := range g.fake.Live() {
		if !p.Empty() || p.Contexts > 0 {
			return fmt.Errorf("a process has left on the driver: %+v", p)
		}
	}
	if used := g.fake.Used(0); used != 0 {
		return fmt.Errorf("%d bytes of the GPU are taken, by nobody", used)
	}
	return nil
}
