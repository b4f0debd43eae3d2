package view_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/internal/view"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

var (
	model = name.Repo{Namespace: "acme", Name: "model"}
	alice = access.Principal{Subject: "alice"}
	eve   = access.Principal{Subject: "eve"}
)

// fenced is a Policy under which eve may do nothing.
type fenced struct{}

func (fenced) Allow(p access.Principal, _ name.Repo, _ access.Action) error {
	if p == eve {
		return access.ErrDenied
	}
	return nil
}

// noIndex knows nothing, as an index may.
type noIndex struct{}

func (noIndex) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }
func (noIndex) Lookup(_ context.Context, d []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(d)), nil
}

// world is a view of one repository, which alice pushes to.
type world struct {
	*view.View
	t       *testing.T
	service *versions.Service
	blobs   *slowBlobs
	ctx     context.Context
}

// slowBlobs is a store whose chunks can be read once gate is closed, and counts how
// often one is.
type slowBlobs struct {
	blobs.Store
	gate  chan struct{} // nil for open
	reads atomic.Int64
}

func (s *slowBlobs) Open(ctx context.Context, name string, offset, n int64) (io.ReadCloser, error) {
	if strings.HasPrefix(name, "c/") {
		s.reads.Add(1)
		if s.gate != nil {
			<-s.gate
		}
	}
	return s.Store.Open(ctx, name, offset, n)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store := &slowBlobs{Store: blobs.NewMemory()}
	s := versions.New(versions.Config{
		Registers: registers.NewMemory(), Blobs: store, Index: noIndex{}, Policy: fenced{},
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	v := view.New(s, stream.NewAhead(16<<20, 0))
	t.Cleanup(v.Close)
	return &world{v, t, s, store, access.NewContext(t.Context(), alice)}
}

// push makes a version of files, each of chunks of 1000 bytes, and tags it.
func (w *world) push(tag string, parent chunker.Digest, annotations map[string]string, files map[string][]byte) chunker.Digest {
	w.t.Helper()
	p, err := w.service.StartPush(w.ctx, alice, model)
	if err != nil {
		w.t.Fatal(err)
	}
	b := manifest.NewBuilder()
	for path, content := range files {
		var refs []chunker.Ref
		for rest := content; len(rest) > 0; {
			plain := rest[:min(1000, len(rest))]
			rest = rest[len(plain):]
			d := chunker.Sum(plain)
			refs = append(refs, chunker.Ref{Digest: d, Size: uint32(len(plain))})
			if _, err := w.service.PutChunk(w.ctx, alice, p.ID, d, codec.Append(nil, plain, chunker.Opaque)); err != nil {
				w.t.Fatal(err)
			}
		}
		b.Add(manifest.File{Path: path, Size: uint64(len(content)), Format: "opaque"}, refs)
	}
	m, err := b.Build(parent, annotations)
	if err != nil {
		w.t.Fatal(err)
	}
	doc, err := m.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	done, err := w.service.Commit(w.ctx, alice, p.ID, doc, tag, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return done.Digest
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b) // never fails
	return b
}

func TestRevision(t *testing.T) {
	w := newWorld(t)
	weights := noise(5555)
	d := w.push("main", chunker.Digest{}, map[string]string{"step": "7"}, map[string][]byte{"model.bin": weights, "config.json": []byte("{}")})
	for _, revision := range []string{"main", "refs/heads/main", "refs/tags/main", d.String(), catalog.CommitOf(d)} {
		r, err := w.Revision(w.ctx, model, revision)
		if err != nil {
			t.Fatalf("%s: %v", revision, err)
		}
		if r.Digest != d || r.Commit != d.String()[:40] || r.Annotations["step"] != "7" || r.Created.IsZero() {
			t.Errorf("%s: %+v", revision, r)
		}
		f := r.File("model.bin")
		sum := sha256.Sum256(weights)
		if f == nil || f.SHA256 != hex.EncodeToString(sum[:]) || f.ETag != f.SHA256 || f.Size != 5555 {
			t.Fatalf("%s: %+v", revision, f)
		}
		content, err := w.Open(w.ctx, r, f)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := content.Send(w.ctx, &got, 999, 2002); err != nil || !bytes.Equal(got.Bytes(), weights[999:3001]) {
			t.Errorf("%s: %d bytes, %v", revision, got.Len(), err)
		}
	}
	for _, revision := range []string{"v2", strings.Repeat("a", 40), strings.Repeat("a", 64), "refs/pr/1", "feature/x", "", "../main"} {
		if _, err := w.Revision(w.ctx, model, revision); !errors.Is(err, catalog.ErrNoRevision) {
			t.Errorf("%q: %v, want no revision", revision, err)
		}
	}
	if _, err := w.Revision(w.ctx, name.Repo{Namespace: "acme", Name: "none"}, "main"); !errors.Is(err, catalog.ErrNoRepo) {
		t.Errorf("another repository: %v", err)
	}
}

// TestDenied wants a repository that may not be read to look like one that is not
// there, whatever is asked of it.
func TestDenied(t *testing.T) {
	w := newWorld(t)
	d := w.push("main", chunker.Digest{}, nil, map[string][]byte{"a": []byte("a")})
	r, err := w.Revision(w.ctx, model, "main")
	if err != nil {
		t.Fatal(err)
	}
	ctx := access.NewContext(t.Context(), eve)
	for _, revision := range []string{"main", "v2", d.String(), catalog.CommitOf(d), strings.Repeat("b", 40)} {
		if _, err := w.Revision(ctx, model, revision); !errors.Is(err, catalog.ErrNoRepo) {
			t.Errorf("%s: %v, want no repository", revision, err)
		}
	}
	if _, err := w.Refs(ctx, model); !errors.Is(err, catalog.ErrNoRepo) {
		t.Errorf("refs: %v", err)
	}
	if _, err := w.History(ctx, model, "main", 5); !errors.Is(err, catalog.ErrNoRepo) {
		t.Errorf("history: %v", err)
	}
	if _, err := w.Open(ctx, r, &r.Files[0]); err == nil {
		t.Error("the file was opened")
	}
	if list, err := w.Models(ctx, catalog.Query{}); err != nil || len(list) != 0 {
		t.Errorf("models: %v %v", list, err)
	}
}

// TestForeign has a version under the name that its commit has on another hub.
func TestForeign(t *testing.T) {
	w := newWorld(t)
	sha := strings.Repeat("0123456789", 4)
	d := w.push("main", chunker.Digest{}, map[string]string{view.AnnotationCommit: sha}, map[string][]byte{"a": []byte("a")})
	if _, err := w.service.SetTag(w.ctx, alice, model, view.ForeignTag(sha), openapi.SetTag{Digest: d}); err != nil {
		t.Fatal(err)
	}
	for _, revision := range []string{"main", sha, catalog.CommitOf(d)} {
		if r, err := w.Revision(w.ctx, model, revision); err != nil || r.Commit != sha || r.Digest != d {
			t.Errorf("%s: %+v %v", revision, r, err)
		}
	}
	refs, err := w.Refs(w.ctx, model)
	if err != nil || len(refs) != 1 || refs[0] != (catalog.Ref{Name: "main", Branch: true, Commit: sha}) {
		t.Errorf("refs: %+v %v", refs, err)
	}
	list, err := w.Models(w.ctx, catalog.Query{Namespace: "acme", Search: "MOD"})
	if err != nil || len(list) != 1 || list[0].Commit != sha {
		t.Errorf("models: %+v %v", list, err)
	}
	// Nobody else's word for a commit counts: it has to look like one.
	w.push("other", chunker.Digest{}, map[string]string{view.AnnotationCommit: strings.Repeat("../.", 10)}, map[string][]byte{"b": []byte("b")})
	if r, err := w.Revision(w.ctx, model, "other"); err != nil || r.Commit != catalog.CommitOf(r.Digest) {
		t.Errorf("a commit that is none: %+v %v", r, err)
	}
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	first := w.push("main", chunker.Digest{}, nil, map[string][]byte{"a": []byte("1")})
	second := w.push("main", first, map[string]string{view.AnnotationTitle: "step 2", view.AnnotationMessage: "more"}, map[string][]byte{"a": []byte("2")})
	list, err := w.History(w.ctx, model, "main", 9)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	if list[0].Commit != catalog.CommitOf(second) || list[0].Title != "step 2" || list[0].Message != "more" || list[0].By != "alice" {
		t.Errorf("%+v", list[0])
	}
	if list[1].Commit != catalog.CommitOf(first) {
		t.Errorf("%+v", list[1])
	}
	if list, err = w.History(w.ctx, model, "main", 1); err != nil || len(list) != 1 {
		t.Errorf("limited: %+v %v", list, err)
	}
}

// TestUnhashed has a version whose files nobody has hashed: it is listed all the same,
// and its chunks are read once, however often somebody asks meanwhile.
func TestUnhashed(t *testing.T) {
	w := newWorld(t)
	d := w.push("main", chunker.Digest{}, nil, map[string][]byte{"a": noise(900)})
	w.blobs.gate = make(chan struct{})
	w.Patience(time.Millisecond)
	var etag string
	for range 5 {
		r, err := w.Revision(w.ctx, model, "main")
		if err != nil || r.Digest != d {
			t.Fatalf("%+v %v", r, err)
		}
		f := r.File("a")
		if f.SHA256 != "" || len(f.ETag) != 40 || etag != "" && f.ETag != etag {
			t.Fatalf("%+v, before %s", f, etag)
		}
		etag = f.ETag
	}
	close(w.blobs.gate)
	sum := sha256.Sum256(noise(900))
	for f := new(catalog.File); f.SHA256 == ""; {
		r, err := w.Revision(w.ctx, model, "main")
		if err != nil {
			t.Fatal(err)
		}
		if f = r.File("a"); f.SHA256 != "" && (f.SHA256 != hex.EncodeToString(sum[:]) || f.ETag != f.SHA256) {
			t.Fatalf("%+v", f)
		}
	}
	if n := w.blobs.reads.Load(); n != 1 {
		t.Errorf("a chunk was read %d times", n)
	}
}
