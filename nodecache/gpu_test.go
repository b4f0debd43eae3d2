//go:build linux

package nodecache_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/integration/gpuclient"
	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestFakeGPU takes a model the whole way: to the GPU, to a client, over to a
// variant and to another model, and back, until nothing is left of it.
func TestFakeGPU(t *testing.T) {
	b := newBench(t, cudatest.Options{Memory: 256 * mib})
	b.push("acme/base:main")
	b.push("acme/variant:main", synth.ChangeLayers(2, 1))
	stop := b.serve()
	r := b.load("acme/base:main")
	uuid := b.driver.Devices()[0].UUID().String()
	if r.GPU == nil || r.GPU.Kind != openapi.SwapLoad || r.GPU.Device != uuid || r.GPU.BytesUploaded != r.GPU.BytesTotal || r.Sources.Registry != r.BytesTotal {
		t.Fatalf("load: %+v, %+v", r, r.GPU)
	}
	s := b.status()
	if g := s.Tiers.GPU; g.State != openapi.GPUReady || g.Models != 1 || len(g.Devices) != 1 || g.Devices[0].Used != g.Used || g.Devices[0].State != openapi.DeviceReady ||
		g.Devices[0].Total != 256*mib || g.Devices[0].Free == 0 || g.Budget != 64*mib {
		t.Errorf("the tier is %+v", g)
	}
	if m := model(s, "acme/base:main"); m.Tier != openapi.TierGPU || len(m.Devices) != 1 || m.BytesOwn == 0 {
		t.Errorf("the model is %+v", m)
	}
	l := b.attach(openapi.LeaseRequest{Ref: "acme/base:main"})
	b.settled(l, 1)
	before := l.State().Address
	if _, err := b.agent.Unload(t.Context(), openapi.UnloadRequest{Ref: "acme/base:main", Tier: openapi.TierRAM}); !errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}) {
		t.Errorf("unload of what is in use: %v", err)
	}
	for i, step := range [][2]string{{"base", "variant"}, {"variant", "base"}} {
		r, err := b.agent.Swap(t.Context(), openapi.SwapRequest{From: "acme/" + step[0] + ":main", To: "acme/" + step[1] + ":main"})
		if err != nil || r.Leases != 1 || r.Device != uuid || r.BytesUploaded+r.BytesDeviceCopied+r.BytesReused != r.BytesTotal {
			t.Fatalf("%v: %+v, %v", step, r, err)
		}
		if r.Kind == openapi.SwapInPlace && r.BytesUploaded >= r.BytesTotal {
			t.Errorf("%v: all was uploaded: %+v", step, r)
		}
		b.settled(l, 2+i)
		if l.State().Address != before {
			t.Errorf("%v: the image has moved", step)
		}
		if m := model(b.status(), "acme/"+step[1]+":main"); m.Leases != 1 || m.Tier != openapi.TierGPU {
			t.Errorf("%v: %+v", step, m)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for _, ref := range []string{"acme/base:main", "acme/variant:main"} {
		until(t, b.agent, "the end of the lease", func(openapi.NodeStatus) bool {
			_, err := b.agent.Unload(t.Context(), openapi.UnloadRequest{Ref: ref})
			return err == nil
		})
	}
	s = b.status()
	if s.Tiers.GPU.Used != 0 || s.Tiers.RAM.Used != 0 || len(s.Models) != 0 {
		t.Errorf("after the unload: %+v", s)
	}
	stop()
	if used := b.fake.Used(0); used != 0 {
		t.Errorf("%d bytes of the GPU are used after all has ended", used)
	}
}

// TestFakeGPUFollow moves a tag: a client that follows it is swapped.
func TestFakeGPUFollow(t *testing.T) {
	b := newBench(t, cudatest.Options{Memory: 256 * mib})
	b.push("acme/llama:prod")
	prod, err := name.ParseRef("acme/llama:prod")
	if err != nil {
		t.Fatal(err)
	}
	b.config.Models = []nodecache.Model{{Ref: prod, Tier: openapi.TierGPU, Watch: true, Device: b.driver.Devices()[0].UUID().String()}}
	defer b.serve()()
	until(t, b.agent, "the configured load", func(s openapi.NodeStatus) bool {
		return model(s, "acme/llama:prod").Tier == openapi.TierGPU && s.Registry.Following == "events"
	})
	follows := b.attach(openapi.LeaseRequest{Ref: "acme/llama:prod", Follow: true})
	stays := b.attach(openapi.LeaseRequest{Ref: "acme/llama:prod"})
	b.push("acme/llama:prod", synth.ChangeLayers(5, 1))
	b.settled(follows, 2)
	if err := stays.Await(t.Context(), func(s gpuclient.State) bool { return s.Moved != "" }); err != nil {
		t.Fatal(err)
	}
	if s := stays.State(); s.Images != 1 || s.Pauses != 0 || s.Version == follows.State().Version {
		t.Errorf("who does not follow: %+v", s)
	}
	until(t, b.agent, "the new version", func(s openapi.NodeStatus) bool {
		m := model(s, "acme/llama:prod")
		return m.Tier == openapi.TierGPU && m.Version == follows.State().Version && len(m.Old) == 1
	})
	if err := stays.Close(); err != nil {
		t.Error(err)
	}
	until(t, b.agent, "the old version is gone", func(s openapi.NodeStatus) bool {
		return s.Tiers.GPU.Models == 1 && len(model(s, "acme/llama:prod").Old) == 0
	})
	if err := follows.Close(); err != nil {
		t.Error(err)
	}
}

// TestFakeGPUPatch has RAM for one version alone: the next comes into its memory, and
// onto the GPU goes what differs, while a client follows.
func TestFakeGPUPatch(t *testing.T) {
	b := newBench(t, cudatest.Options{Memory: 256 * mib})
	b.spec, b.config.RAM = few, 6*mib
	b.push("acme/llama:prod")
	defer b.serve()()
	first := b.load("acme/llama:prod")
	l := b.attach(openapi.LeaseRequest{Ref: "acme/llama:prod", Follow: true})
	b.push("acme/llama:prod", synth.ChangeLayers(5, 1))
	r := b.load("acme/llama:prod")
	if r.BytesPatched == 0 || r.BytesPatched > r.BytesTotal*2/3 {
		t.Errorf("%d of %d bytes were patched", r.BytesPatched, r.BytesTotal)
	}
	if r.GPU.Kind != openapi.SwapInPlace || r.GPU.BytesUploaded == 0 || r.GPU.BytesUploaded > r.BytesPatched || r.GPU.BytesUploaded > first.GPU.BytesUploaded/2 {
		t.Errorf("onto the GPU went %+v, after %d bytes of the first", r.GPU, first.GPU.BytesUploaded)
	}
	b.settled(l, 2)
	if s := b.status(); s.Deltas.Patches != 1 || s.Tiers.RAM.Used > s.Tiers.RAM.Budget || s.Tiers.RAM.Models != 1 {
		t.Errorf("%+v, in %+v", s.Deltas, s.Tiers.RAM)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestFakeGPURestart ends a node under a client, which keeps what it has mapped. The
// next node knows where the model was, and has the memory for itself.
func TestFakeGPURestart(t *testing.T) {
	b := newBench(t, cudatest.Options{Devices: 2, Memory: 256 * mib})
	b.push("acme/llama:prod")
	second := b.driver.Devices()[1].UUID().String()
	stop := b.serve()
	l := b.attach(openapi.LeaseRequest{Ref: "acme/llama:prod", Device: second})
	err := l.Use(func(v *gpuclient.View) error {
		stop()
		return b.check(v)
	})
	if err != nil {
		t.Errorf("the client of a node that has ended: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if used := b.fake.Used(1); used != 0 {
		t.Errorf("%d bytes of the GPU are used when the node and its client have ended", used)
	}
	stop = b.serve()
	if m := model(b.status(), "acme/llama:prod"); m.Tier != openapi.TierDisk || m.Want != openapi.TierGPU {
		t.Errorf("after the restart: %+v", m)
	}
	if r := b.load("acme/llama:prod"); r.GPU.Device != second || r.BytesReceived != 0 {
		t.Errorf("it is on %s, want where it was: %+v", r.GPU.Device, r)
	}
	l = b.attach(openapi.LeaseRequest{Ref: "acme/llama:prod", Device: second})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	stop()
	if used := b.fake.Used(1); used != 0 {
		t.Errorf("%d bytes of the GPU are used after all has ended", used)
	}
}

// TestFakeGPUMoverKilled kills the mover: images and leases stay, and the next one
// goes on.
func TestFakeGPUMoverKilled(t *testing.T) {
	b := newBench(t, cudatest.Options{Memory: 256 * mib})
	b.push("acme/base:main")
	b.push("acme/variant:main", synth.ChangeLayers(2, 1))
	defer b.serve()()
	b.load("acme/base:main")
	l := b.attach(openapi.LeaseRequest{Ref: "acme/base:main"})
	if n := killMovers(t); n != 1 {
		t.Fatalf("%d movers were killed", n)
	}
	if err := l.Use(b.check); err != nil {
		t.Errorf("after the death of the mover: %v", err)
	}
	if r, err := b.agent.Swap(t.Context(), openapi.SwapRequest{From: "acme/base:main", To: "acme/variant:main"}); err != nil || r.Leases != 1 {
		t.Errorf("swap by the next mover: %+v, %v", r, err)
	}
	b.settled(l, 2)
	until(t, b.agent, "the restart", func(s openapi.NodeStatus) bool {
		d := s.Tiers.GPU.Devices[0]
		return d.State == openapi.DeviceReady && d.Restarts == 1
	})
	if s := l.State(); s.Lost != 0 || s.Error != "" {
		t.Errorf("the client: %+v", s)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestFakeGPUFull fills a GPU: by leases, by another process, and by what is larger
// than the GPU.
func TestFakeGPUFull(t *testing.T) {
	b := newBench(t, cudatest.Options{Memory: 64 * mib})
	b.config.GPU = []nodecache.GPUBudget{{Bytes: 32 * mib}}
	b.push("acme/base:main")
	b.push("else/other:main", synth.ChangeLayers(2, 0, 1, 2, 3))
	defer b.serve()()
	load := func(ref string) error {
		_, err := b.agent.Load(t.Context(), openapi.LoadRequest{Ref: ref, Tier: openapi.TierGPU, Deadline: 0.2})
		return err
	}
	if _, err := b.agent.Load(t.Context(), openapi.LoadRequest{Ref: "else/other:main", Tier: openapi.TierRAM}); err != nil {
		t.Fatal(err)
	}
	l := b.attach(openapi.LeaseRequest{Ref: "acme/base:main"})
	if err := load("else/other:main"); !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) || !strings.Contains(err.Error(), "acme/base@") {
		t.Errorf("beside a lease: %v, want busy and who has the room", err)
	}
	if err := l.Use(b.check); err != nil {
		t.Errorf("the lease: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if r := b.load("else/other:main"); r.GPU.Kind != openapi.SwapLoad {
		t.Errorf("%+v", r.GPU)
	}
	if _, err := b.agent.Unload(t.Context(), openapi.UnloadRequest{Ref: "else/other:main", Tier: openapi.TierRAM}); err != nil {
		t.Error(err)
	}
	release := b.fake.Occupy(0, 50*mib)
	if err := load("acme/base:main"); !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) || !strings.Contains(err.Error(), "others use") {
		t.Errorf("beside another process: %v, want busy and why", err)
	}
	release()
	b.load("acme/base:main")
}

// TestFakeGPUShared has two clients take turns on a GPU that has room for one of
// their models.
func TestFakeGPUShared(t *testing.T) {
	b := newBench(t, cudatest.Options{Memory: 256 * mib})
	b.config.GPU, b.config.GPUSlice = []nodecache.GPUBudget{{Bytes: 32 * mib}}, 10*time.Millisecond
	b.push("acme/base:main")
	b.push("else/other:main", synth.ChangeLayers(2, 0, 1, 2, 3))
	defer b.serve()()
	first := b.attach(openapi.LeaseRequest{Ref: "acme/base:main", Yield: true})
	second := b.attach(openapi.LeaseRequest{Ref: "else/other:main", Yield: true})
	clients, refs := []*gpuclient.Lease{first, second}, []string{"acme/base:main", "else/other:main"}
	for turn := range 6 {
		comes, goes := clients[turn%2], clients[1-turn%2]
		if err := comes.Await(t.Context(), func(s gpuclient.State) bool { return s.Version == "" }); err != nil {
			t.Fatal(err)
		}
		if err := comes.Acquire(t.Context(), openapi.LeaseAcquire{}); err != nil {
			t.Fatal(err)
		}
		b.settled(comes, 2+turn/2)
		if s := goes.State(); s.Version != "" || s.Reason != openapi.PauseRoom {
			t.Errorf("turn %d: who had to go has %+v", turn, s)
		}
		s := b.status()
		if m := model(s, refs[turn%2]); m.Tier != openapi.TierGPU || s.Tiers.GPU.Models != 1 {
			t.Errorf("turn %d: %+v", turn, m)
		}
		if m := model(s, refs[1-turn%2]); m.Tier != openapi.TierRAM || m.Leases != 1 {
			t.Errorf("turn %d: who had to go: %+v", turn, m)
		}
	}
	for _, l := range clients {
		if s := l.State(); s.Lost+s.Denied != 0 {
			t.Errorf("a client was refused: %+v", s)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFakeGPUTooLarge wants what never fits.
func TestFakeGPUTooLarge(t *testing.T) {
	b := newBench(t, cudatest.Options{})
	b.config.GPU = []nodecache.GPUBudget{{Bytes: 8 * mib}}
	b.push("acme/base:main")
	defer b.serve()()
	_, err := b.agent.Load(t.Context(), openapi.LoadRequest{Ref: "acme/base:main", Tier: openapi.TierGPU})
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeTooLarge}) {
		t.Errorf("%v, want too_large", err)
	}
	if m := model(b.status(), "acme/base:main"); m.Tier != openapi.TierRAM {
		t.Errorf("afterwards: %+v", m)
	}
}

// TestFakeGPUFails has the driver fail for good, and work again: who uses the GPU is
// told, the other tiers serve, and what should be there comes back.
func TestFakeGPUFails(t *testing.T) {
	b := newBench(t, cudatest.Options{Memory: 256 * mib})
	b.push("acme/base:main")
	base, err := name.ParseRef("acme/base:main")
	if err != nil {
		t.Fatal(err)
	}
	b.config.Models = []nodecache.Model{{Ref: base, Tier: openapi.TierGPU}}
	defer b.serve()()
	there := func(s openapi.NodeStatus) bool { return model(s, "acme/base:main").Tier == openapi.TierGPU }
	until(t, b.agent, "the configured load", there)
	l := b.attach(openapi.LeaseRequest{Ref: "acme/base:main"})
	b.fake.Reset("cuInit:1+=999")
	if n := killMovers(t); n != 1 {
		t.Fatalf("%d movers were killed", n)
	}
	if err := l.Await(t.Context(), func(s gpuclient.State) bool { return s.Lost == 1 }); err != nil {
		t.Fatal(err)
	}
	until(t, b.agent, "the failure", func(s openapi.NodeStatus) bool {
		d := s.Tiers.GPU.Devices[0]
		return d.State == openapi.DeviceFailed && d.Message != "" && d.Used == 0 && model(s, "acme/base:main").Tier == openapi.TierRAM
	})
	_, err = b.agent.Load(t.Context(), openapi.LoadRequest{Ref: "acme/base:main", Tier: openapi.TierGPU})
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) {
		t.Errorf("load onto a GPU that does not work: %v", err)
	}
	b.fake.Reset("")
	until(t, b.agent, "the model is back", there)
	if err := l.Acquire(t.Context(), openapi.LeaseAcquire{}); err != nil {
		t.Errorf("the lease is not to be had again: %v", err)
	}
	b.settled(l, 2)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestFakeGPUStates opens nodes where GPUs are missing, or not as the configuration
// says: they serve what they can, and say what it is.
func TestFakeGPUStates(t *testing.T) {
	const stranger = "GPU-01234567-89ab-cdef-0123-456789abcdef"
	for _, c := range []struct {
		name    string
		machine cudatest.Options
		gpu     []nodecache.GPUBudget
		state   string
		message string
		budget  int64
	}{
		{"off", cudatest.Options{}, nil, openapi.GPUOff, "", 0},
		{"no device", cudatest.Options{Devices: -1}, []nodecache.GPUBudget{{Bytes: mib}}, openapi.GPUNoDevice, "", 0},
		{"another", cudatest.Options{}, []nodecache.GPUBudget{{UUID: stranger, Bytes: mib}}, openapi.GPUNoDevice, "no GPU " + stranger, 0},
		{"one of two", cudatest.Options{}, []nodecache.GPUBudget{{UUID: stranger, Bytes: mib}, {Bytes: 32 * mib}}, openapi.GPUReady, "no GPU " + stranger, 32 * mib},
		{"too much", cudatest.Options{Memory: 64 * mib}, []nodecache.GPUBudget{{Bytes: 1024 * mib}}, openapi.GPUReady, "instead of 1073741824", 56 * mib},
		{"all for others", cudatest.Options{Memory: 8 * mib}, []nodecache.GPUBudget{{Bytes: mib}}, openapi.GPUNoDevice, "left to others", 0},
		{"broken", cudatest.Options{Fail: "cuInit:1+=999"}, []nodecache.GPUBudget{{Bytes: mib}}, openapi.GPUNoDriver, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			cudatest.Use(t, c.machine)
			a, stop := serveNode(t, nodecache.Config{
				Data: t.TempDir(), Disk: 64 * mib, RAM: 64 * mib, GPU: c.gpu, GPUHeadroom: 8 * mib, MoverCommand: []string{os.Args[0], "mover"},
			})
			defer stop()
			s, err := a.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			g := s.Tiers.GPU
			if g.State != c.state || !strings.Contains(g.Message, c.message) || g.Budget != c.budget || g.Devices == nil || s.Tiers.RAM.Budget == 0 {
				t.Errorf("the tier is %+v", g)
			}
			_, err = a.Load(t.Context(), openapi.LoadRequest{Ref: "acme/llama", Tier: openapi.TierGPU})
			if want := c.state != openapi.GPUReady; want != errors.Is(err, &openapi.Error{Code: openapi.CodeBadRequest}) {
				t.Errorf("load onto a GPU: %v", err)
			}
		})
	}
}

// TestFakeGPUWithoutMover has a mover that cannot be run.
func TestFakeGPUWithoutMover(t *testing.T) {
	b := newBench(t, cudatest.Options{})
	b.config.MoverCommand = []string{filepath.Join(t.TempDir(), "nothing")}
	defer b.serve()()
	if g := b.status().Tiers.GPU; g.State != openapi.GPUNoDevice || !strings.Contains(g.Message, "mover") {
		t.Errorf("the tier is %+v", g)
	}
}
