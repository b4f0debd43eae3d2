package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	model = name.Repo{Namespace: "acme", Name: "model"}
	alice = access.Principal{Subject: "alice"}
)

// noIndex is an index that knows nothing: what is found, is found by other ways.
type noIndex struct{}

func (noIndex) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }
func (noIndex) Lookup(_ context.Context, d []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(d)), nil
}

// store counts the bytes of the chunks that are stored.
type store struct {
	blobs.Store
	stored atomic.Int64
}

func (s *store) Put(ctx context.Context, name string, parts ...[]byte) error {
	for _, p := range parts {
		s.stored.Add(int64(len(p)))
	}
	return s.Store.Put(ctx, name, parts...)
}

type world struct {
	*ingest.Store
	t        *testing.T
	versions *versions.Service
	blobs    *store
	now      time.Time
}

func newWorld(t *testing.T, limit int64) *world {
	t.Helper()
	w := &world{t: t, blobs: &store{Store: blobs.NewMemory()}, now: time.Unix(1_800_000_000, 0).UTC()}
	w.versions = versions.New(versions.Config{
		Registers: registers.NewMemory(), Blobs: w.blobs, Index: noIndex{}, Policy: access.ByModel(access.Open{}),
		Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	})
	s, err := ingest.New(ingest.Config{
		Versions: w.versions, Dir: t.TempDir(), Limit: limit, Now: func() time.Time { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Store = s
	return w
}

// noise makes n bytes.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// arrive spools bytes in pieces of n.
func (w *world) arrive(b []byte, n int) *ingest.Spooled {
	w.t.Helper()
	f, err := w.Spool(int64(len(b)))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = f.Close() })
	for at := 0; at < len(b); at += n {
		if _, err := f.WriteAt(b[at:min(at+n, len(b))], int64(at)); err != nil {
			w.t.Fatal(err)
		}
	}
	return f
}

// keep has bytes arrive and kept.
func (w *world) keep(b []byte, path string) ingest.Object {
	w.t.Helper()
	o, err := w.Keep(w.t.Context(), alice, model, w.arrive(b, 1<<20), path, ingest.Want{SHA256: sumOf(b), Size: int64(len(b))})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// check reads an object and compares it.
func (w *world) check(o ingest.Object, want []byte) {
	w.t.Helper()
	repo, err := name.ParseRepo(o.From.Repo)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.versions.Read(w.t.Context(), alice, repo, o.From.Version)
	if err != nil {
		w.t.Fatal(err)
	}
	var got []byte
	for _, i := range r.Manifest.Files[0].Chunks {
		plain, release, err := r.Chunk(w.t.Context(), i)
		if err != nil {
			w.t.Fatal(err)
		}
		got = append(got, plain...)
		release()
	}
	if !bytes.Equal(got, want) || o.Size != int64(len(want)) || o.SHA256 != sumOf(want) {
		w.t.Errorf("object %.12s of %d bytes reads as %d others", o.SHA256, o.Size, len(got))
	}
}
