package integration_test

import (
	"fmt"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/openapi"
)

// layered is a model of 24 layers, 36 MiB; with INGOT_LARGE it has 140 MiB.
func layered() synth.Spec {
	if large() {
		return synth.Spec{Layers: 24, Hidden: 512, KV: 128, FF: 1408, Vocab: 4096, DType: chunker.BF16, Seed: 7}
	}
	return synth.Spec{Layers: 24, Hidden: 256, KV: 64, FF: 704, Vocab: 2048, DType: chunker.BF16, Seed: 7}
}

// TestAgentVariants holds a model and four variants of one layer each, which share
// all else: on the disk and in memory they are little more than one model, and a
// variant that comes moves what is new in it.
func TestAgentVariants(t *testing.T) {
	r := servePlain(t)
	base := weightsOf(t, layered())
	pushed := []receipt{r.push(base, "family/model:base")}
	_, modelBytes := fileBytes(t, base)
	want := []sums{sumsOf(t, base)}
	for i := range 4 {
		dir := weightsOf(t, layered(), synth.ChangeLayers(uint64(100+i), 5*i))
		pushed = append(pushed, r.push(dir, ref(i+1)))
		want = append(want, sumsOf(t, dir))
	}
	n := r.node("", "--disk", "1GiB", "--ram", "1GiB")
	var last openapi.LoadReceipt
	for i := range pushed {
		last = n.load(ref(i), openapi.TierRAM)
		if last.Version.String() != pushed[i].Digest {
			t.Errorf("%s is %s, want %s", ref(i), last.Version, pushed[i].Digest)
		}
	}
	n.checkFourth(last, pushed[4])
	for i := range pushed {
		if err := want[i].check(t.Context(), n.lease(ref(i))); err != nil {
			t.Error(err)
		}
	}
	s := n.status()
	t.Logf("disk %.3f of one model, memory %.3f", float64(s.Tiers.Disk.Used)/float64(modelBytes), float64(s.Tiers.RAM.Used)/float64(modelBytes))
	atMost(t, "disk of five versions", s.Tiers.Disk.Used, 1.3, modelBytes, 0)
	atMost(t, "memory of five versions", s.Tiers.RAM.Used, 1.3, modelBytes, 0)
	atMost(t, "folder of five versions", diskUsage(t, n.path("data")), 1.3, modelBytes, 0)
	for _, m := range s.Models {
		if m.Tier != openapi.TierRAM || m.BytesShared < m.BytesTotal*9/10 || m.BytesOwn+m.BytesShared < m.BytesTotal {
			t.Errorf("a version that shares all but a layer: %+v", m)
		}
	}
}

// ref is the reference of a member of the family.
func ref(i int) string {
	if i == 0 {
		return "family/model:base"
	}
	return fmt.Sprintf("family/model:variant-%d", i)
}

// checkFourth: of the last variant came what its push had sent, and no byte more;
// all else was in memory.
func (n *node) checkFourth(got openapi.LoadReceipt, pushed receipt) {
	n.t.Helper()
	if got.BytesReceived != pushed.BytesSent || got.ChunksNew != pushed.ChunksNew {
		n.t.Errorf("the fourth variant received %d bytes in %d chunks, its push sent %d in %d",
			got.BytesReceived, got.ChunksNew, pushed.BytesSent, pushed.ChunksNew)
	}
	from := got.Sources
	came := from.Registry + from.Delta
	if came+from.RAM != got.BytesTotal || from.Disk+from.Peer != 0 || got.BytesReused != from.RAM || came > got.BytesTotal/20 {
		n.t.Errorf("sources of the fourth variant: %+v", got)
	}
}
