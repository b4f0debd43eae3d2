package node_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// read compares every file of a version, read through a Reader, with the model that
// was pushed as tag.
func (h *house) readAll(d chunker.Digest, tag string, load bool) {
	h.w.t.Helper()
	m := h.manifest(d)
	r := h.Reader(ref("acme/llama:"+tag), d, m, load)
	ahead := stream.NewAhead(16*mib, 0)
	for i := range m.Files {
		var got bytes.Buffer
		content := stream.Chunked(m, &m.Files[i], r, ahead)
		if err := content.Send(h.w.t.Context(), &got, 0, content.Size()); err != nil {
			h.w.t.Errorf("read %s of %s: %v", m.Files[i].Path, tag, err)
			return
		}
		want, err := os.ReadFile(filepath.Join(h.w.models[tag], m.Files[i].Path))
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			h.w.t.Errorf("%s of %s differs, %v", m.Files[i].Path, tag, err)
		}
	}
}

func (h *house) manifest(d chunker.Digest) *manifest.Manifest {
	h.w.t.Helper()
	m, err := h.Manifest(h.w.t.Context(), ref("acme/llama").Repo, d)
	if err != nil {
		h.w.t.Fatal(err)
	}
	return m
}

// Those who read a version that is not on the node get it at once, and together with
// the load that they begin fetch no chunk twice.
func TestReadersLoad(t *testing.T) {
	w := newWorld(t)
	d := w.push("v1")
	h := w.node(nil)
	defer h.close()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { h.readAll(d, "v1", true) })
	}
	all.Wait()
	until(t, "the version comes onto the disk", func() bool { return h.model("v1").Tier == openapi.TierDisk })
	if got, want := h.Counters().Bytes.Registry, int64(h.manifest(d).ChunkBytes()); got != want {
		t.Errorf("%d bytes came from the registry, want %d", got, want)
	}
	w.gone.Store(true)
	h.readAll(d, "v1", true)
}

// Who only reads has the chunks kept, as long as nobody else wants the room.
func TestReadKeeps(t *testing.T) {
	w := newWorld(t)
	d := w.push("v1")
	h := w.node(nil)
	defer h.close()
	h.readAll(d, "v1", false)
	if m := h.model("v1"); m.Tier != openapi.TierNone {
		t.Errorf("%+v", m)
	}
	m := h.manifest(d)
	w.gone.Store(true)
	r := h.Reader(ref("acme/llama:v1"), d, m, false)
	for c := range m.Chunks {
		if _, release, err := r.Chunk(t.Context(), uint32(c)); err != nil {
			t.Errorf("chunk %d: %v", c, err)
		} else {
			release()
		}
	}
	if used := h.Status().Tiers.Disk.Used; used < int64(m.ChunkBytes()) {
		t.Errorf("%d bytes are accounted for", used)
	}
}

// A disk without room for a version passes it through, and keeps what it has.
func TestReadFullDisk(t *testing.T) {
	w := newWorld(t)
	d := w.push("v1")
	h := w.node(func(c *node.Config) { c.DiskLimits = ledger.Limits{Bytes: mib} })
	defer h.close()
	h.readAll(d, "v1", true)
	if used := h.Status().Tiers.Disk.Used; used > mib {
		t.Errorf("%d bytes are used of %d", used, mib)
	}
}

// What is in memory needs neither the disk nor the registry.
func TestReadRAM(t *testing.T) {
	w := newWorld(t)
	d := w.push("v1")
	h := w.node(nil)
	defer h.close()
	h.load("v1", openapi.TierRAM)
	m := h.manifest(d)
	for c := range h.disk.Chunks() {
		h.disk.Drop(c)
	}
	w.gone.Store(true)
	r := h.Reader(ref("acme/llama:v1"), d, m, true)
	for c := range m.Chunks {
		plain, release, err := r.Chunk(t.Context(), uint32(c))
		if err != nil || chunker.Sum(plain) != m.Chunks[c].Digest {
			t.Fatalf("chunk %d: %d bytes, %v", c, len(plain), err)
		}
		release()
	}
}

// A chunk that the disk has lost is fetched again.
func TestReadDamaged(t *testing.T) {
	w := newWorld(t)
	d := w.push("v1")
	h := w.node(nil)
	defer h.close()
	h.load("v1", openapi.TierDisk)
	err := filepath.WalkDir(filepath.Join(w.folder, "chunks"), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err == nil {
			b[len(b)/2] ^= 1
			err = os.WriteFile(p, b, 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.readAll(d, "v1", true)
	if n := h.Counters().Damaged; n == 0 {
		t.Error("nothing was damaged")
	}
}

// A reference is where the node serves it if the node follows it, and else where the
// registry has it, as long as that answers.
func TestWhere(t *testing.T) {
	w := newWorld(t)
	one := w.push("v1")
	tag := ref("acme/llama:v1")
	h := w.node(func(c *node.Config) { c.Look = w.client.Resolve })
	defer h.close()
	h.load("v1", openapi.TierDisk)
	receipt, err := w.client.SetTag(t.Context(), tag.Repo, "other", openapi.SetTag{Digest: one, Expect: "none"})
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, d chunker.Digest) {
		t.Helper()
		if got, err := h.Where(t.Context(), tag); err != nil || got != d {
			t.Errorf("%s: %s, %v; want %s", what, got.Short(), err, d.Short())
		}
	}
	want("at first", receipt.Digest)
	two := w.push("v1", synth.ChangeLayers(7, 0))
	want("moved", two)
	w.gone.Store(true)
	want("away", one)
	if !h.Away() {
		t.Error("the registry is not known to be away")
	}
	if served := h.Served(tag.Repo); served[tag] != one || len(served) != 1 {
		t.Errorf("%v", served)
	}
	if _, err := h.Where(t.Context(), ref("acme/none:v1")); err == nil {
		t.Error("a reference that nobody knows is somewhere")
	}
	if len(h.Served(name.Repo{})) != 1 {
		t.Errorf("%v", h.Served(name.Repo{}))
	}
}
