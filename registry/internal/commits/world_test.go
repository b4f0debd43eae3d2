package commits_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	model = name.Repo{Namespace: "acme", Name: "model"}
	alice = access.Principal{Subject: "alice"}
)

// noIndex is an index that knows nothing.
type noIndex struct{}

func (noIndex) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }
func (noIndex) Lookup(_ context.Context, d []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(d)), nil
}

// world is a registry with two replicas.
type world struct {
	t        *testing.T
	versions *versions.Service
	ingest   *ingest.Store
	replicas [2]*commits.Service
	now      time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(1_800_000_000, 0).UTC()}
	config := versions.Config{
		Registers: registers.NewMemory(), Blobs: blobs.NewMemory(), Index: noIndex{}, Policy: access.ByModel(access.Open{}),
		Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	}
	for i := range w.replicas {
		v := versions.New(config)
		s, err := ingest.New(ingest.Config{Versions: v, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		w.versions, w.ingest, w.replicas[i] = v, s, commits.New(v, s, config.Logger)
	}
	return w
}

// object uploads a file.
func (w *world) object(content string) ingest.Object {
	w.t.Helper()
	f, err := w.ingest.Spool(int64(len(content)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		w.t.Fatal(err)
	}
	o, err := w.ingest.Keep(w.t.Context(), alice, model, f, "x", ingest.Want{Size: int64(len(content))})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// change reads "path=content" as a file that comes with the change, "path:content" as
// one that is uploaded first, "-path" and "-path/" as deletions.
func (w *world) change(parent string, ops ...string) commits.Change {
	w.t.Helper()
	c := commits.Change{Parent: parent, Annotations: map[string]string{"hf.title": "a title"}}
	for _, s := range ops {
		if p, content, ok := strings.Cut(s, "="); ok {
			sum := sha256.Sum256([]byte(content))
			c.Ops = append(c.Ops, commits.Op{
				Kind: commits.AddInline, Path: p, Content: strings.NewReader(content), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
			})
		} else if p, content, ok := strings.Cut(s, ":"); ok {
			c.Ops = append(c.Ops, commits.Op{Kind: commits.AddObject, Path: p, Object: w.object(content)})
		} else if p, ok := strings.CutSuffix(s[1:], "/"); ok {
			c.Ops = append(c.Ops, commits.Op{Kind: commits.DeleteFolder, Path: p})
		} else {
			c.Ops = append(c.Ops, commits.Op{Kind: commits.Delete, Path: p})
		}
	}
	return c
}

func (w *world) commit(c commits.Change) string {
	w.t.Helper()
	commit, d, err := w.replicas[0].Commit(w.t.Context(), alice, model, c)
	if err != nil {
		w.t.Fatal(err)
	}
	if d.String()[:40] != commit {
		w.t.Fatalf("version %s is commit %s", d, commit)
	}
	return commit
}

// read returns the version at a branch and its files, as "path=content".
func (w *world) read(branch string) (*versions.Reading, []string) {
	w.t.Helper()
	tag, err := w.versions.Tag(w.t.Context(), alice, model, branch)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.versions.Read(w.t.Context(), alice, model, tag.Digest)
	if err != nil {
		w.t.Fatal(err)
	}
	var files []string
	for i := range r.Manifest.Files {
		f := &r.Manifest.Files[i]
		o := ingest.ObjectOf(r.Manifest, f, versions.Source{Repo: model.String(), Version: tag.Digest}, "")
		var b bytes.Buffer
		if err := w.ingest.Copy(w.t.Context(), alice, &b, o); err != nil {
			w.t.Fatal(err)
		}
		files = append(files, f.Path+"="+b.String())
	}
	return r, files
}

// has compares the files of the default branch.
func (w *world) has(want ...string) {
	w.t.Helper()
	if _, got := w.read("main"); !slices.Equal(got, want) {
		w.t.Errorf("the branch has %q, want %q", got, want)
	}
}

// hashes returns the sha256 of the files at a branch that are known.
func (w *world) hashes(branch string) []string {
	w.t.Helper()
	r, _ := w.read(branch)
	list, _, err := w.versions.KnownHashes(w.t.Context(), alice, model, r.Info.Digest)
	if err != nil {
		w.t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range list.Files {
		known[f.Path+" "+f.SHA256[:8]] = true
	}
	return slices.Sorted(maps.Keys(known))
}
