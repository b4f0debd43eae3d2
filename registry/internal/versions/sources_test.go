package versions_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// forgetful is an index that knows nothing.
type forgetful struct{}

func (forgetful) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }
func (forgetful) Lookup(_ context.Context, d []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(d)), nil
}

// TestSources commits a version of chunks that many others have, of which only the
// one who commits knows.
func TestSources(t *testing.T) {
	w := newWorld(t)
	w.config.Index = forgetful{}
	w.restart()
	uploads, err := model.Uploads()
	if err != nil {
		t.Fatal(err)
	}
	var sources []versions.Source
	var plains [][]byte
	for i := range 40 {
		plains = append(plains, plainOf(uint64(i), 100))
		part := newVersion(t, chunker.Digest{}, plains[i])
		w.push(alice, uploads, part, "")
		sources = append(sources, versions.Source{Repo: uploads.String(), Version: part.digest})
	}
	whole := newVersion(t, chunker.Digest{}, plains...)
	id := w.start(alice, model)
	_, err = w.CommitFrom(t.Context(), alice, id, whole.doc, "", "", sources[1:])
	if e := failure(t, "without one", err, openapi.CodeMissingChunks); len(e.Missing) != 1 {
		t.Errorf("missing %v", e.Missing)
	}
	odd := append([]versions.Source{{Repo: "no name"}, {Repo: "acme/none", Version: whole.digest}}, sources...)
	if _, err = w.CommitFrom(t.Context(), alice, id, whole.doc, "main", "", odd); err != nil {
		t.Fatal(err)
	}
	w.check(alice, model, whole)

	w.config.Policy = access.ByModel(only{bob: other})
	w.restart()
	id = w.start(bob, other)
	_, err = w.CommitFrom(t.Context(), bob, id, whole.doc, "", "", sources)
	if e := failure(t, "of others", err, openapi.CodeMissingChunks); len(e.Missing) != 40 {
		t.Errorf("%d missing", len(e.Missing))
	}
}

// only lets each principal do everything with one repository.
type only map[access.Principal]name.Repo

func (o only) Allow(p access.Principal, repo name.Repo, _ access.Action) error {
	if o[p] != repo {
		return access.ErrDenied
	}
	return nil
}

func TestSetHashes(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, plainOf(1, 100), plainOf(2, 200))
	w.push(alice, model, v, "main")
	hash := strings.Repeat("0", 64)
	right := []openapi.FileHash{{Path: "aa", Size: 100, SHA256: hash}, {Path: "ba", Size: 200, SHA256: hash}}
	for what, files := range map[string][]openapi.FileHash{
		"too few": right[:1], "another path": {right[0], {Path: "x", Size: 200, SHA256: hash}},
		"another size": {right[0], {Path: "ba", Size: 100, SHA256: hash}}, "no hash": {right[0], {Path: "ba", Size: 200}},
	} {
		if err := w.SetHashes(t.Context(), model, v.digest, openapi.FileHashes{Files: files}); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if list, ok, err := w.KnownHashes(t.Context(), alice, model, v.digest); ok || err != nil {
		t.Errorf("nobody has hashed it: %v, %v", list, err)
	}
	if err := w.SetHashes(t.Context(), model, v.digest, openapi.FileHashes{Files: right}); err != nil {
		t.Fatal(err)
	}
	other := []openapi.FileHash{right[0], {Path: "ba", Size: 200, SHA256: strings.Repeat("1", 64)}}
	if err := w.SetHashes(t.Context(), model, v.digest, openapi.FileHashes{Files: other}); err != nil {
		t.Error(err)
	}
	list, ok, err := w.KnownHashes(t.Context(), alice, model, v.digest)
	if err != nil || !ok || list.Files[1].SHA256 != hash {
		t.Errorf("%v, %v, %v", list, ok, err)
	}
	_, _, err = w.KnownHashes(t.Context(), alice, name.Repo{Namespace: "acme", Name: "none"}, v.digest)
	wants(t, "hashes of another repository", err, openapi.CodeNotFound)
}

func TestBranches(t *testing.T) {
	w := newWorld(t)
	one, two := newVersion(t, chunker.Digest{}, plainOf(1, 100)), newVersion(t, chunker.Digest{}, plainOf(2, 100))
	w.push(alice, model, one, "dev")
	w.push(alice, model, two, "")
	for i, step := range []struct {
		to     *version
		branch bool
		want   bool
	}{{one, false, false}, {one, true, true}, {two, false, true}, {two, true, true}} {
		tag, err := w.SetTag(t.Context(), alice, model, "dev", openapi.SetTag{Digest: step.to.digest, Branch: step.branch})
		if err != nil || tag.Branch != step.want || tag.Digest != step.to.digest {
			t.Errorf("step %d: %+v, %v", i, tag, err)
		}
		w.restart()
		list, err := w.Tags(t.Context(), alice, model, "", 10)
		if err != nil || list.Tags[0].Branch != step.want {
			t.Errorf("step %d: %v, %v", i, list, err)
		}
	}
	if err := w.DeleteTag(t.Context(), alice, model, "dev", ""); err != nil {
		t.Fatal(err)
	}
	if tag, err := w.SetTag(t.Context(), alice, model, "dev", openapi.SetTag{Digest: one.digest}); err != nil || tag.Branch {
		t.Errorf("made again it is %+v, %v", tag, err)
	}
}

func TestDropUploads(t *testing.T) {
	w := newWorld(t)
	uploads, err := model.Uploads()
	if err != nil {
		t.Fatal(err)
	}
	old, renewed, young := newVersion(t, chunker.Digest{}, plainOf(1, 100)), newVersion(t, chunker.Digest{}, plainOf(2, 100)), newVersion(t, chunker.Digest{}, plainOf(3, 100))
	w.push(alice, uploads, old, "old")
	w.push(alice, uploads, renewed, "renewed")
	w.push(alice, model, old, "old")
	w.now = w.now.Add(time.Hour)
	if err := w.RenewUpload(t.Context(), uploads, "renewed"); err != nil {
		t.Fatal(err)
	}
	if err := w.RenewUpload(t.Context(), uploads, "none"); err != nil {
		t.Errorf("none: %v", err)
	}
	w.push(alice, uploads, young, "young")
	n, err := w.DropUploads(t.Context(), w.now.Add(-time.Minute))
	if n != 1 || err != nil {
		t.Errorf("%d dropped, %v", n, err)
	}
	list, err := w.Tags(t.Context(), alice, uploads, "", 10)
	if err != nil || len(list.Tags) != 2 {
		t.Errorf("there are %v, %v", list.Tags, err)
	}
	_, err = w.Manifest(t.Context(), alice, uploads, old.digest)
	wants(t, "what was dropped", err, openapi.CodeNotFound)
	w.check(alice, model, old)
	w.check(alice, uploads, renewed)
	repos, err := w.Repos(t.Context(), alice, "", "", 10)
	if err != nil || len(repos.Repos) != 1 {
		t.Errorf("repositories %v, %v", repos.Repos, err)
	}
}
