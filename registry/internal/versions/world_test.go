package versions_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	model = name.Repo{Namespace: "acme", Name: "model"}
	other = name.Repo{Namespace: "acme", Name: "other"}
	alice = access.Principal{Subject: "alice"}
	bob   = access.Principal{Subject: "bob"}
)

// index is a versions.Index in memory.
type index struct {
	mu sync.Mutex
	at map[chunker.Digest][]versions.Source
}

func (x *index) Add(_ context.Context, repo string, version chunker.Digest, chunks []chunker.Ref) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, ref := range chunks {
		x.at[ref.Digest] = append([]versions.Source{{Repo: repo, Version: version}}, x.at[ref.Digest]...)
	}
	return nil
}

func (x *index) Lookup(_ context.Context, digests []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	hints := make([][]versions.Source, len(digests))
	for i, d := range digests {
		hints[i] = x.at[d]
	}
	return hints, nil
}

// engine counts the writes of registers, and calls a hook before each.
type engine struct {
	registers.Engine
	swaps  atomic.Int64
	before func(key string)
}

func (e *engine) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	e.swaps.Add(1)
	if e.before != nil {
		e.before(key)
	}
	return e.Engine.CAS(ctx, key, want, val)
}

// store counts the blobs that are made.
type store struct {
	blobs.Store
	puts atomic.Int64
}

func (s *store) Put(ctx context.Context, name string, parts ...[]byte) error {
	s.puts.Add(1)
	return s.Store.Put(ctx, name, parts...)
}

// world is what survives a restart, and a service on it.
type world struct {
	*versions.Service
	t      *testing.T
	config versions.Config
	engine *engine
	store  *store
	index  *index
	now    time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(1_800_000_000, 0).UTC()}
	w.engine, w.store = &engine{Engine: registers.NewMemory()}, &store{Store: blobs.NewMemory()}
	w.index = &index{at: map[chunker.Digest][]versions.Source{}}
	w.config = versions.Config{
		Registers: w.engine, Blobs: w.store, Index: w.index, Policy: access.Open{},
		Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	}
	w.restart()
	return w
}

// restart makes a new service, which remembers nothing.
func (w *world) restart() { w.Service = versions.New(w.config) }

// plainOf makes the bytes of a chunk: noise, so that it stays long.
func plainOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1}).Read(b) // never fails
	return b
}

// version is a model of one file for each chunk.
type version struct {
	doc    []byte
	digest chunker.Digest
	chunks map[chunker.Digest][]byte // encoded
	order  []chunker.Digest
}

func newVersion(t *testing.T, parent chunker.Digest, plains ...[]byte) *version {
	t.Helper()
	v := &version{chunks: map[chunker.Digest][]byte{}}
	b := manifest.NewBuilder()
	for i, plain := range plains {
		d := chunker.Sum(plain)
		v.chunks[d] = codec.Append(nil, plain, chunker.Opaque)
		b.Add(manifest.File{Path: string(rune('a'+i%26)) + string(rune('a'+i/26)), Size: uint64(len(plain)), Format: "opaque"},
			[]chunker.Ref{{Digest: d, Size: uint32(len(plain))}})
	}
	m, err := b.Build(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.doc, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	v.digest = manifest.Name(v.doc)
	v.order = slices.SortedFunc(maps.Keys(v.chunks), func(a, b chunker.Digest) int { return bytes.Compare(a[:], b[:]) })
	return v
}

func (w *world) start(p access.Principal, repo name.Repo) string {
	w.t.Helper()
	push, err := w.StartPush(w.t.Context(), p, repo)
	if err != nil {
		w.t.Fatal(err)
	}
	return push.ID
}

// missing returns the chunks of v that the push must upload.
func (w *world) missing(p access.Principal, id string, v *version) []chunker.Digest {
	w.t.Helper()
	flags, err := w.Missing(w.t.Context(), p, id, v.order)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []chunker.Digest
	for i, m := range flags {
		if m {
			list = append(list, v.order[i])
		}
	}
	return list
}

// upload sends chunks in one batch.
func (w *world) upload(p access.Principal, id string, v *version, digests []chunker.Digest) openapi.Received {
	w.t.Helper()
	var batch []versions.Encoded
	for _, d := range digests {
		batch = append(batch, versions.Encoded{Digest: d, Bytes: v.chunks[d]})
	}
	got, err := w.PutBatch(w.t.Context(), p, id, batch)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// push does all that a client does, and returns how many chunks it uploaded.
func (w *world) push(p access.Principal, repo name.Repo, v *version, tag string) int {
	w.t.Helper()
	id := w.start(p, repo)
	lacking := w.missing(p, id, v)
	w.upload(p, id, v, lacking)
	if _, err := w.Commit(w.t.Context(), p, id, v.doc, tag, ""); err != nil {
		w.t.Fatal(err)
	}
	return len(lacking)
}

// check reads every chunk of v.
func (w *world) check(p access.Principal, repo name.Repo, v *version) {
	w.t.Helper()
	doc, err := w.Manifest(w.t.Context(), p, repo, v.digest)
	if err != nil || !bytes.Equal(doc, v.doc) {
		w.t.Fatalf("read %s: %v", v.digest.Short(), err)
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	indexes := make([]uint32, len(m.Chunks))
	for i := range indexes {
		indexes[i] = uint32(i)
	}
	located, err := w.Chunks(w.t.Context(), p, repo, v.digest, indexes)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, l := range located {
		r, err := w.OpenChunk(w.t.Context(), l)
		if err != nil {
			w.t.Fatalf("chunk %d: %v", i, err)
		}
		enc, err := io.ReadAll(r)
		if whole, _ := l.Stored(); err != nil || whole && int64(len(enc)) != l.Length {
			w.t.Fatalf("chunk %d: %d of %d bytes, %v", i, len(enc), l.Length, err)
		}
		plain, err := codec.Decode(nil, enc)
		if err != nil || chunker.Sum(plain) != m.Chunks[i].Digest || l.Digest != m.Chunks[i].Digest {
			w.t.Fatalf("chunk %d is not the one it should be: %v", i, err)
		}
	}
}

// wants fails the test unless err has that code.
func wants(t *testing.T, what string, err error, code openapi.Code) {
	t.Helper()
	_ = failure(t, what, err, code) // it has the test fail itself
}

// failure is wants for who looks at more of the error than its code.
func failure(t *testing.T, what string, err error, code openapi.Code) *openapi.Error {
	t.Helper()
	var e *openapi.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("%s: got %v, want %s", what, err, code)
	}
	return e
}
