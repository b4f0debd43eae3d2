package node_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// TestStream gets the tensors of a version while it comes, those that were asked
// for first.
func TestStream(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(nil)
	defer h.close()
	const wanted = "lm_head.weight"
	order := node.LeaseOrder{Ref: ref("acme/llama:base"), Mode: openapi.LeaseStream, First: []string{wanted, "no such tensor"}}
	for _, again := range []bool{false, true} { // there already, the second time
		l, err := h.Lease(t.Context(), order, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for a, err := range l.Arrivals(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			name := l.Manifest().Files[a.File].Tensors[a.Tensor].Name
			if len(seen) == 0 && name != wanted {
				t.Errorf("again %t: %s came first, want %s", again, name, wanted)
			}
			if seen[name] {
				t.Errorf("%s came twice", name)
			}
			seen[name] = true
			h.checkTensor(l, a, "base")
		}
		if err := l.Whole(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.check(l, "base")
		l.Release()
	}
}

// TestDemote evicts from the RAM what the disk has not: it falls to the disk
// first, and comes back from there.
func TestDemote(t *testing.T) {
	w := newWorld(t)
	w.push("a")
	w.push("b", synth.ChangeLayers(2, 0, 1, 2, 3), synth.ReplaceHead(3))
	h := w.node(func(c *node.Config) { c.RAMLimits.Bytes, c.DiskLimits.Count = 8*mib, 1 })
	defer h.close()
	h.load("b", openapi.TierDisk)
	if _, err := h.Pin(t.Context(), ref("acme/llama:b"), true); err != nil {
		t.Fatal(err)
	}
	l := h.lease("a")
	l.Release()
	if m := h.model("a"); m.Tier != openapi.TierRAM || h.disk.Has(l.Manifest().Chunks[0].Digest) && !h.shared(l) {
		t.Fatalf("a is on the disk, which has room for one model: %+v", m)
	}
	if _, err := h.Pin(t.Context(), ref("acme/llama:b"), false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Unload(t.Context(), ref("acme/llama:b"), openapi.TierNone); err != nil {
		t.Fatal(err)
	}
	requests := w.chunks.Load()
	if _, err := h.Unload(t.Context(), ref("acme/llama:a"), openapi.TierDisk); err != nil {
		t.Fatal(err)
	}
	if m, c := h.model("a"), h.Counters(); m.Tier != openapi.TierDisk || c.Demoted == 0 {
		t.Fatalf("a did not fall to the disk: %+v, %+v", m, c)
	}
	l = h.lease("a")
	h.check(l, "a")
	l.Release()
	if n := w.chunks.Load() - requests; n != 0 {
		t.Errorf("%d requests for chunks after the fall", n)
	}
}

// shared reports whether another version on the disk has the first chunk of l.
func (h *house) shared(l *node.Lease) bool {
	return h.model("b").BytesShared > 0 || l.Manifest().Chunks[0].Size < mib
}

// TestDamagedOnDisk changes a byte of every chunk on the disk: none is served, all
// are fetched again and counted.
func TestDamagedOnDisk(t *testing.T) {
	w := newWorld(t)
	w.push("base")
	h := w.node(nil)
	defer h.close()
	h.load("base", openapi.TierDisk)
	damaged := uint64(0)
	err := filepath.WalkDir(filepath.Join(w.folder, "chunks"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b[len(b)/3] ^= 0x40
		damaged++
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil || damaged == 0 {
		t.Fatalf("damaged %d chunks: %v", damaged, err)
	}
	l := h.lease("base")
	h.check(l, "base")
	l.Release()
	if c := h.Counters(); c.Damaged != damaged {
		t.Errorf("%d chunks were found damaged, want %d", c.Damaged, damaged)
	}
	if _, err := h.Unload(t.Context(), ref("acme/llama:base"), openapi.TierDisk); err != nil {
		t.Fatal(err)
	}
	requests := w.chunks.Load()
	l = h.lease("base")
	h.check(l, "base")
	l.Release()
	if n := w.chunks.Load() - requests; n != 0 {
		t.Errorf("%d requests for chunks once all were mended", n)
	}
}

// TestDeclare counts the memory of a former node for as long as a client has it.
func TestDeclare(t *testing.T) {
	w := newWorld(t)
	first := w.push("base")
	h := w.node(func(c *node.Config) { c.RAMLimits.Bytes = 8 * mib })
	defer h.close()
	h.load("base", openapi.TierDisk)
	second := w.push("base", synth.ChangeLayers(9, 1))
	h.load("base", openapi.TierDisk)
	held, err := h.Declare(t.Context(), openapi.LeaseDeclare{Ref: "acme/llama:base", Version: first}, []node.Orphan{{Device: 1, Inode: 2, Bytes: 6 * mib}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := (<-held.Moved()).Version; got != second {
		t.Errorf("moved to %s, want %s", got.Short(), second.Short())
	}
	if s := h.Status().Tiers.RAM; s.Orphaned != 6*mib || s.Used != 6*mib {
		t.Errorf("RAM is %+v", s)
	}
	if _, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:base"), Tier: openapi.TierRAM, Deadline: 2 * time.Second}); !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) || !strings.Contains(err.Error(), "former agent") {
		t.Errorf("load beside it: %v", err)
	}
	held.Release()
	if s := h.Status().Tiers.RAM; s.Orphaned != 0 || s.Used != 0 {
		t.Errorf("RAM is %+v", s)
	}
	h.load("base", openapi.TierRAM)
}

// TestStopMovesNothing stops a node under a lease of a version that its reference
// has left: what the client has mapped stays as it is, also when the lease ends.
func TestStopMovesNothing(t *testing.T) {
	w := newWorld(t)
	first := w.push("prod")
	h := w.node(nil)
	l := h.lease("prod")
	place, _ := l.Place(l.Manifest().Files[0].Chunks[0])
	before := h.read(l, place)
	segment, err := l.Segment(place.Segment)
	if err != nil {
		t.Fatal(err)
	}
	w.push("prod", synth.ChangeLayers(7, 1))
	h.load("prod", openapi.TierRAM)
	if l.Version() != first {
		t.Fatal("the lease moved")
	}
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	used := h.ram.Used()
	l.Release()
	if h.ram.Used() != used {
		t.Errorf("%d bytes of memory left a node that has stopped", used-h.ram.Used())
	}
	after := make([]byte, place.Length)
	if _, err := segment.File.ReadAt(after, place.Offset); err != nil || !bytes.Equal(before, after) {
		t.Errorf("what the client had mapped has changed: %v", err)
	}
	if _, err := h.Load(t.Context(), node.LoadOrder{Ref: ref("acme/llama:other"), Tier: openapi.TierRAM}); err == nil {
		t.Error("a node that has stopped loads")
	}
	h.close()
}
