package remote_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/remote"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

var tiny = name.Repo{Namespace: "acme", Name: "tiny"}

func newRegistry(t *testing.T) *client.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.Handler())
	c, err := client.New(server.URL, client.Options{Patience: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// push stores files as a tag of acme/tiny.
func push(t *testing.T, c *client.Registry, tag string, files map[string][]byte, annotations map[string]string) chunker.Digest {
	t.Helper()
	dir := t.TempDir()
	for p, b := range files {
		if err := os.WriteFile(filepath.Join(dir, p), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	receipt, err := c.Push(t.Context(), dir, name.Ref{Repo: tiny, Tag: tag}, client.PushOptions{Annotations: annotations})
	if err != nil {
		t.Fatal(err)
	}
	d, err := chunker.ParseDigest(receipt.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSource(t *testing.T) {
	c := newRegistry(t)
	weights := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
	files := map[string][]byte{"config.json": []byte("{}"), "w.bin": weights, "empty": {}}
	d := push(t, c, "main", files, nil)
	foreign := strings.Repeat("ab", 20)
	f := push(t, c, "v2", map[string][]byte{"config.json": []byte("{2}")}, map[string]string{"hf.commit": foreign, "hf.title": "second"})
	if _, err := c.SetTag(t.Context(), tiny, "hf-"+foreign, openapi.SetTag{Digest: f, Expect: "none"}); err != nil {
		t.Fatal(err)
	}
	s := remote.New(remote.Config{Registry: c, Ahead: stream.NewAhead(16<<20, 0), HashWait: time.Minute})

	for revision, want := range map[string]string{
		"main": catalog.CommitOf(d), "refs/heads/main": catalog.CommitOf(d), catalog.CommitOf(d): catalog.CommitOf(d),
		d.String(): catalog.CommitOf(d), "v2": foreign, "refs/tags/v2": foreign, foreign: foreign, catalog.CommitOf(f): foreign,
	} {
		if r, err := s.Revision(t.Context(), tiny, revision); err != nil || r.Commit != want {
			t.Errorf("revision %s is %+v, %v; want commit %s", revision, r, err, want)
		}
	}
	r, err := s.Revision(t.Context(), tiny, "main")
	if err != nil || len(r.Files) != 3 || r.Created.Year() < 2000 {
		t.Fatalf("%+v, %v", r, err)
	}
	for i := range r.Files {
		f := &r.Files[i]
		if f.SHA256 == "" || f.ETag != f.SHA256 {
			t.Errorf("%+v", f)
		}
		check(t, s, r, f, files[f.Path])
	}
	refs, err := s.Refs(t.Context(), tiny)
	if err != nil || len(refs) != 2 || !refs[0].Branch || refs[1].Branch || refs[1].Commit != foreign {
		t.Errorf("refs %+v, %v", refs, err)
	}
	models, err := s.Models(t.Context(), catalog.Query{Search: "TIN"})
	if err != nil || len(models) != 1 || models[0].Commit != catalog.CommitOf(d) {
		t.Errorf("models %+v, %v", models, err)
	}
	if history, err := s.History(t.Context(), tiny, "v2", 10); err != nil || len(history) < 1 || history[0].Title != "second" ||
		history[0].By == "" || history[0].At.Year() < 2000 {
		t.Errorf("history %+v, %v", history, err)
	}
}

// check reads a file whole and in part.
func check(t *testing.T, s catalog.Source, r *catalog.Revision, f *catalog.File, want []byte) {
	t.Helper()
	content, err := s.Open(t.Context(), r, f)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	for _, span := range [][2]int64{{0, f.Size}, {f.Size / 3, f.Size / 2}} {
		var got bytes.Buffer
		if err := content.Send(t.Context(), &got, span[0], span[1]); err != nil || !bytes.Equal(got.Bytes(), want[span[0]:span[0]+span[1]]) {
			t.Errorf("%s from %d on: %d bytes, %v", f.Path, span[0], got.Len(), err)
		}
	}
}

func TestAbsent(t *testing.T) {
	c := newRegistry(t)
	push(t, c, "main", map[string][]byte{"config.json": []byte("{}")}, nil)
	s := remote.New(remote.Config{Registry: c, Ahead: stream.NewAhead(16<<20, 0)})
	for _, revision := range []string{"none", strings.Repeat("0", 40), strings.Repeat("0", 64), "a/b", "", strings.Repeat("x", 300)} {
		if _, err := s.Revision(t.Context(), tiny, revision); !errors.Is(err, catalog.ErrNoRevision) {
			t.Errorf("revision %q: %v, want ErrNoRevision", revision, err)
		}
		none := name.Repo{Namespace: "acme", Name: "none"}
		if _, err := s.Revision(t.Context(), none, revision); !errors.Is(err, catalog.ErrNoRepo) {
			t.Errorf("revision %q of no repository: %v, want ErrNoRepo", revision, err)
		}
	}
	if _, err := s.Refs(t.Context(), name.Repo{Namespace: "acme", Name: "none"}); !errors.Is(err, catalog.ErrNoRepo) {
		t.Errorf("%v, want ErrNoRepo", err)
	}
	if _, err := s.History(t.Context(), tiny, "none", 1); !errors.Is(err, catalog.ErrNoRevision) {
		t.Errorf("%v, want ErrNoRevision", err)
	}
}
