package integration_test

import (
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestGPUVariantsFake has a model and variants of it on a GPU at a time. A variant
// takes only slabs in which something differs; what is equal in them is copied
// within the GPU; and those who use one do not notice that another comes or goes.
func TestGPUVariantsFake(t *testing.T) {
	g := fakeGPU(t, 1024*mib, 600*mib, "")
	for _, ref := range []string{modelA, modelB, modelC, modelD} {
		g.load(ref, openapi.TierRAM)
	}
	g.onto(modelA)
	a := g.attached(g.use(modelA))
	g.beside(modelB, slabOf4, 1)
	b := g.attached(g.use(modelB))
	g.beside(modelC, slabOf4+slabOf1, 2)
	c := g.attached(g.use(modelC))
	g.beside(modelD, slabOf4, 1)
	taken := int64(imageSize + slabOf4 + slabOf4 + slabOf1 + slabOf4)
	g.untilUsed(taken)
	if used := g.gpu().Used; used != taken {
		t.Errorf("four variants: the agent counts %d bytes, want %d", used, taken)
	}
	for ref, own := range map[string]int64{modelA: 0, modelB: slabOf4, modelC: slabOf4 + slabOf1, modelD: slabOf4} {
		if m := g.model(ref); m.Tier != openapi.TierGPU {
			t.Errorf("%s, of which %d bytes are its own: %+v", ref, own, m)
		}
	}

	// What two map is not written over: it gets a slab of its own in its place.
	changed, all := differ(modelD, modelA)
	before := g.traffic()
	g.moved(g.swap(modelA, modelD), before, openapi.SwapReceipt{Kind: openapi.SwapRemap, BytesReused: all, SlabsTotal: 3, SlabsShared: 3, Leases: 1})
	if changed == 0 {
		t.Error("the variants do not differ")
	}
	if now := a.must(order{Do: "wait", Images: 2}).State; now.Version != versionOf(modelD) || now.Unmapped != 1 || now.Imported != 1 {
		t.Errorf("after a swap to a variant that was there: %+v", now)
	}
	for _, h := range []*holder{a, b, c} {
		h.must(order{Do: "check"})
		h.must(order{Do: "close"})
	}
	for _, ref := range []string{modelA, modelB, modelC, modelD} {
		g.untilFreed(ref)
	}
	g.ended()
}

// beside loads a variant of modelA beside it, which takes so many bytes in so many
// slabs.
func (g *gpuNode) beside(ref string, takes int64, slabs int) {
	g.t.Helper()
	changed, all := differ(ref, modelA)
	used, before := g.gpu().Used, g.traffic()
	got := g.onto(ref)
	copied := got.BytesDeviceCopied
	g.moved(got, before, openapi.SwapReceipt{Kind: openapi.SwapLoad, BytesUploaded: changed, BytesDeviceCopied: copied,
		BytesReused: all - changed - copied, SlabsTotal: 3, SlabsShared: 3 - slabs, SlabsNew: slabs})
	if got.BytesDeviceCopied == 0 || g.gpu().Used-used != takes {
		g.t.Errorf("%s took %d bytes, want %d: %+v", ref, g.gpu().Used-used, takes, got)
	}
}

// TestGPUTwoClientsFake has two use a version while it is swapped, and two others
// use variants that share slabs.
func TestGPUTwoClientsFake(t *testing.T) {
	g := fakeGPU(t, 1024*mib, 600*mib, "")
	g.onto(modelA)
	first, second := g.attached(g.use(modelA)), g.attached(g.use(modelA))
	changed, all := differ(modelB, modelA)
	g.load(modelB, openapi.TierRAM)
	before := g.traffic()
	got := g.swap(modelA, modelB)
	g.moved(got, before, openapi.SwapReceipt{Kind: openapi.SwapInPlace, BytesUploaded: changed, BytesReused: all - changed,
		SlabsTotal: 3, SlabsShared: 2, SlabsInPlace: 1, Leases: 2})
	for _, h := range []*holder{first, second} {
		if now := h.must(order{Do: "wait", Images: 2}).State; now.Version != versionOf(modelB) {
			t.Errorf("after the swap: %+v", now)
		}
	}
	g.untilLeases(modelB, 2)

	// A third uses another variant: from now on two images share two slabs.
	g.load(modelD, openapi.TierRAM)
	third := g.attached(g.use(modelD))
	g.untilUsed(imageSize + slabOf4)
	third.must(order{Do: "hold"}) // whoever writes into its slabs is found out
	g.load(modelC, openapi.TierRAM)
	before = g.traffic()
	got = g.swap(modelB, modelC)
	if g.moved(got, before, got); got.SlabsInPlace > 1 || got.SlabsNew < 2 || got.Leases != 2 {
		t.Errorf("two slabs that differ are another's too: %+v", got)
	}
	third.must(order{Do: "check"})
	third.must(order{Do: "release"})
	for _, h := range []*holder{first, second} {
		if now := h.must(order{Do: "wait", Images: 3}).State; now.Version != versionOf(modelC) || now.Unmapped != got.SlabsNew {
			t.Errorf("after the swap beside another: %+v, %+v", now, got)
		}
		h.must(order{Do: "check"})
	}
	if now := third.must(order{Do: "check"}).State; now.Images != 1 || now.Pauses != 0 {
		t.Errorf("who has nothing to do with it: %+v", now)
	}
	for _, h := range []*holder{first, second, third} {
		h.must(order{Do: "close"})
	}
	g.ended()
}
