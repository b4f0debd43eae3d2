package integration_test

import (
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestGPUPauseDeadlineFake swaps a version while one who uses it does not answer:
// the swap is refused once its deadline has passed, everybody keeps what he had,
// and who answers late has it too.
func TestGPUPauseDeadlineFake(t *testing.T) {
	g := fakeGPU(t, 512*mib, 400*mib, "")
	g.onto(tinyA)
	g.load(tinyB, openapi.TierRAM)
	good, deaf := g.attached(g.use(tinyA)), g.attached(g.use(tinyA))
	deaf.must(order{Do: "deaf"})
	for i := range 2 {
		before := g.traffic()
		_, err := g.Swap(t.Context(), openapi.SwapRequest{From: tinyA, To: tinyB, Device: g.uuid, Deadline: 0.3})
		refused(t, err, openapi.CodeBusy, tinyA, "holder")
		if now := g.traffic(); now != before {
			t.Errorf("a swap that was refused has moved %+v, before it %+v", now, before)
		}
		now := good.must(order{Do: "wait", Images: 2 + i}).State
		if now.Version != versionOf(tinyA) || now.Pauses != 1+i {
			t.Errorf("who did pause: %+v", now)
		}
		good.must(order{Do: "check"})
	}
	was := deaf.must(order{Do: "check"}).State
	if was.Version != versionOf(tinyA) || was.Pauses != 2 || was.Slabs != 1 {
		t.Errorf("who did not pause: %+v", was)
	}
	deaf.must(order{Do: "hear"}) // and it answers both
	if now := deaf.must(order{Do: "wait", Images: was.Images + 2}).State; now.Version != versionOf(tinyA) {
		t.Errorf("who paused too late: %+v", now)
	}
	deaf.must(order{Do: "check"})
	if got := g.swap(tinyA, tinyB); got.Leases != 2 || got.Kind != openapi.SwapInPlace {
		t.Errorf("a swap that all pause for: %+v", got)
	}
	for h, images := range map[*holder]int{good: 4, deaf: was.Images + 3} {
		if now := h.must(order{Do: "wait", Images: images}).State; now.Version != versionOf(tinyB) {
			t.Errorf("after the swap: %+v", now)
		}
		h.must(order{Do: "close"})
	}
	g.ended()
}

// TestGPUBusyHolderFake swaps a version while one who uses it is in the middle of
// its work: the swap waits for it, and nothing changes under it.
func TestGPUBusyHolderFake(t *testing.T) {
	g := fakeGPU(t, 512*mib, 400*mib, "")
	g.onto(tinyA)
	g.load(tinyB, openapi.TierRAM)
	h := g.attached(g.use(tinyA))
	h.must(order{Do: "hold"})
	swapped := make(chan openapi.SwapReceipt, 1)
	go func() { // fails the test by what it sends
		got, _ := g.Swap(t.Context(), openapi.SwapRequest{From: tinyA, To: tinyB, Device: g.uuid, Deadline: patience.Seconds()})
		swapped <- got
	}()
	h.must(order{Do: "wait", Pauses: 1})
	before := g.traffic()
	select {
	case got := <-swapped:
		t.Errorf("it did not wait: %+v", got)
	default:
	}
	if now := g.traffic(); now != before {
		t.Errorf("%+v has moved under somebody who works, before %+v", now, before)
	}
	h.must(order{Do: "release"})
	if got := <-swapped; got.Kind != openapi.SwapInPlace || got.Version.String() != versionOf(tinyB) {
		t.Errorf("the swap: %+v", got)
	}
	if now := h.must(order{Do: "wait", Images: 2}).State; now.Version != versionOf(tinyB) {
		t.Errorf("after the swap: %+v", now)
	}
	h.must(order{Do: "close"})
	g.ended()
}

// TestGPUHolderKilledFake kills those who use a version: as they read, and when
// they have been asked to pause. Their leases end, swaps go on without them, and
// nothing of theirs is left.
func TestGPUHolderKilledFake(t *testing.T) {
	g := fakeGPU(t, 512*mib, 400*mib, "")
	g.onto(tinyA)
	g.load(tinyB, openapi.TierRAM)
	stays, dies, deaf := g.attached(g.use(tinyA)), g.attached(g.use(tinyA)), g.attached(g.use(tinyA))
	g.untilLeases(tinyA, 3)
	dies.kill()
	g.untilLeases(tinyA, 2)
	deaf.must(order{Do: "deaf"})
	swapped := make(chan openapi.SwapReceipt, 1)
	go func() { // fails the test by what it sends
		got, _ := g.Swap(t.Context(), openapi.SwapRequest{From: tinyA, To: tinyB, Device: g.uuid, Deadline: patience.Seconds()})
		swapped <- got
	}()
	deaf.must(order{Do: "wait", Pauses: 1})
	deaf.kill()
	if got := <-swapped; got.Leases != 1 || got.Kind != openapi.SwapInPlace {
		t.Errorf("the swap after one has died: %+v", got)
	}
	if now := stays.must(order{Do: "wait", Images: 2}).State; now.Version != versionOf(tinyB) {
		t.Errorf("who lives: %+v", now)
	}
	stays.must(order{Do: "check"})
	stays.kill()
	g.untilLeases(tinyB, 0)
	g.untilFreed(tinyB)
	g.untilUsed(0)
	g.ended()
}

// TestGPUReadOnlyFake has somebody write to the weights: he dies of it, and nobody
// else notices.
func TestGPUReadOnlyFake(t *testing.T) {
	g := fakeGPU(t, 512*mib, 400*mib, "")
	g.onto(tinyA)
	reads, writes := g.attached(g.use(tinyA)), g.attached(g.use(tinyA))
	if err := writes.ends(order{Do: "write"}); err != nil {
		t.Errorf("who writes to the weights: %v", err)
	}
	g.untilLeases(tinyA, 1)
	reads.must(order{Do: "check"})
	if now := g.gpu(); now.State != openapi.GPUReady || now.Restarts != 0 {
		t.Errorf("the GPU after that: %+v", now)
	}
	reads.must(order{Do: "close"})
	g.ended()
}
