package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/openapi"
)

// TestGPUShareFake has two services with different models on a GPU that has room for
// one. They take turns, whether they let go by themselves or are asked to, and
// neither starves. What each turn moved is counted.
func TestGPUShareFake(t *testing.T) {
	g := fakeGPU(t, imageSize+16*mib, imageSize, "", "--gpu-slice", "100ms")
	for _, ref := range []string{modelA, other} {
		g.load(ref, openapi.TierRAM)
	}
	yields := func(ref string) openapi.LeaseRequest {
		q := g.use(ref)
		q.Yield = true
		return q
	}
	before := g.traffic()
	a := g.attached(yields(modelA))
	b := g.attached(yields(other)) // a is asked to make room
	if now := a.must(order{Do: "wait", Pauses: 1}).State; now.Reason != openapi.PauseRoom || !now.Paused || now.Unmapped != 3 {
		t.Errorf("who made room: %+v", now)
	}
	if now := b.must(order{Do: "check"}).State; now.Version != versionOf(other) {
		t.Errorf("whom it was made for: %+v", now)
	}
	a.must(order{Do: "acquire"})
	if now := b.must(order{Do: "wait", Pauses: 1}).State; now.Reason != openapi.PauseRoom || now.Version != "" {
		t.Errorf("who made room for the first again: %+v", now)
	}
	_, allA := differ(modelA, "")
	_, allB := differ(other, "")
	if moved := g.traffic().up - before.up; moved != 2*allA+allB {
		t.Errorf("three turns uploaded %d bytes, want %d", moved, 2*allA+allB)
	}

	a.must(order{Do: "detach"})
	const turns = 5
	before = g.traffic()
	first, second := a.begin(order{Do: "turns", Turns: turns}), b.begin(order{Do: "turns", Turns: turns})
	for i, got := range []reply{first(), second()} {
		if got.Error != "" {
			t.Errorf("service %d: %s", i, got.Error)
		}
	}
	for _, h := range []*holder{a, b} {
		if now := h.must(order{Do: "state"}).State; now.Images < turns || now.Denied != 0 || now.Lost != 0 {
			t.Errorf("after its turns: %+v", now)
		}
	}
	moved := g.traffic().up - before.up
	if loadsA, loadsB := loadsIn(moved, allA, allB, 3*turns); loadsA < 0 {
		t.Errorf("the turns uploaded %d bytes, which are no whole models", moved)
	} else {
		t.Logf("2x%d turns brought the models in %d and %d times", turns, loadsA, loadsB)
	}
	for _, h := range []*holder{a, b} {
		h.must(order{Do: "close"})
	}
	g.ended()
}

// loadsIn tells how many models of two sizes so many bytes are.
func loadsIn(bytes, a, b int64, most int) (ofA, ofB int) {
	for i := range most {
		for j := range most {
			if int64(i)*a+int64(j)*b == bytes {
				return i, j
			}
		}
	}
	return -1, -1
}

// TestGPUPriorityFake has two wait for the room of one who does not yield. He is
// not asked; who waits for too long is told so; and the more important of those who
// wait comes first, though he came last.
func TestGPUPriorityFake(t *testing.T) {
	g := fakeGPU(t, imageSize+16*mib, imageSize, "", "--gpu-slice", "100ms")
	for _, ref := range []string{modelA, modelB, other} {
		g.load(ref, openapi.TierRAM)
	}
	has := g.attached(g.use(modelA))
	q := g.use(other)
	q.Deadline = 0.2
	if got := g.holder().try(order{Do: "attach", Lease: q}); got.Error == "" {
		t.Errorf("there was room for another: %+v", got)
	}
	if now := has.must(order{Do: "check"}).State; now.Pauses != 0 {
		t.Errorf("who does not yield: %+v", now)
	}

	low, high := g.holder(), g.holder()
	q = g.use(other)
	lowHas := low.begin(order{Do: "attach", Lease: q})
	g.untilWaiting(1)
	q = g.use(modelB)
	q.Priority = 5
	highHas := high.begin(order{Do: "attach", Lease: q})
	g.untilWaiting(2)
	has.must(order{Do: "close"})
	if got := highHas(); got.Error != "" || got.State.Version != versionOf(modelB) {
		t.Errorf("the more important one: %+v", got)
	}
	g.untilWaiting(1)
	high.must(order{Do: "close"})
	if got := lowHas(); got.Error != "" || got.State.Version != versionOf(other) {
		t.Errorf("the one who waited: %+v", got)
	}
	low.must(order{Do: "close"})
	g.ended()
}

// untilWaiting waits until so many wait for the GPU.
func (g *gpuNode) untilWaiting(n int) {
	g.t.Helper()
	g.until(fmt.Sprintf("%d wait", n), func() error {
		if got := g.gpu().Waiting; got != n {
			return fmt.Errorf("%d do", got)
		}
		return nil
	})
}

// TestGPUFollowFake moves a tag while some follow it: they have the new version
// without doing anything, and who does not follow is only told.
func TestGPUFollowFake(t *testing.T) {
	file := "models: [{ref: \"gpu/tiny:main\", tier: gpu, watch: true}]\npoll: 1s\n"
	g := fakeGPUOf(t, cudatest.Options{}, func(r *registry) { r.retag(tinyA, "main") }, 400*mib, file)
	g.untilServed("gpu/tiny:main", versionOf(tinyA), openapi.TierGPU)
	q := g.use("gpu/tiny:main")
	stays := g.attached(q)
	q.Follow = true
	follows := g.attached(q)
	g.registry.retag(tinyB, "main")
	if now := follows.must(order{Do: "wait", Images: 2}).State; now.Version != versionOf(tinyB) || now.Reason != openapi.PauseSwap {
		t.Errorf("who follows: %+v", now)
	}
	follows.must(order{Do: "check"})
	g.until("who does not follow is told", func() error {
		if now := stays.must(order{Do: "check"}).State; now.Moved != versionOf(tinyB) || now.Version != versionOf(tinyA) || now.Images != 1 {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
	g.untilServed("gpu/tiny:main", versionOf(tinyB), openapi.TierGPU)
	for _, h := range []*holder{stays, follows} {
		h.must(order{Do: "close"})
	}
	g.ended()
}

// retag gives a version another tag of its repository.
func (r *registry) retag(ref, tag string) {
	r.t.Helper()
	if out, err := r.command("tag", ref, tag).CombinedOutput(); err != nil {
		r.t.Fatalf("tag %s: %v\n%s", ref, err, out)
	}
}

// TestGPUIdleFake leaves a version on a GPU unused: it falls to RAM by itself.
func TestGPUIdleFake(t *testing.T) {
	g := fakeGPU(t, 512*mib, 400*mib, "idle-gpu: 1s\n")
	g.onto(tinyA)
	h := g.attached(g.use(tinyA))
	time.Sleep(1500 * time.Millisecond) // what is used stays
	if now := h.must(order{Do: "check"}).State; now.Version != versionOf(tinyA) {
		t.Errorf("an image in use: %+v", now)
	}
	h.must(order{Do: "close"})
	g.until("it falls to RAM", func() error {
		if m := g.model(tinyA); m.Tier != openapi.TierRAM {
			return fmt.Errorf("it is %+v", m)
		}
		return nil
	})
	g.untilUsed(0)
	g.ended()
}
