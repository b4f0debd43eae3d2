package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// faultCodes are what a call of a process may fail with: no memory, something that the
// GPU cannot do, anything else; and in a mover, which has a context, two errors that
// this does not survive, and the death of the process.
var faultCodes = map[string][]string{
	"agent": {"2", "801", "999"},
	"mover": {"2", "801", "700", "719", "kill"},
}

// TestGPUFaultsFake does the same with a GPU again and again, while one call of the
// driver fails: by turns each call, in each way. What was asked for is done or
// refused with a reason; everybody has one version whole; and then all of it works,
// and nothing is left. Here it is some of the calls; "make gpu-faults" has them all.
func TestGPUFaultsFake(t *testing.T) {
	g := fakeGPU(t, 64*mib, 32*mib, "", "--gpu-slice", "100ms")
	for _, ref := range []string{tinyA, tinyB, tinyO, tinyP} {
		g.load(ref, openapi.TierRAM)
	}
	s := &faultSweep{gpuNode: g, elsewhere: g.attached(g.use(tinyO))}
	s.count()
	t.Logf("calls: %v", s.calls)
	tried := 0
	for _, f := range sweep(t, s.calls) {
		s.fail(f)
		if tried++; t.Failed() {
			t.Fatalf("at %s", f)
		}
	}
	t.Logf("%d faults: %d times something was refused, %d times an image was lost, %d movers were started again", tried, s.refused, s.lost, s.movers+g.gpu().Restarts)
	s.elsewhere.must(order{Do: "close"})
	g.ended()
}

// sweep lists faults: all of them, or some of each kind that are spread over all
// calls.
func sweep(t *testing.T, calls map[string]int) (faults []string) {
	t.Helper()
	most := 4 // of each kind
	if n, err := strconv.Atoi(os.Getenv("INGOT_GPU_FAULTS")); err == nil && n > 0 {
		most = n
	}
	for role, codes := range faultCodes {
		for _, code := range codes {
			n := min(most, calls[role])
			for i := range n { // one in each of n parts
				from, to := calls[role]*i/n, calls[role]*(i+1)/n
				faults = append(faults, fmt.Sprintf("@%s:#%d=%s", role, 1+from+rand.IntN(to-from), code))
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// faultSweep is one agent under faults.
type faultSweep struct {
	*gpuNode
	elsewhere     *holder        // uses another model all the time
	calls         map[string]int // of the driver that the story takes when nothing fails
	refused, lost int
	movers        int // that former agents had to start again
}

// count tells the story when nothing fails, and counts.
func (s *faultSweep) count() {
	s.t.Helper()
	s.fake.Reset("")
	if err := s.story(); err != nil {
		s.t.Fatalf("without a fault: %v", err)
	}
	s.calls = map[string]int{}
	for role := range faultCodes {
		if s.calls[role] = s.fake.RoleCalls(role); s.calls[role] == 0 {
			s.t.Fatalf("the %s has called nothing", role)
		}
	}
}

// story is what is done under faults: load a version, use it, swap it in place, for
// another model, and back, give it up. It returns what was refused.
func (s *faultSweep) story() error {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var refused error
	try := func(err error) {
		if _, ok := errors.AsType[*openapi.Error](err); err != nil && (!ok || ctx.Err() != nil) {
			s.t.Errorf("the agent fails otherwise than with a reason: %v", err)
		}
		refused = errors.Join(refused, err)
	}
	_, err := s.Load(ctx, openapi.LoadRequest{Ref: tinyA, Tier: openapi.TierGPU, Device: s.uuid, Deadline: 5})
	try(err)
	q := s.use(tinyA)
	q.Deadline = 5
	h := s.holder()
	defer h.kill()
	if got := h.try(order{Do: "attach", Lease: q}); got.Error != "" {
		s.refused++
		return errors.Join(refused, errors.New(got.Error))
	}
	has := tinyA
	for _, to := range []string{tinyB, tinyP, tinyA} { // in place, beside with what is there, back
		_, err := s.Swap(ctx, openapi.SwapRequest{From: has, To: to, Device: s.uuid, Deadline: 5})
		if try(err); err == nil {
			has = to
		}
		if s.settled(h) {
			s.lost++
		}
		if now := h.must(order{Do: "check"}).State; now.Version != versionOf(has) {
			s.t.Errorf("swap to %s: %v, and then it has %+v, want %s", to, err, now, has)
		}
	}
	h.must(order{Do: "detach"})
	if got := h.try(order{Do: "acquire", Acquire: openapi.LeaseAcquire{Deadline: 5}}); got.Error != "" {
		refused = errors.Join(refused, errors.New(got.Error))
	}
	h.must(order{Do: "close"})
	if refused != nil {
		s.refused++
	}
	return refused
}

// again has another agent go on, which nobody has failed yet.
func (s *faultSweep) again() {
	s.t.Helper()
	s.movers += s.gpu().Restarts
	if err := s.stop(); err != nil {
		s.t.Errorf("the agent ends: %v\n%s", err, s.log)
	}
	s.start()
	s.untilGPU(openapi.GPUReady)
	for _, ref := range []string{tinyA, tinyB, tinyO, tinyP} {
		s.load(ref, openapi.TierRAM)
	}
	s.elsewhere.must(order{Do: "attach", Lease: s.use(tinyO)})
}

// fail tells the story while a call fails, and then when none does.
func (s *faultSweep) fail(fault string) {
	s.t.Helper()
	if s.gpu().Restarts >= 5 {
		s.again() // movers are started later and later
	}
	s.fake.Reset(fault)
	faulty := s.story()
	s.fake.Reset("")
	s.untilGPU(openapi.GPUReady)
	s.settled(s.elsewhere)
	s.elsewhere.must(order{Do: "check"})
	if err := s.story(); err != nil {
		s.t.Errorf("%s: after a story that was told with %v: %v", fault, faulty, err)
	}
	for _, ref := range []string{tinyA, tinyB, tinyP} {
		if m := s.model(ref); m.Tier == openapi.TierGPU {
			s.untilFreed(ref)
		}
	}
	s.untilUsed(tinySize) // of the other model
}

// TestGPUStartFaultsFake starts agents while one call of the driver fails, of those
// that starting takes. They start, say how the GPU is, and serve from memory; and
// whoever uses nothing of the GPU has nothing left there.
func TestGPUStartFaultsFake(t *testing.T) {
	g := fakeGPU(t, 64*mib, 32*mib, "")
	g.load(tinyA, openapi.TierRAM)
	calls := map[string]int{}
	for role := range faultCodes {
		calls[role] = g.fake.RoleCalls(role)
	}
	t.Logf("calls: %v", calls)
	states := map[string]int{}
	for _, f := range sweep(t, calls) {
		g.ended()
		g.fake.Reset(f)
		g.start()
		s := g.status().Tiers.GPU
		switch {
		case s.State != openapi.GPUReady && s.Message == "":
			t.Errorf("%s: the tier does not say what is wrong: %+v", f, s)
		case s.State == openapi.GPUReady && len(s.Devices) != 1:
			t.Errorf("%s: the tier has no GPU: %+v", f, s)
		case s.State == openapi.GPUReady:
			g.fake.Reset("")
			g.untilGPU(openapi.GPUReady)
			g.onto(tinyA)
		}
		states[s.State]++
		g.load(tinyA, openapi.TierRAM)
		if t.Failed() {
			t.Fatalf("at %s", f)
		}
		g.fake.Reset("")
	}
	t.Logf("states: %v", states)
	g.ended()
}
