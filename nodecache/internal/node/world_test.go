package node_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/trust"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

const mib = 1 << 20

// world is a registry, and the folder of a node.
type world struct {
	t       *testing.T
	client  *client.Registry
	handler http.Handler
	gone    atomic.Bool  // the registry does not answer
	chunks  atomic.Int64 // requests for chunks
	folder  string
	spec    synth.Spec
	models  map[string]string      // folder by tag
	keys    []*signature.PublicKey // that versions have to be signed by
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, folder: t.TempDir(), spec: small, models: map[string]string{}}
	r, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	w.handler = r.Handler()
	server := httptest.NewServer(http.HandlerFunc(w.serve))
	w.client, err = client.New(server.URL, client.Options{Patience: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.client.Close()
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	if w.gone.Load() {
		panic(http.ErrAbortHandler)
	}
	if r.Method == http.MethodGet && bytes.Contains([]byte(r.URL.Path), []byte("/chunks")) {
		w.chunks.Add(1)
	}
	w.handler.ServeHTTP(rw, r)
}

// push stores a model, changed, as acme/llama with that tag.
func (w *world) push(tag string, changes ...synth.Change) chunker.Digest {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), tag)
	if err := synth.Write(w.t.Context(), dir, w.spec, changes...); err != nil {
		w.t.Fatal(err)
	}
	w.models[tag] = dir
	receipt, err := w.client.Push(w.t.Context(), dir, ref("acme/llama:"+tag), client.PushOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := chunker.ParseDigest(receipt.Digest)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// small is about 5 MiB in four layers.
var small = synth.Spec{Layers: 4, Hidden: 256, KV: 128, FF: 512, Vocab: 512, DType: chunker.BF16, Seed: 1}

func ref(s string) name.Ref {
	r, err := name.ParseRef(s)
	if err != nil {
		panic(err)
	}
	return r
}

// house is a node with its tiers.
type house struct {
	*node.Node
	w    *world
	disk *disk.Store
	ram  *ram.Tier
}

// node opens the node in the world's folder. The caller closes it.
func (w *world) node(change func(*node.Config)) *house {
	w.t.Helper()
	c := node.Config{
		Name: "test", DiskLimits: ledger.Limits{Bytes: 256 * mib}, RAMLimits: ledger.Limits{Bytes: 128 * mib},
		Registry: w.client, Wait: 10 * time.Second, Workers: 4, Now: time.Now,
	}
	if change != nil {
		change(&c)
	}
	return w.open(c)
}

// open opens the tiers as the limits say, and the node on them.
func (w *world) open(c node.Config) *house {
	w.t.Helper()
	h := &house{w: w}
	var err error
	if h.disk, err = disk.Open(disk.Config{Dir: w.folder, Budget: c.DiskLimits.Bytes}); err != nil {
		w.t.Fatal(err)
	}
	if h.ram, err = ram.Open(ram.Config{Budget: c.RAMLimits.Bytes}); err != nil {
		w.t.Fatal(err)
	}
	c.Disk, c.RAM = h.disk, h.ram
	if w.keys != nil {
		c.Trust = trust.New(trust.Config{Registry: w.client, Store: h.disk, Keys: w.keys})
	}
	c.Logger = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	if h.Node, err = node.Open(c); err != nil {
		w.t.Fatal(err)
	}
	return h
}

// checkTensor compares a tensor with the file that it came from.
func (h *house) checkTensor(l *node.Lease, a node.Arrival, tag string) {
	h.w.t.Helper()
	m := l.Manifest()
	f := &m.Files[a.File]
	t := f.Tensors[a.Tensor]
	file, err := os.ReadFile(filepath.Join(h.w.models[tag], f.Path))
	if err != nil {
		h.w.t.Fatal(err)
	}
	var got []byte
	for offset, c := range m.Extents(f) {
		size := uint64(m.Chunks[c].Size)
		if offset+size <= t.Offset || offset >= t.Offset+t.Length {
			continue
		}
		p, ok := l.Place(c)
		if !ok {
			h.w.t.Fatalf("chunk %d of %s has no place", c, t.Name)
		}
		from, to := max(offset, t.Offset), min(offset+size, t.Offset+t.Length)
		got = append(got, h.read(l, p)[from-offset:to-offset]...)
	}
	if !bytes.Equal(got, file[t.Offset:t.Offset+t.Length]) {
		h.w.t.Errorf("tensor %s differs", t.Name)
	}
}

// close closes the node and what is below it.
func (h *house) close() {
	h.w.t.Helper()
	if err := h.Stop(); err != nil {
		h.w.t.Error(err)
	}
	if err := h.ram.Close(); err != nil {
		h.w.t.Error(err)
	}
	if err := h.disk.Close(); err != nil {
		h.w.t.Error(err)
	}
}

// load loads a tag.
func (h *house) load(tag string, to openapi.Tier) openapi.LoadReceipt {
	h.w.t.Helper()
	r, err := h.Load(h.w.t.Context(), node.LoadOrder{Ref: ref("acme/llama:" + tag), Tier: to})
	if err != nil {
		h.w.t.Fatal(err)
	}
	return r
}

// lease leases a tag.
func (h *house) lease(tag string) *node.Lease {
	h.w.t.Helper()
	l, err := h.Lease(h.w.t.Context(), node.LeaseOrder{Ref: ref("acme/llama:" + tag)}, nil)
	if err != nil {
		h.w.t.Fatal(err)
	}
	return l
}

// check compares every file of a lease with the model that was pushed as tag.
func (h *house) check(l *node.Lease, tag string) {
	h.w.t.Helper()
	m := l.Manifest()
	for i := range m.Files {
		var got []byte
		for _, c := range m.Files[i].Chunks {
			p, ok := l.Place(c)
			if !ok {
				h.w.t.Fatalf("chunk %d of %s is not there", c, m.Files[i].Path)
			}
			got = append(got, h.read(l, p)...)
		}
		want, err := os.ReadFile(filepath.Join(h.w.models[tag], m.Files[i].Path))
		if err != nil {
			h.w.t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			h.w.t.Errorf("%s of %s differs", m.Files[i].Path, tag)
		}
	}
}

func (h *house) read(l *node.Lease, p node.Place) []byte {
	h.w.t.Helper()
	s, err := l.Segment(p.Segment)
	if err != nil {
		h.w.t.Fatal(err)
	}
	b := make([]byte, p.Length)
	if _, err := io.ReadFull(io.NewSectionReader(s.File, p.Offset, p.Length), b); err != nil {
		h.w.t.Fatal(err)
	}
	return b
}

// model returns what the node says of a tag.
func (h *house) model(tag string) openapi.ModelStatus {
	h.w.t.Helper()
	for _, m := range h.Status().Models {
		if m.Ref == "acme/llama:"+tag {
			return m
		}
	}
	return openapi.ModelStatus{}
}

// until waits for something that happens behind the calls.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 4000 { // of 10 ms: more than any machine takes
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not happen", what)
}
