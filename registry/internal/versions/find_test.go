package versions_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestManyVersionsShareAChunk asks for a chunk that more versions place than a
// push may look at, and for one that a single version of another repository has.
func TestManyVersionsShareAChunk(t *testing.T) {
	w := newWorld(t)
	for i := range uint64(20) {
		w.push(alice, model, newVersion(t, chunker.Digest{}, large(1), small(100+i)), "")
	}
	w.push(alice, other, newVersion(t, chunker.Digest{}, large(2)), "")
	next := newVersion(t, chunker.Digest{}, large(1), large(2))
	if n := w.push(alice, model, next, ""); n != 0 {
		t.Errorf("uploads %d chunks", n)
	}
	w.check(alice, model, next)
}

// TestSourcesAreBounded needs more versions than a push may look at.
func TestSourcesAreBounded(t *testing.T) {
	w := newWorld(t)
	var plains [][]byte
	for i := range uint64(20) {
		plains = append(plains, small(i))
		w.push(alice, model, newVersion(t, chunker.Digest{}, small(i)), "")
	}
	next := newVersion(t, chunker.Digest{}, plains...)
	if n := w.push(alice, model, next, ""); n != 4 {
		t.Errorf("uploads %d chunks of 20, want all but those of 16 versions", n)
	}
	w.check(alice, model, next)
}

// TestPresentStaysPresent lets the index forget between the question and the
// commit.
func TestPresentStaysPresent(t *testing.T) {
	w := newWorld(t)
	w.push(alice, other, newVersion(t, chunker.Digest{}, large(1), small(2)), "")
	next := newVersion(t, chunker.Digest{}, large(1), small(2))
	id := w.start(alice, model)
	if n := len(w.missing(alice, id, next)); n != 0 {
		t.Fatalf("%d chunks are missing", n)
	}
	w.index.at = map[chunker.Digest][]versions.Source{}
	if _, err := w.Commit(t.Context(), alice, id, next.doc, "", ""); err != nil {
		t.Fatal(err)
	}
	w.check(alice, model, next)
}

// revoked hides a repository from everybody once it is told to.
type revoked struct {
	repo name.Repo
	now  bool
}

func (r *revoked) Allow(_ access.Principal, repo name.Repo, _ access.Action) error {
	if r.now && repo == r.repo {
		return access.ErrDenied
	}
	return nil
}

func TestRevokedInThePush(t *testing.T) {
	w := newWorld(t)
	policy := &revoked{repo: other}
	w.config.Policy = policy
	w.restart()
	w.push(alice, other, newVersion(t, chunker.Digest{}, large(1)), "")
	next := newVersion(t, chunker.Digest{}, large(1))
	id := w.start(alice, model)
	if n := len(w.missing(alice, id, next)); n != 0 {
		t.Fatalf("%d chunks are missing", n)
	}
	policy.now = true
	if n := len(w.missing(alice, id, next)); n != 1 {
		t.Errorf("%d chunks are missing after the leave to read was taken, want 1", n)
	}
	_, err := w.Commit(t.Context(), alice, id, next.doc, "", "")
	wants(t, "commit", err, openapi.CodeMissingChunks)
}

// rotten is a store whose bodies are damaged.
type rotten struct{ blobs.Store }

func (r rotten) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if strings.HasPrefix(name, "b/") {
		return io.NopCloser(bytes.NewReader(make([]byte, n))), nil
	}
	return r.Store.Open(ctx, name, off, n)
}

// TestDamagedBody shares a chunk with a version that cannot be read: the push
// does not need it.
func TestDamagedBody(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, v, "")
	w.config.Blobs = rotten{w.store}
	w.restart()
	if _, err := w.Manifest(t.Context(), alice, model, v.digest); err == nil {
		t.Fatal("a damaged version is read")
	}
	if n := w.push(alice, other, newVersion(t, chunker.Digest{}, large(1)), ""); n != 1 {
		t.Errorf("uploads %d chunks, want 1", n)
	}
}

// TestLittleMemory pushes with no room to remember the push.
func TestLittleMemory(t *testing.T) {
	w := newWorld(t)
	w.config.PushMemory, w.config.BodyCache = 1, 1
	w.restart()
	v := newVersion(t, chunker.Digest{}, large(1), large(2), small(3), small(4))
	id := w.start(alice, model)
	for _, d := range v.order {
		w.upload(alice, id, v, []chunker.Digest{d})
	}
	puts := w.store.puts.Load()
	if n := len(w.missing(alice, id, v)); n != 0 {
		t.Fatalf("%d chunks are missing", n)
	}
	if _, err := w.Commit(t.Context(), alice, id, v.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	if n := w.store.puts.Load() - puts; n != 1 {
		t.Errorf("%d blobs, want the body", n)
	}
	w.check(alice, model, v)
}
