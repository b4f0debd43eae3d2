package scrub_test

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
	"github.com/ingot-ml/ingot/registry/internal/scrub"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	model = name.Repo{Namespace: "acme", Name: "model"}
	other = name.Repo{Namespace: "acme", Name: "other"}
	alien = name.Repo{Namespace: "guest", Name: "model"}
	alice = access.Principal{Subject: "alice"}
)

// rotting is a store in which bits flip, on the disk or on the way.
type rotting struct {
	*blobs.Memory

	mu    sync.Mutex // protects the fields below
	flips map[string][]int64
	once  map[string]int // how many reads go wrong before one is right
	down  int            // how many reads fail
	reads map[string]int
	stat  func(object string) // called before each Stat
}

var errDown = errors.New("no answer")

// flip damages the byte of a blob.
func (r *rotting) flip(object string, at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flips[object] = append(r.flips[object], at)
}

func (r *rotting) Open(ctx context.Context, object string, off, n int64) (io.ReadCloser, error) {
	body, err := r.Memory.Open(ctx, object, off, n)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads[object]++
	if r.down > 0 {
		r.down--
		return nil, errDown
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	for _, at := range r.flips[object] {
		if at >= off && at < off+int64(len(raw)) {
			raw[at-off] ^= 4
		}
	}
	if r.once[object] > 0 {
		r.once[object]--
		raw[len(raw)/2] ^= 4
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (r *rotting) Stat(ctx context.Context, object string) (blobs.Info, error) {
	if r.stat != nil {
		r.stat(object)
	}
	return r.Memory.Stat(ctx, object)
}

func (r *rotting) Delete(ctx context.Context, names []string) error {
	r.mu.Lock()
	for _, object := range names {
		delete(r.flips, object)
	}
	r.mu.Unlock()
	return r.Memory.Delete(ctx, names)
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

func (x *index) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.at)
}

// world is a registry, what has been pushed to it, and what looks after it.
type world struct {
	*versions.Service
	t        *testing.T
	engine   registers.Engine
	store    *rotting
	index    *index
	versions versions.Config
	config   scrub.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, engine: registers.NewMemory(), index: &index{at: map[chunker.Digest][]versions.Source{}},
		store: &rotting{Memory: blobs.NewMemory(), flips: map[string][]int64{}, once: map[string]int{}, reads: map[string]int{}},
	}
	w.versions = versions.Config{
		Registers: w.engine, Blobs: w.store, Index: w.index, Policy: access.Open{}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	w.restart()
	return w
}

// restart makes services that remember nothing.
func (w *world) restart() {
	w.Service = versions.New(w.versions)
	w.config.Service, w.config.Registers, w.config.Blobs, w.config.Now = w.Service, w.engine, w.store, time.Now
	w.config.Logger, w.config.Rand = slog.New(slog.DiscardHandler), w.Service.Rand
}

// verify verifies in a process that remembers nothing.
func (w *world) verify(deep bool) openapi.VerifyReport {
	w.t.Helper()
	w.restart()
	got, err := scrub.New(w.config).Verify(w.t.Context(), deep, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// sound fails the test unless a verification finds nothing.
func (w *world) sound(when string) {
	w.t.Helper()
	got := w.verify(true)
	if len(got.Bad)+len(got.Missing)+len(got.Foreign)+got.Healed != 0 {
		w.t.Errorf("%s: %+v", when, got)
	}
}

// quarantined returns what is out of use.
func (w *world) quarantined() []*record.Quarantine {
	w.t.Helper()
	list, err := w.Quarantined(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// collect frees what no version needs, at once.
func (w *world) collect() openapi.GCReport {
	w.t.Helper()
	zero := time.Duration(0)
	got, err := w.collector().Run(w.t.Context(), collect.Options{Grace: &zero})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// large is over openapi.SmallChunk when encoded, small is under it.
func large(seed uint64) []byte { return plainOf(seed, 300<<10) }
func small(seed uint64) []byte { return plainOf(seed, 1000) }

// plainOf makes the bytes of a chunk: noise, so that it stays long.
func plainOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1}).Read(b) // never fails
	return b
}

// version is a model of one file for each chunk.
type version struct {
	doc    []byte
	digest chunker.Digest
	chunks map[chunker.Digest][]byte // encoded
	order  []chunker.Digest
}

func newVersion(t *testing.T, plains ...[]byte) *version {
	t.Helper()
	v := &version{chunks: map[chunker.Digest][]byte{}}
	b := manifest.NewBuilder()
	for i, plain := range plains {
		d := chunker.Sum(plain)
		v.chunks[d] = codec.Append(nil, plain, chunker.Opaque)
		b.Add(manifest.File{Path: fmt.Sprintf("%06d", i), Size: uint64(len(plain)), Format: "opaque"},
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
	v.order = slices.SortedFunc(maps.Keys(v.chunks), func(a, b chunker.Digest) int { return bytes.Compare(a[:], b[:]) })
	return v
}

// ref is how a report names the version.
func (v *version) ref(repo name.Repo) string { return repo.String() + "@" + v.digest.String() }

// push does all that a client does, and returns how many chunks it uploaded. Whole
// uploads what other versions have too.
func (w *world) push(repo name.Repo, v *version, tag string, whole bool) int {
	w.t.Helper()
	push, err := w.StartPush(w.t.Context(), alice, repo)
	if err != nil {
		w.t.Fatal(err)
	}
	missing, err := w.Missing(w.t.Context(), alice, push.ID, v.order)
	if err != nil {
		w.t.Fatal(err)
	}
	var batch []versions.Encoded
	for i, d := range v.order {
		if missing[i] || whole {
			batch = append(batch, versions.Encoded{Digest: d, Bytes: v.chunks[d]})
		}
	}
	if len(batch) > 0 {
		if _, err := w.PutBatch(w.t.Context(), alice, push.ID, batch); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.Commit(w.t.Context(), alice, push.ID, v.doc, tag, ""); err != nil {
		w.t.Fatal(err)
	}
	return len(batch)
}

// remove deletes a version and its tag.
func (w *world) remove(repo name.Repo, v *version, tag string) {
	w.t.Helper()
	if err := w.DeleteTag(w.t.Context(), alice, repo, tag, ""); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Delete(w.t.Context(), alice, repo, v.digest); err != nil {
		w.t.Fatal(err)
	}
}

// read reads every chunk of v. An error is damage that a reader is told of; wrong
// bytes fail the test.
func (w *world) read(repo name.Repo, v *version) error {
	w.t.Helper()
	doc, err := w.Manifest(w.t.Context(), alice, repo, v.digest)
	if err != nil {
		return err
	}
	if !bytes.Equal(doc, v.doc) {
		w.t.Errorf("%s has another manifest", v.ref(repo))
	}
	var failed error
	for i := range v.order {
		located, err := w.Chunks(w.t.Context(), alice, repo, v.digest, []uint32{uint32(i)})
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		r, err := w.OpenChunk(w.t.Context(), located[0])
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		enc, err := io.ReadAll(r)
		if err != nil {
			w.t.Error(err)
		}
		plain, err := codec.Decode(nil, enc)
		if err == nil && chunker.Sum(plain) != located[0].Digest {
			w.t.Errorf("%s: chunk %d has other bytes, and nothing says so", v.ref(repo), i)
		}
		failed = errors.Join(failed, err) // a client compares too
	}
	return failed
}

// check fails the test unless every chunk can be read, by a process that remembers
// nothing.
func (w *world) check(repo name.Repo, v *version) {
	w.t.Helper()
	w.restart()
	if err := w.read(repo, v); err != nil {
		w.t.Errorf("read %s: %v", v.ref(repo), err)
	}
}

// blobsOf returns the names that start with prefix.
func (w *world) blobsOf(prefix string) (names []string) {
	w.t.Helper()
	for info, err := range w.store.List(w.t.Context(), prefix, "") {
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

// chunkIn returns the object of a chunk that is one.
func (w *world) chunkIn(plain []byte) string {
	w.t.Helper()
	hash := chunker.Sum(plain).String()
	names := w.blobsOf("c/" + hash[:3] + "/" + hash)
	if len(names) == 0 {
		w.t.Fatalf("chunk %.12s is no object", hash)
	}
	return names[0]
}

func objectsOf(list []openapi.BadObject) string {
	var names []string
	for _, b := range list {
		names = append(names, b.Object)
	}
	return strings.Join(names, " ")
}

// collectIfItCan collects; it must not while the body of a version cannot be read.
func (w *world) collectIfItCan() {
	w.t.Helper()
	hurt := false
	w.restart()
	for _, repo := range []name.Repo{model, other} {
		list, err := w.Versions(w.t.Context(), alice, repo, "", 100)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, v := range list.Versions {
			if _, err := w.Manifest(w.t.Context(), alice, repo, v.Digest); err != nil {
				hurt = true
			}
		}
	}
	zero := time.Duration(0)
	_, err := w.collector().Run(w.t.Context(), collect.Options{Grace: &zero})
	if (err != nil) != hurt {
		w.t.Errorf("collect while bodies are damaged (%v): %v", hurt, err)
	}
}

func (w *world) collector() *collect.Collector {
	return collect.New(collect.Config{
		Registers: w.engine, Blobs: w.store, Sweeper: w.store, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Owner: "test",
	})
}
