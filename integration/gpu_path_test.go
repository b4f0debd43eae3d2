package integration_test

import (
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestGPUPathFake takes versions from the registry over disk and RAM onto a GPU and
// has somebody use them there while they are swapped, in place and for another
// model, to and fro. Every byte that moves is counted, by the receipts and by the
// driver: what is there does not move.
func TestGPUPathFake(t *testing.T) {
	g := fakeGPU(t, 512*mib, 400*mib, "")
	_, all := differ(modelA, "")
	before := g.traffic()
	loaded := g.onto(modelA)
	g.moved(loaded, before, openapi.SwapReceipt{Kind: openapi.SwapLoad, BytesUploaded: all, SlabsTotal: 3, SlabsNew: 3})
	g.coalesced(loaded, modelA, "")
	before = g.traffic()
	g.moved(g.onto(modelA), before, openapi.SwapReceipt{Kind: openapi.SwapResident, BytesReused: all, SlabsTotal: 3, SlabsShared: 3})
	if m := g.model(modelA); m.Tier != openapi.TierGPU || len(m.Devices) != 1 || m.Devices[0] != g.uuid || m.Version != versionOf(modelA) {
		t.Errorf("a model on the GPU: %+v", m)
	}
	h := g.attached(g.use(modelA))
	first := h.must(order{Do: "check"}).State
	if first.Version != versionOf(modelA) || first.Slabs != 3 || first.Images != 1 {
		t.Errorf("the first image: %+v", first)
	}

	g.inPlace(h, modelA, modelB, 1)
	g.inPlace(h, modelB, modelC, 3)
	g.inPlace(h, modelC, modelA, 2)
	g.inPlace(h, modelA, modelE, 2) // what is there is written over too, and must not be copied
	g.inPlace(h, modelE, modelA, 2)
	g.remapped(h)
	if now := h.must(order{Do: "check"}).State; now.Address != first.Address {
		t.Errorf("the image was at %x and is at %x", first.Address, now.Address)
	}
	h.must(order{Do: "close"})
	for _, ref := range []string{modelA, other} {
		if freed := g.untilFreed(ref); freed.Freed.GPU == 0 || freed.Tier != openapi.TierRAM {
			t.Errorf("unload of %s: %+v", ref, freed)
		}
	}
	g.untilUsed(0)
	before = g.traffic() // from memory that the GPU can read by now
	g.moved(g.onto(modelA), before, openapi.SwapReceipt{Kind: openapi.SwapLoad, BytesUploaded: all, SlabsTotal: 3, SlabsNew: 3})
	h.must(order{Do: "attach", Lease: g.use(modelA)})
	h.must(order{Do: "close"})
	g.ended()
}

// inPlace swaps a version for another of the same layout, which differs in so many
// slabs: they are written over, and nothing is unmapped.
func (g *gpuNode) inPlace(h *holder, from, to string, slabs int) {
	g.t.Helper()
	was := h.must(order{Do: "check"}).State
	g.load(to, openapi.TierRAM)
	changed, all := differ(to, from)
	before := g.traffic()
	got := g.swap(from, to)
	g.moved(got, before, openapi.SwapReceipt{Kind: openapi.SwapInPlace, BytesUploaded: changed, BytesReused: all - changed,
		SlabsTotal: 3, SlabsShared: 3 - slabs, SlabsInPlace: slabs, Leases: 1})
	g.coalesced(got, to, from)
	if got.FromVersion != versionOf(from) || got.Version.String() != versionOf(to) || got.PausedMS <= 0 {
		g.t.Errorf("swap of %s to %s: %+v", from, to, got)
	}
	now := h.must(order{Do: "wait", Images: was.Images + 1}).State
	if now.Version != versionOf(to) || now.Address != was.Address || now.Slabs != was.Slabs || now.Unmapped != 0 {
		g.t.Errorf("after the swap to %s: %+v, before it %+v", to, now, was)
	}
	h.must(order{Do: "check"})
	g.untilUsed(imageSize)
	if m := g.model(from); m.Tier != openapi.TierRAM || m.Leases != 0 {
		g.t.Errorf("what was written over: %+v", m)
	}
}

// coalesced wants a copy for what lies together, and not one for each chunk.
func (g *gpuNode) coalesced(got openapi.SwapReceipt, ref, over string) {
	g.t.Helper()
	least, most := tensorRuns(gpuFamily.manifests[ref], gpuFamily.manifests[over])
	if got.Copies < least || got.Copies > most {
		g.t.Errorf("%s over %q took %d copies, want %d to %d", ref, over, got.Copies, least, most)
	}
}

// remapped swaps a version for another model, and that for the version again, which
// has stayed.
func (g *gpuNode) remapped(h *holder) {
	g.t.Helper()
	was := h.must(order{Do: "check"}).State
	_, all := differ(other, "")
	g.load(other, openapi.TierRAM)
	before := g.traffic()
	g.moved(g.swap(modelA, other), before, openapi.SwapReceipt{Kind: openapi.SwapRemap, BytesUploaded: all, SlabsTotal: 1, SlabsNew: 1, Leases: 1})
	now := h.must(order{Do: "wait", Images: was.Images + 1}).State
	if now.Version != versionOf(other) || now.Unmapped != 3 || now.Imported != 1 {
		g.t.Errorf("after the swap to another model: %+v", now)
	}
	h.must(order{Do: "check"})
	g.untilUsed(imageSize + otherSize)

	_, all = differ(modelA, "")
	before = g.traffic()
	got := g.swap(other, modelA)
	g.moved(got, before, openapi.SwapReceipt{Kind: openapi.SwapRemap, BytesReused: all, SlabsTotal: 3, SlabsShared: 3, Leases: 1})
	now = h.must(order{Do: "wait", Images: was.Images + 2}).State
	if now.Version != versionOf(modelA) || now.Unmapped != 1 || now.Imported != 3 {
		g.t.Errorf("after the swap back: %+v", now)
	}
}
