package node_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// tiny is 0.8 MiB in a few chunks.
var tiny = synth.Spec{Layers: 1, Hidden: 128, KV: 64, FF: 256, Vocab: 1024, DType: chunker.BF16, Seed: 1}

// narrow is a node whose RAM has room for one tiny model, and for a little more.
func narrow(c *node.Config) { c.RAMLimits = ledger.Limits{Bytes: 5 * mib / 4} }

// newNarrow is a world of tiny models.
func newNarrow(t *testing.T) *world {
	w := newWorld(t)
	w.spec = tiny
	return w
}

// brought waits for a load that has begun behind the test.
type brought struct {
	receipt openapi.LoadReceipt
	err     error
}

// begin loads a tag into RAM behind the test.
func (h *house) begin(tag string) <-chan brought {
	done := make(chan brought, 1)
	go func() {
		r, err := h.Load(h.w.t.Context(), node.LoadOrder{Ref: ref("acme/llama:" + tag), Tier: openapi.TierRAM})
		done <- brought{r, err}
	}()
	return done
}

// wait returns what came of a load.
func (h *house) wait(from <-chan brought) openapi.LoadReceipt {
	h.w.t.Helper()
	b := <-from
	if b.err != nil {
		h.w.t.Fatal(b.err)
	}
	return b.receipt
}

// TestPatch has no room for two versions: who leases the first is asked to let it go,
// and the second comes into its memory. Who asks meanwhile gets the second.
func TestPatch(t *testing.T) {
	w := newNarrow(t)
	w.push("prod")
	h := w.node(narrow)
	defer h.close()
	first := h.load("prod", openapi.TierRAM)
	l := h.lease("prod")
	place, _ := l.Place(2)
	second := w.push("prod", synth.Train(2, .01))
	loads := h.begin("prod")
	if got := <-l.Moved(); got != (node.Move{Version: second, Patch: true}) {
		t.Fatalf("who leases the old version hears %+v", got)
	}
	leased := make(chan *node.Lease)
	go func() {
		l, err := h.Lease(t.Context(), node.LeaseOrder{Ref: ref("acme/llama:prod")}, nil)
		if err != nil {
			t.Error(err)
		}
		leased <- l
	}()
	select {
	case <-loads:
		t.Fatal("the version came while the one before it was leased")
	default:
	}
	l.Release()
	r := h.wait(loads)
	if r.BytesPatched == 0 || r.BytesPatched > r.BytesTotal || r.BytesTotal != first.BytesTotal {
		t.Errorf("%d bytes were patched: %+v", r.BytesPatched, r)
	}
	next := <-leased
	if next.Version() != second {
		t.Errorf("a lease got %s", next.Version())
	}
	h.check(next, "prod")
	if at, _ := next.Place(2); at != place {
		t.Errorf("a chunk lies at %+v, and the one before it at %+v", at, place)
	}
	s := h.Status()
	if d := s.Deltas; d.Patches != 1 || d.PatchesUndone+d.PatchesLost+d.BasesWrong != 0 || d.BytesPatched != r.BytesPatched ||
		d.PatchMemory == 0 || d.PatchMemory > node.DefaultPatchMemory {
		t.Errorf("%+v", d)
	}
	if s.Tiers.RAM.Used > s.Tiers.RAM.Budget || s.Tiers.RAM.Used != h.ram.Used() || s.Tiers.RAM.Models != 1 {
		t.Errorf("the tier says %+v, and %d bytes are used", s.Tiers.RAM, h.ram.Used())
	}
	if m := h.model("prod"); m.Version != second.String() || m.Tier != openapi.TierRAM || len(m.Old) != 0 {
		t.Errorf("%+v", m)
	}
	next.Release()
	again := w.push("prod", synth.Train(2, .01), synth.Train(3, .01)) // the other way round too, without anybody who leases
	if r := h.load("prod", openapi.TierRAM); r.Version != again || r.BytesPatched == 0 {
		t.Errorf("%+v", r)
	}
	next = h.lease("prod")
	h.check(next, "prod")
	next.Release()
}

// TestDelta is behind by several versions: one load brings the newest, as what differs
// from what the node has.
func TestDelta(t *testing.T) {
	w := newNarrow(t)
	w.push("prod")
	h := w.node(nil)
	defer h.close()
	first := h.load("prod", openapi.TierRAM)
	changes := []synth.Change{}
	for i := range 3 {
		changes = append(changes, synth.Train(uint64(i+2), .005))
		w.push("prod", changes...)
	}
	plan, err := h.Plan(t.Context(), node.LoadOrder{Ref: ref("acme/llama:prod"), Tier: openapi.TierRAM})
	if err != nil || plan.Sources.Delta == 0 {
		t.Errorf("planned %+v, %v", plan, err)
	}
	r := h.load("prod", openapi.TierRAM)
	if r.Sources != plan.Sources || r.ChunksDelta == 0 || r.BytesReceivedDelta == 0 || r.BasesWrong != 0 ||
		r.BytesReceived > first.BytesReceived/20 || r.Sources.Delta < r.BytesTotal*9/10 {
		t.Errorf("planned %+v, got %+v", plan.Sources, r)
	}
	if d := h.Status().Deltas; d.Chunks != int64(r.ChunksDelta) || d.BytesReceived != r.BytesReceivedDelta || h.Counters().Loads != 2 {
		t.Errorf("%+v in %d loads", d, h.Counters().Loads)
	}
	l := h.lease("prod")
	h.check(l, "prod")
	l.Release()
}

// TestDeltaOfDamaged has every base damaged: what they should have made comes whole,
// and is counted.
func TestDeltaOfDamaged(t *testing.T) {
	w := newNarrow(t)
	w.push("prod")
	h := w.node(nil)
	defer h.close()
	first := h.load("prod", openapi.TierDisk)
	for path := range chunksOnDisk(t, w.folder) {
		flip(t, path)
	}
	w.push("prod", synth.Train(2, .01))
	r := h.load("prod", openapi.TierRAM)
	if d := h.Status().Deltas; r.ChunksDelta != 0 || d.BasesWrong == 0 || r.BytesReceived < first.BytesReceived {
		t.Errorf("%d wrong bases: %+v", d.BasesWrong, r)
	}
	l := h.lease("prod")
	h.check(l, "prod")
	l.Release()
}

// TestPatchStaged has no room on the disk either: what is staged is deltas, in memory.
func TestPatchStaged(t *testing.T) {
	w := newNarrow(t)
	w.push("prod")
	h := w.node(func(c *node.Config) { narrow(c); c.DiskLimits.Bytes = mib / 2 })
	defer h.close()
	h.load("prod", openapi.TierRAM)
	w.push("prod", synth.Train(2, .01))
	r := h.load("prod", openapi.TierRAM)
	if r.BytesPatched == 0 || r.ChunksDelta == 0 || r.BytesReceived > r.BytesTotal/20 {
		t.Errorf("%+v", r)
	}
	l := h.lease("prod")
	h.check(l, "prod")
	l.Release()
}

// TestPatchWaits has somebody who does not let the old version go: that is leased
// again, and the new one comes when nobody has it any more.
func TestPatchWaits(t *testing.T) {
	w := newNarrow(t)
	first := w.push("prod")
	h := w.node(func(c *node.Config) { narrow(c); c.Vacate = 10 * time.Millisecond })
	defer h.close()
	h.load("prod", openapi.TierRAM)
	l := h.lease("prod")
	second := w.push("prod", synth.Train(2, .01))
	loads := h.begin("prod")
	<-l.Moved()
	other := h.lease("prod")
	if other.Version() != first {
		t.Errorf("a lease beside one that stays got %s", other.Version())
	}
	other.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // time to ask what the tag is at, and to begin to wait
	defer cancel()
	_, err := h.Load(ctx, node.LoadOrder{Ref: ref("acme/llama:prod"), Tier: openapi.TierRAM})
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) || !strings.Contains(err.Error(), "1 leases") {
		t.Errorf("who waits too long is told %v", err)
	}
	l.Release()
	if r := h.wait(loads); r.Version != second || r.BytesPatched == 0 {
		t.Errorf("%+v", r)
	}
}

// TestPatchSuperseded has a third version come while the second waits: that goes, in
// one step.
func TestPatchSuperseded(t *testing.T) {
	w := newNarrow(t)
	w.push("prod")
	h := w.node(func(c *node.Config) {
		narrow(c)
		c.Models = []node.Model{{Ref: ref("acme/llama:prod"), Tier: openapi.TierRAM, Watch: true}}
	})
	defer h.close()
	until(t, "the configured load", func() bool { return h.model("prod").Tier == openapi.TierRAM })
	l := h.lease("prod")
	h.Changed(ref("acme/llama:prod"), w.push("prod", synth.Train(2, .01)), node.Model{})
	<-l.Moved()
	third := w.push("prod", synth.Train(2, .01), synth.Train(3, .01))
	h.Changed(ref("acme/llama:prod"), third, node.Model{})
	if got := <-l.Moved(); got != (node.Move{Version: third, Patch: true}) {
		t.Errorf("the next that who leases hears is %+v", got)
	}
	l.Release()
	until(t, "the third version", func() bool { return h.model("prod").Version == third.String() })
	if c := h.Counters(); c.Deltas.Patches != 1 || c.Switches != 1 {
		t.Errorf("%d patches, %d switches", c.Deltas.Patches, c.Switches)
	}
	next := h.lease("prod")
	h.check(next, "prod")
	next.Release()
}

// TestPatchUndone breaks what is staged on the disk when nothing else can give it: the
// first version is served as it was.
func TestPatchUndone(t *testing.T) {
	w := newNarrow(t)
	first := w.push("prod")
	h := w.node(func(c *node.Config) { narrow(c); c.PatchMemory = 96 * mib }) // for buffers alone
	defer h.close()
	h.load("prod", openapi.TierRAM)
	l := h.lease("prod")
	old := w.models["prod"]
	before := chunksOnDisk(t, w.folder)
	w.push("prod", synth.Train(2, .01))
	loads := h.begin("prod")
	<-l.Moved()
	damaged := 0
	for path := range chunksOnDisk(t, w.folder) {
		if !before[path] && damaged == 0 {
			damaged++
			flip(t, path)
		}
	}
	w.gone.Store(true)
	l.Release()
	if b := <-loads; b.err == nil || damaged == 0 {
		t.Fatalf("it came, of %d damaged chunks: %+v", damaged, b.receipt)
	}
	if d := h.Status().Deltas; d.PatchesUndone != 1 || d.Patches+d.PatchesLost != 0 {
		t.Errorf("%+v", d)
	}
	w.models["prod"] = old
	l = h.lease("prod")
	if l.Version() != first {
		t.Errorf("%s is served", l.Version())
	}
	h.check(l, "prod")
	l.Release()
}

// chunksOnDisk is the files of chunks.
func chunksOnDisk(t *testing.T, folder string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(folder, "chunks"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// flip changes a byte of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
