package hubnode_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/remote"
	"github.com/ingot-ml/ingot/nodecache/internal/hubnode"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

var tiny = name.Repo{Namespace: "acme", Name: "tiny"}

// world is a registry and a node that has what has is of.
type world struct {
	t      *testing.T
	client *client.Registry
	away   atomic.Bool
	source *hubnode.Source

	has       map[name.Ref]chunker.Digest
	manifests map[chunker.Digest]*manifest.Manifest
	sums      map[chunker.Digest]map[string]string
	loads     map[name.Ref]bool // asked to be kept whole
}

func newWorld(t *testing.T, alone bool) *world {
	t.Helper()
	w := &world{
		t: t, has: map[name.Ref]chunker.Digest{}, manifests: map[chunker.Digest]*manifest.Manifest{},
		sums: map[chunker.Digest]map[string]string{}, loads: map[name.Ref]bool{},
	}
	r, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		if w.away.Load() {
			panic(http.ErrAbortHandler)
		}
		r.Handler().ServeHTTP(rw, q)
	}))
	if w.client, err = client.New(server.URL, client.Options{Patience: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.client.Close()
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	c := hubnode.Config{Node: w, Ahead: stream.NewAhead(16<<20, 0)}
	if !alone {
		c.Remote = remote.New(remote.Config{Registry: w.client, Ahead: c.Ahead, HashWait: time.Minute})
	}
	w.source = hubnode.New(c)
	return w
}

// push stores files as a tag.
func (w *world) push(tag string, files map[string][]byte) chunker.Digest {
	w.t.Helper()
	dir := w.t.TempDir()
	for p, b := range files {
		if err := os.WriteFile(filepath.Join(dir, p), b, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	ref := name.Ref{Repo: tiny, Tag: tag}
	if _, err := w.client.Push(w.t.Context(), dir, ref, client.PushOptions{}); err != nil {
		w.t.Fatal(err)
	}
	m, d, err := w.client.Manifest(w.t.Context(), ref)
	if err != nil {
		w.t.Fatal(err)
	}
	w.manifests[d] = m
	return d
}

// What follows implements hubnode.Node.

func (w *world) Where(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	d, err := w.client.Resolve(ctx, ref)
	if last, ok := w.has[ref]; ok && errors.Is(err, client.ErrUnreachable) {
		return last, nil
	}
	return d, err
}

func (w *world) Served(repo name.Repo) map[name.Ref]chunker.Digest {
	served := maps.Clone(w.has)
	maps.DeleteFunc(served, func(ref name.Ref, _ chunker.Digest) bool { return repo != name.Repo{} && repo != ref.Repo })
	return served
}

func (w *world) Away() bool { return w.away.Load() }

func (w *world) Manifest(_ context.Context, _ name.Repo, d chunker.Digest) (*manifest.Manifest, error) {
	if m := w.manifests[d]; m != nil {
		return m, nil
	}
	return nil, openapi.Errorf(openapi.CodeNotFound, "no such version")
}

func (w *world) Hashes(d chunker.Digest) map[string]string           { return w.sums[d] }
func (w *world) KeepHashes(d chunker.Digest, sums map[string]string) { w.sums[d] = sums }

func (w *world) Chunks(ref name.Ref, d chunker.Digest, m *manifest.Manifest, load bool) stream.Chunks {
	w.loads[ref] = load
	return &chunks{w, d, m}
}

type chunks struct {
	w *world
	d chunker.Digest
	m *manifest.Manifest
}

func (c *chunks) Chunk(ctx context.Context, i uint32) ([]byte, func(), error) {
	room, release := stream.Room()
	plain, err := c.w.client.Plain(ctx, tiny, c.d, c.m, i, room)
	return plain, release, err
}

// TestAway asks for everything while the registry answers, and again when it does not:
// what the node has is the same, and what it has not is told apart from what is not.
func TestAway(t *testing.T) {
	w := newWorld(t, false)
	d := w.push("main", map[string][]byte{"config.json": []byte("{}"), "w.bin": bytes.Repeat([]byte("0123456789"), 10_000)})
	w.push("other", map[string][]byte{"config.json": []byte("{2}")})
	w.has[name.Ref{Repo: tiny, Tag: "main"}] = d
	none := name.Repo{Namespace: "acme", Name: "none"}
	for _, away := range []bool{false, true} {
		w.away.Store(away)
		if away { // nothing is remembered by what was asked before
			w.source = hubnode.New(hubnode.Config{Node: w, Ahead: stream.NewAhead(1<<20, 0), Remote: remote.New(remote.Config{Registry: w.client, Ahead: stream.NewAhead(1<<20, 0)})})
		}
		for _, revision := range []string{"main", "refs/heads/main", catalog.CommitOf(d), d.String()} {
			r, err := w.source.Revision(t.Context(), tiny, revision)
			if err != nil || r.Commit != catalog.CommitOf(d) || len(r.Files) != 2 || r.Files[0].SHA256 == "" {
				t.Errorf("away %t: %s is %+v, %v", away, revision, r, err)
			}
		}
		models, err := w.source.Models(t.Context(), catalog.Query{Namespace: "acme", Search: "tin"})
		if err != nil || len(models) != 1 || models[0].Commit != catalog.CommitOf(d) {
			t.Errorf("away %t: models %+v, %v", away, models, err)
		}
		refs, err := w.source.Refs(t.Context(), tiny)
		if err != nil || refs[0].Name != "main" || !refs[0].Branch || refs[0].Commit != catalog.CommitOf(d) || len(refs) == 1 != away {
			t.Errorf("away %t: refs %+v, %v", away, refs, err)
		}
		if list, err := w.source.History(t.Context(), tiny, "main", 5); err != nil || list[0].Commit != catalog.CommitOf(d) || list[0].At.Year() < 1970 {
			t.Errorf("away %t: history %+v, %v", away, list, err)
		}
		unavailable := &openapi.Error{Code: openapi.CodeUnavailable}
		for _, c := range []struct {
			repo           name.Repo
			revision       string
			answered, gone error
		}{
			{none, "main", catalog.ErrNoRepo, unavailable},
			{none, strings.Repeat("0", 40), catalog.ErrNoRepo, unavailable},
			{tiny, "none", catalog.ErrNoRevision, unavailable},
			{tiny, strings.Repeat("0", 40), catalog.ErrNoRevision, unavailable},
			{tiny, "a/b", catalog.ErrNoRevision, catalog.ErrNoRevision},
		} {
			want := c.answered
			if away {
				want = c.gone
			}
			if _, err := w.source.Revision(t.Context(), c.repo, c.revision); !errors.Is(err, want) {
				t.Errorf("away %t: %s at %s: %v, want %v", away, c.repo, c.revision, err, want)
			}
		}
	}
}

// TestAlone is a node without a registry: it knows what there is.
func TestAlone(t *testing.T) {
	w := newWorld(t, true)
	d := w.push("main", map[string][]byte{"config.json": []byte("{}")})
	w.has[name.Ref{Repo: tiny, Tag: "main"}] = d
	r, err := w.source.Revision(t.Context(), tiny, "main")
	if err != nil || len(r.Files[0].ETag) != catalog.CommitLen || r.Files[0].SHA256 != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := w.source.Revision(t.Context(), tiny, "none"); !errors.Is(err, catalog.ErrNoRevision) {
		t.Errorf("%v, want ErrNoRevision", err)
	}
	if _, err := w.source.Revision(t.Context(), name.Repo{Namespace: "acme", Name: "none"}, "main"); !errors.Is(err, catalog.ErrNoRepo) {
		t.Errorf("%v, want ErrNoRepo", err)
	}
}

// TestLoads: who reads weights has the node keep the version, under the tag by which
// it was found; who reads something small, or one of several files of GGUF, has not.
func TestLoads(t *testing.T) {
	w := newWorld(t, false)
	large := make([]byte, 33<<20)
	for _, c := range []struct {
		tag, file string
		files     map[string][]byte
		want      bool
	}{
		{"small", "config.json", map[string][]byte{"config.json": {1}, "w.bin": large}, false},
		{"weights", "w.bin", map[string][]byte{"config.json": {2}, "w.bin": large}, true},
		{"choices", "b.gguf.txt", map[string][]byte{"a.gguf": nil, "c.gguf": nil, "b.gguf.txt": large}, false},
	} {
		w.push(c.tag, c.files)
		r, err := w.source.Revision(t.Context(), tiny, c.tag)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = w.source.Revision(t.Context(), tiny, r.Commit); err != nil { // as clients do
			t.Fatal(err)
		}
		content, err := w.source.Open(t.Context(), r, r.File(c.file))
		if err != nil {
			t.Fatal(err)
		}
		if load, asked := w.loads[name.Ref{Repo: tiny, Tag: c.tag}]; load != c.want || !asked {
			t.Errorf("%s: load %t, asked %t", c.tag, load, asked)
		}
		var got bytes.Buffer
		if err := content.Send(t.Context(), &got, 0, content.Size()); err != nil || !bytes.Equal(got.Bytes(), c.files[c.file]) {
			t.Errorf("%s: %d bytes, %v", c.tag, got.Len(), err)
		}
	}
}
