package integration_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestGPULostFake has a GPU fall off the bus and come back. Those who use versions on
// it are told that they are gone; what is in memory is served on; and when the GPU is
// back everything can be had again, without a new agent.
func TestGPULostFake(t *testing.T) {
	for _, code := range []string{"719", "100"} {
		t.Run(code, func(t *testing.T) { gpuLost(t, code) })
	}
}

func gpuLost(t *testing.T, code string) {
	g := fakeGPU(t, 512*mib, 400*mib, "")
	g.load(tinyB, openapi.TierRAM)
	g.onto(tinyA)
	first, second := g.attached(g.use(tinyA)), g.attached(g.use(tinyA))
	g.fake.Reset("@mover:#1+=" + code + ",@agent:#1+=" + code)
	_, err := g.Swap(t.Context(), openapi.SwapRequest{From: tinyA, To: tinyB, Device: g.uuid, Deadline: patience.Seconds()})
	if err == nil {
		t.Error("a swap on a GPU that is gone")
	}
	g.untilGPU("failed")
	for _, h := range []*holder{first, second} {
		if now := h.must(order{Do: "wait", Lost: 1}).State; now.Version != "" || now.Refusal == "" {
			t.Errorf("who had it: %+v", now)
		}
		if got := h.try(order{Do: "acquire", Acquire: openapi.LeaseAcquire{Deadline: 0.5}}); got.Error == "" {
			t.Errorf("it has it again, on a GPU that is gone: %+v", got)
		}
	}
	if d := g.gpu(); d.Message == "" || d.Used != 0 || d.Models != 0 {
		t.Errorf("a GPU that is gone: %+v", d)
	}
	_, err = g.Load(t.Context(), openapi.LoadRequest{Ref: tinyO, Tier: openapi.TierGPU, Device: g.uuid, Deadline: 0.5})
	refused(t, err, openapi.CodeUnavailable, tinyO)
	l := g.lease(tinyB) // of memory
	if l.Version().String() != versionOf(tinyB) {
		t.Errorf("what is leased of memory: %s", l.Version())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}

	g.fake.Reset("")
	g.untilGPU(openapi.GPUReady)
	g.until("it can be had again", func() error {
		var errs []error
		for _, h := range []*holder{first, second} {
			if h.must(order{Do: "state"}).State.Version != "" {
				continue
			}
			if got := h.try(order{Do: "acquire", Acquire: openapi.LeaseAcquire{Deadline: 5}}); got.Error != "" {
				errs = append(errs, fmt.Errorf("%s", got.Error))
			}
		}
		return errors.Join(errs...)
	})
	g.swap(tinyA, tinyB)
	for _, h := range []*holder{first, second} {
		if now := h.must(order{Do: "wait", Images: 3}).State; now.Version != versionOf(tinyB) {
			t.Errorf("after all: %+v", now)
		}
		h.must(order{Do: "close"})
	}
	g.ended()
}
