package integration_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/openapi"
)

// TestGPUFullFake has another program take the memory of the GPU: what does not fit
// is refused, and says who is to blame; what is there stays; and it goes on as soon
// as there is room.
func TestGPUFullFake(t *testing.T) {
	g := fakeGPU(t, 512*mib, 400*mib, "")
	for _, ref := range []string{modelA, tinyA} {
		g.load(ref, openapi.TierRAM)
	}
	g.onto(tinyA)
	h := g.attached(g.use(tinyA))
	hog := g.holder()
	hog.must(order{Do: "take", Bytes: 448 * mib})
	_, err := g.Load(t.Context(), openapi.LoadRequest{Ref: modelA, Tier: openapi.TierGPU, Device: g.uuid, Deadline: 0.5})
	refused(t, err, openapi.CodeBusy, modelA)
	h.must(order{Do: "check"})
	if m := g.model(modelA); m.Tier != openapi.TierRAM {
		t.Errorf("what was refused: %+v", m)
	}
	if used, want := g.fake.Used(0), int64(448*mib+tinySize); used != want {
		t.Errorf("after the refusal %d bytes are taken, want %d", used, want)
	}
	if now := g.gpu(); now.State != openapi.GPUReady || now.Used != tinySize || now.Restarts != 0 {
		t.Errorf("a GPU that another has filled: %+v", now)
	}
	hog.must(order{Do: "give"})
	g.onto(modelA)
	hog.must(order{Do: "attach", Lease: g.use(modelA)})
	for _, x := range []*holder{h, hog} {
		x.must(order{Do: "close"})
	}
	g.ended()
}

// TestGPUTooLargeFake loads versions that are larger than the budget, and than the
// GPU: they are refused at once, with the numbers.
func TestGPUTooLargeFake(t *testing.T) {
	for what, g := range map[string]*gpuNode{
		"the budget": fakeGPU(t, 512*mib, imageSize-2*mib, ""),
		"the GPU":    fakeGPU(t, imageSize-2*mib, 400*mib, ""),
	} {
		_, err := g.Load(t.Context(), openapi.LoadRequest{Ref: modelA, Tier: openapi.TierGPU, Device: g.uuid})
		refused(t, err, openapi.CodeTooLarge, modelA)
		if got := g.holder().try(order{Do: "attach", Lease: g.use(modelA)}); got.Error == "" {
			t.Errorf("a version that is larger than %s was leased", what)
		}
		g.onto(tinyA)
		h := g.attached(g.use(tinyA))
		_, err = g.Swap(t.Context(), openapi.SwapRequest{From: tinyA, To: modelA, Device: g.uuid})
		refused(t, err, openapi.CodeTooLarge, modelA)
		h.must(order{Do: "check"})
		h.must(order{Do: "close"})
		g.ended()
	}
}

// TestGPUStatesFake starts agents that are told to use a GPU where there is none.
// They say which it is, and serve from memory.
func TestGPUStatesFake(t *testing.T) {
	r := serveGPU(t)
	empty := filepath.Join(t.TempDir(), "libcuda.so.1")
	if err := os.WriteFile(empty, []byte("no library at all\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, budget, state string
		library             string // instead of the fake driver
		o                   cudatest.Options
	}{
		{"no library", "32MiB", openapi.GPUNoLibrary, filepath.Join(t.TempDir(), "gone.so"), cudatest.Options{}},
		{"a file that is none", "32MiB", openapi.GPUNoLibrary, empty, cudatest.Options{}},
		{"no driver", "32MiB", openapi.GPUNoDriver, "", cudatest.Options{Fail: "cuInit:1+=999"}},
		{"a driver that does not fit", "32MiB", openapi.GPUNoDriver, "", cudatest.Options{Fail: "cuInit:1+=803"}},
		{"no device", "32MiB", openapi.GPUNoDevice, "", cudatest.Options{Devices: -1}},
		{"another device", "GPU-01234567-89ab-cdef-0123-456789abcdef=32MiB", openapi.GPUNoDevice, "", cudatest.Options{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cudatest.Use(t, tt.o)
			if tt.library != "" {
				t.Setenv("INGOT_LIBCUDA", tt.library)
			}
			sub := *r
			sub.t = t
			n := sub.gpuNode("", "--gpu", tt.budget)
			if s := n.status().Tiers.GPU; s.State != tt.state || s.Message == "" || len(s.Devices) != 0 || s.Budget != 0 {
				t.Errorf("the tier: %+v", s)
			}
			_, err := n.Load(t.Context(), openapi.LoadRequest{Ref: tinyA, Tier: openapi.TierGPU})
			refused(t, err, openapi.CodeBadRequest, tinyA)
			if got := n.load(tinyA, openapi.TierRAM); got.Version.String() != versionOf(tinyA) {
				t.Errorf("into memory: %+v", got)
			}
			if err := n.stop(); err != nil {
				t.Errorf("it ends: %v", err)
			}
		})
	}
}

// TestGPUOffFake has an agent that was not told to use a GPU: it opens no driver.
func TestGPUOffFake(t *testing.T) {
	fake := cudatest.Use(t, cudatest.Options{Devices: 1, Memory: 64 * mib})
	n := serveGPU(t).gpuNode("")
	if s := n.status().Tiers.GPU; s.State != openapi.GPUOff || len(s.Devices) != 0 {
		t.Errorf("the tier: %+v", s)
	}
	_, err := n.Load(t.Context(), openapi.LoadRequest{Ref: tinyA, Tier: openapi.TierGPU})
	refused(t, err, openapi.CodeBadRequest, tinyA)
	if calls := fake.TotalCalls(); calls != 0 {
		t.Errorf("it has called the driver %d times", calls)
	}
}
