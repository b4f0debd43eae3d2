package integration_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/openapi"
)

// mover returns the process that moves bytes for the agent, 0 if there is none now.
func (g *gpuNode) mover() int {
	g.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, path := range dirs {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		_, after, _ := strings.Cut(string(content), ") ")
		fields := strings.Fields(after)
		if len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(g.cmd.Process.Pid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // it is a number by the pattern
			return pid
		}
	}
	return 0
}

// killMover kills the mover, and returns whether there was one.
func (g *gpuNode) killMover() bool {
	g.t.Helper()
	pid := g.mover()
	return pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// gpuRounds is how often the loop below kills a mover: a few times in every run, more
// often with "make crash".
func gpuRounds(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("INGOT_CRASH_GPU_ROUNDS"), "6"))
	if err != nil || n < 1 {
		t.Fatalf("INGOT_CRASH_GPU_ROUNDS: want a number from 1: %v", err)
	}
	return n
}

// TestGPUMoverKilledFake kills the mover at random moments of swaps. Each of them is
// done or refused; those who use the version have one of the two whole, or are told
// that it is gone and get it again; and those who use another do not notice.
func TestGPUMoverKilledFake(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	slow := cudatest.Options{GBps: 0.5} // so that a swap takes as long as the wait below
	g := fakeGPUOf(t, slow, nil, 400*mib, "")
	for _, ref := range []string{modelA, modelB, tinyA} {
		g.load(ref, openapi.TierRAM)
	}
	g.onto(tinyA)
	elsewhere := g.attached(g.use(tinyA))
	g.onto(modelA)
	h := g.attached(g.use(modelA))
	from, to := modelA, modelB
	failed, lost := 0, 0
	for range gpuRounds(t) {
		swapped := make(chan error, 1)
		go func() {
			_, err := g.Swap(t.Context(), openapi.SwapRequest{From: from, To: to, Device: g.uuid, Deadline: patience.Seconds()})
			swapped <- err
		}()
		time.Sleep(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
		g.killMover()
		err := <-swapped
		if err == nil {
			from, to = to, from
		} else {
			failed++
		}
		g.untilGPU(openapi.GPUReady)
		if g.settled(h) {
			lost++
		}
		if now := h.must(order{Do: "check"}).State; now.Version != versionOf(from) {
			t.Fatalf("after a swap that ended with %v: %+v", err, now)
		}
		elsewhere.must(order{Do: "check"})
	}
	t.Logf("%d swaps failed, %d times the image was gone, the mover was started %d times again", failed, lost, g.gpu().Restarts)
	if g.gpu().Restarts == 0 {
		t.Error("no mover was killed")
	}
	if now := elsewhere.must(order{Do: "check"}).State; now.Images != 1 || now.Lost != 0 || now.Pauses != 0 {
		t.Errorf("who has nothing to do with it: %+v", now)
	}
	if got := g.swap(from, to); got.Leases != 1 {
		t.Errorf("the last swap: %+v", got)
	}
	h.must(order{Do: "close"})
	elsewhere.must(order{Do: "close"})
	g.ended()
}

// settled waits until a holder has an image, whatever it takes, and returns whether
// it was lost on the way.
func (g *gpuNode) settled(h *holder) (lost bool) {
	g.t.Helper()
	was := h.must(order{Do: "state"}).State.Lost
	g.until("the holder has an image", func() error {
		now := h.must(order{Do: "state"}).State
		if now.Version != "" {
			return nil
		}
		if !now.Paused {
			lost = true
			if got := h.try(order{Do: "acquire", Acquire: openapi.LeaseAcquire{Deadline: patience.Seconds()}}); got.Error == "" {
				return nil
			}
		}
		return fmt.Errorf("it is %+v", now)
	})
	return lost || h.must(order{Do: "state"}).State.Lost > was
}

// TestGPUAgentCrashFake kills an agent while versions on its GPU are in use. Those
// who use them keep them, byte for byte, and lease them again from the next agent.
func TestGPUAgentCrashFake(t *testing.T) {
	g := fakeGPU(t, 1024*mib, 400*mib, "")
	for _, ref := range []string{modelA, modelB} {
		g.load(ref, openapi.TierRAM)
	}
	g.onto(modelA)
	stays, leaves := g.attached(g.use(modelA)), g.attached(g.use(modelA))
	for range 2 {
		mover := g.mover()
		g.kill()
		for _, h := range []*holder{stays, leaves} {
			if now := h.must(order{Do: "check"}).State; now.Version != versionOf(modelA) {
				t.Errorf("after the agent's death: %+v", now)
			}
		}
		g.until("the mover has ended with its agent", func() error {
			if mover != 0 && syscall.Kill(mover, 0) == nil {
				return fmt.Errorf("%d lives", mover)
			}
			return nil
		})
		g.start()
		g.untilGPU(openapi.GPUReady)
		stays.must(order{Do: "check"}) // of the former agent, while the new one works
		stays.must(order{Do: "attach", Lease: g.use(modelA)})
		leaves.must(order{Do: "attach", Lease: g.use(modelA)})
	}
	leaves.kill()
	g.untilLeases(modelA, 1)
	g.untilUsed(imageSize) // nothing is left of those that are dead
	if got := g.swap(modelA, modelB); got.Leases != 1 || got.Kind != openapi.SwapInPlace {
		t.Errorf("a swap by the third agent: %+v", got)
	}
	if now := stays.must(order{Do: "wait", Images: 2}).State; now.Version != versionOf(modelB) {
		t.Errorf("after the swap: %+v", now)
	}
	stays.must(order{Do: "close"})
	g.ended()
}

// TestGPURefillFake has less memory than the models are, so that what the GPU can
// read by itself is given back and used for others again and again. No byte is of
// what was there before.
func TestGPURefillFake(t *testing.T) {
	g := fakeGPU(t, 512*mib, 400*mib, "", "--ram", "400MiB")
	var h *holder
	for i, ref := range []string{modelA, other, modelC, modelB, modelA, modelD, other, modelA} {
		g.onto(ref)
		g.until("the GPU can read the memory", func() error {
			if g.gpu().Pinned == 0 {
				return fmt.Errorf("%+v", g.gpu())
			}
			return nil
		})
		if h == nil {
			h = g.holder()
		}
		h.must(order{Do: "attach", Lease: g.use(ref)})
		h.must(order{Do: "check"})
		h.must(order{Do: "close"})
		g.untilFreed(ref)
		if i%2 == 0 { // and memory that is empty for a while
			if _, err := g.Unload(t.Context(), openapi.UnloadRequest{Ref: ref, Tier: openapi.TierDisk}); err != nil {
				t.Error(err)
			}
		}
	}
	if s := g.status().Tiers.RAM; s.Used > 400*mib {
		t.Errorf("the memory: %+v", s)
	}
	if now := g.gpu(); now.Restarts != 0 {
		t.Errorf("the GPU after all that: %+v", now)
	}
	g.ended()
}
