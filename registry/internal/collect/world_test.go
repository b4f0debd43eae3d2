package collect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	repo  = name.Repo{Namespace: "acme", Name: "model"}
	alice = access.Principal{Subject: "alice"}
)

// hooked calls before ahead of every write, which fails with what that returns.
type hooked struct {
	*blobs.Memory
	engine registers.Engine
	before func(write string) error
	after  func(deleted []string)
}

// hookedEngine is the half of hooked that is an engine: the names of its methods are
// those of the other.
type hookedEngine struct{ *hooked }

func (h hookedEngine) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	return h.engine.Get(ctx, key)
}

func (h hookedEngine) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	return h.engine.List(ctx, prefix, after, n)
}

func (h hookedEngine) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if err := h.call("cas " + key + " " + phaseOf(val)); err != nil {
		return registers.Absent, err
	}
	return h.engine.CAS(ctx, key, want, val)
}

// phaseOf returns the phase or state that a value says, for hooks to look at.
func phaseOf(val []byte) string {
	for _, phase := range []string{record.Idle, record.Publishing, record.Sweeping, record.Pending, record.Committed, record.Dead} {
		if bytes.Contains(val, []byte(`"`+phase+`"`)) {
			return phase
		}
	}
	return ""
}

func (h *hooked) call(write string) error {
	if h.before != nil {
		return h.before(write)
	}
	return nil
}

func (h *hooked) Put(ctx context.Context, name string, parts ...[]byte) error {
	if err := h.call("put " + name); err != nil {
		return err
	}
	return h.Memory.Put(ctx, name, parts...)
}

func (h *hooked) Delete(ctx context.Context, names []string) error {
	if err := h.call("delete " + strings.Join(names, " ")); err != nil {
		return err
	}
	err := h.Memory.Delete(ctx, names)
	if h.after != nil {
		h.after(names)
	}
	return err
}

// world is a registry, and what has been pushed to it.
type world struct {
	*versions.Service
	t      *testing.T
	hooked *hooked
	config collect.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, hooked: &hooked{engine: registers.NewMemory(), Memory: blobs.NewMemory()}}
	index := &index{at: map[chunker.Digest][]versions.Source{}}
	w.Service = versions.New(versions.Config{
		Registers: hookedEngine{w.hooked}, Blobs: w.hooked, Index: index, Policy: access.Open{}, Now: time.Now,
		Logger: slog.New(slog.DiscardHandler),
	})
	w.config = collect.Config{
		Registers: hookedEngine{w.hooked}, Blobs: w.hooked, Sweeper: w.hooked, Now: time.Now,
		Logger: slog.New(slog.DiscardHandler), Owner: "test", Retire: w.Retire,
	}
	return w
}

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

// version is a model of one file for each chunk.
type version struct {
	doc    []byte
	digest chunker.Digest
	chunks map[chunker.Digest][]byte // encoded
}

// large chunks are blobs of their own, small ones lie in bundles.
const (
	large = openapi.SmallChunk + 1000
	small = 500
)

// newVersion makes a version of chunks of noise, one for each seed: even ones are
// large.
func newVersion(t testing.TB, seeds ...uint64) *version {
	t.Helper()
	var plains [][]byte
	for _, seed := range seeds {
		plain := make([]byte, small)
		if seed%2 == 0 {
			plain = make([]byte, large)
		}
		_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1}).Read(plain) // never fails
		plains = append(plains, plain)
	}
	return versionOf(t, plains...)
}

func versionOf(t testing.TB, plains ...[]byte) *version {
	t.Helper()
	v := &version{chunks: map[chunker.Digest][]byte{}}
	b := manifest.NewBuilder()
	for i, plain := range plains {
		d := chunker.Sum(plain)
		v.chunks[d] = codec.Append(nil, plain, chunker.Opaque)
		b.Add(manifest.File{Path: fmt.Sprintf("f%04d", i), Size: uint64(len(plain)), Format: "opaque"},
			[]chunker.Ref{{Digest: d, Size: uint32(len(plain))}})
	}
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.doc, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	v.digest = manifest.Name(v.doc)
	return v
}

// upload begins a push and sends what it lacks.
func (w *world) upload(v *version) (id string, sent int, err error) {
	push, err := w.StartPush(context.Background(), alice, repo)
	if err != nil {
		return "", 0, err
	}
	sent, err = w.send(push.ID, v)
	return push.ID, sent, err
}

func (w *world) send(id string, v *version) (sent int, err error) {
	digests := slices.SortedFunc(maps.Keys(v.chunks), func(a, b chunker.Digest) int { return bytes.Compare(a[:], b[:]) })
	missing, err := w.Missing(context.Background(), alice, id, digests)
	if err != nil {
		return 0, err
	}
	var batch []versions.Encoded
	for i, d := range digests {
		if missing[i] {
			batch = append(batch, versions.Encoded{Digest: d, Bytes: v.chunks[d]})
		}
	}
	_, err = w.PutBatch(context.Background(), alice, id, batch)
	return len(batch), err
}

// commit commits until the registry has all chunks, and returns how many had to be
// sent again.
func (w *world) commit(id string, v *version, tag string) (again int, err error) {
	for {
		_, err := w.Commit(context.Background(), alice, id, v.doc, tag, "")
		var missing *openapi.Error
		if !errors.As(err, &missing) || missing.Code != openapi.CodeMissingChunks {
			return again, err
		}
		n, err := w.send(id, v)
		if err != nil {
			return again, err
		}
		again += n
	}
}

// push does all that a client does, and returns how many chunks it sent.
func (w *world) push(v *version, tag string) int {
	w.t.Helper()
	id, sent, err := w.upload(v)
	if err != nil {
		w.t.Fatal(err)
	}
	again, err := w.commit(id, v, tag)
	if err != nil {
		w.t.Fatal(err)
	}
	return sent + again
}

// remove deletes a version and the tags that are given.
func (w *world) remove(v *version, tags ...string) {
	w.t.Helper()
	for _, tag := range tags {
		if err := w.DeleteTag(w.t.Context(), alice, repo, tag, ""); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.Delete(w.t.Context(), alice, repo, v.digest); err != nil {
		w.t.Fatal(err)
	}
}

// read returns nil if every chunk of v comes back.
func (w *world) read(v *version) error {
	doc, err := w.Manifest(context.Background(), alice, repo, v.digest)
	if err != nil {
		return err
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		return err
	}
	indexes := make([]uint32, len(m.Chunks))
	for i := range indexes {
		indexes[i] = uint32(i)
	}
	located, err := w.Chunks(context.Background(), alice, repo, v.digest, indexes)
	if err != nil {
		return err
	}
	for i, l := range located {
		r, err := w.OpenChunk(context.Background(), l)
		if err != nil {
			return err
		}
		enc, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if plain, err := codec.Decode(nil, enc); err != nil || chunker.Sum(plain) != m.Chunks[i].Digest {
			return fmt.Errorf("chunk %d is another: %w", i, err)
		}
	}
	return nil
}

func (w *world) check(vs ...*version) {
	w.t.Helper()
	for _, v := range vs {
		if err := w.read(v); err != nil {
			w.t.Errorf("read %s: %v", v.digest.Short(), err)
		}
	}
}

// collect collects with no grace.
func (w *world) collect() openapi.GCReport {
	w.t.Helper()
	report, err := w.collectAfter(0)
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

func (w *world) collectAfter(grace time.Duration) (openapi.GCReport, error) {
	return collect.New(w.config).Run(w.t.Context(), collect.Options{Grace: &grace})
}

// objects counts what the store holds, without lists.
func (w *world) objects() (n int) {
	w.t.Helper()
	for info, err := range w.hooked.List(w.t.Context(), "", "") {
		if err != nil {
			w.t.Fatal(err)
		}
		if !strings.HasPrefix(info.Name, "gl/") {
			n++
		}
	}
	return n
}
