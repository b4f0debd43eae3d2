package versions_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

func TestTags(t *testing.T) {
	w := newWorld(t)
	a, b := newVersion(t, chunker.Digest{}, small(1)), newVersion(t, chunker.Digest{}, small(2))
	w.push(alice, model, a, "")
	w.push(alice, model, b, "")
	set := func(tag string, to *version, expect string) error {
		_, err := w.SetTag(t.Context(), alice, model, tag, openapi.SetTag{Digest: to.digest, Expect: expect})
		return err
	}
	at := func(want *version) {
		t.Helper()
		got, err := w.Resolve(t.Context(), bob, name.Ref{Repo: model, Tag: "prod"})
		if err != nil || got != want.digest {
			t.Fatalf("prod is at %s, %v, want %s", got.Short(), err, want.digest.Short())
		}
	}
	if err := set("prod", a, openapi.ExpectNone); err != nil {
		t.Fatal(err)
	}
	at(a)
	wants(t, "a tag that should not exist", set("prod", b, openapi.ExpectNone), openapi.CodeTagMoved)
	wants(t, "a tag that should be elsewhere", set("prod", b, b.digest.String()[:63]+"0"), openapi.CodeTagMoved)
	at(a)
	if err := set("prod", a, openapi.ExpectNone); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := set("prod", b, a.digest.String()); err != nil {
		t.Fatal(err)
	}
	at(b)
	wants(t, "no such version", set("prod", newVersion(t, chunker.Digest{}, small(3)), ""), openapi.CodeNotFound)
	at(b)
	wants(t, "delete elsewhere", w.DeleteTag(t.Context(), alice, model, "prod", a.digest.String()), openapi.CodeTagMoved)
	if err := w.DeleteTag(t.Context(), alice, model, "prod", b.digest.String()); err != nil {
		t.Fatal(err)
	}
	_, err := w.Tag(t.Context(), alice, model, "prod")
	wants(t, "a deleted tag", err, openapi.CodeNotFound)
	wants(t, "delete twice", w.DeleteTag(t.Context(), alice, model, "prod", ""), openapi.CodeNotFound)
	if err := set("prod", a, openapi.ExpectNone); err != nil {
		t.Errorf("a deleted tag is made again: %v", err)
	}
	at(a)
}

func TestRetire(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, v, "main")
	w.push(alice, model, v, "prod")
	err := w.Delete(t.Context(), alice, model, v.digest)
	if e := failure(t, "a version with tags", err, openapi.CodeConflict); !strings.Contains(e.Message, "main, prod") {
		t.Errorf("%q does not name the tags", e.Message)
	}
	w.check(alice, model, v)
	for _, tag := range []string{"main", "prod"} {
		if err := w.DeleteTag(t.Context(), alice, model, tag, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Delete(t.Context(), alice, model, v.digest); err != nil {
		t.Fatal(err)
	}
	_, err = w.Manifest(t.Context(), alice, model, v.digest)
	wants(t, "a retired version", err, openapi.CodeNotFound)
	wants(t, "retire twice", w.Delete(t.Context(), alice, model, v.digest), openapi.CodeNotFound)
	if n := w.push(bob, model, v, "main"); n != 1 {
		t.Errorf("a push after the retirement uploads %d chunks, want 1: nothing readable places it", n)
	}
	w.check(bob, model, v)
}

// TestTagWhileRetiring sets a tag between the two steps of a retirement: the
// version stays.
func TestTagWhileRetiring(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, small(1))
	w.push(alice, model, v, "")
	replica := versions.New(w.config)
	steps := 0
	w.engine.before = func(key string) {
		if steps++; strings.HasPrefix(key, "m/") && steps == 2 { // condemned -> dead
			w.engine.before = nil
			if _, err := replica.SetTag(t.Context(), bob, model, "prod", openapi.SetTag{Digest: v.digest}); err != nil {
				t.Error(err)
			}
		}
	}
	wants(t, "retire", w.Delete(t.Context(), alice, model, v.digest), openapi.CodeConflict)
	w.check(alice, model, v)
	if _, err := w.Tag(t.Context(), alice, model, "prod"); err != nil {
		t.Error(err)
	}
}

// TestRetireWhileTagging retires a version between the writing of a tag and the
// second look at the version: the tag goes back.
func TestRetireWhileTagging(t *testing.T) {
	w := newWorld(t)
	a, b := newVersion(t, chunker.Digest{}, small(1)), newVersion(t, chunker.Digest{}, small(2))
	w.push(alice, model, a, "prod")
	w.push(alice, model, b, "")
	w.engine.before = func(key string) {
		if key == "t/acme/model/prod" { // before the tag is written, its version is already retired
			w.engine.before = nil
			if err := versions.New(w.config).Delete(t.Context(), bob, model, b.digest); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := w.SetTag(t.Context(), alice, model, "prod", openapi.SetTag{Digest: b.digest})
	wants(t, "tag", err, openapi.CodeConflict)
	if got, err := w.Tag(t.Context(), alice, model, "prod"); err != nil || got.Digest != a.digest {
		t.Errorf("prod is at %s, %v, want where it was", got.Digest.Short(), err)
	}
}

// secret hides one repository from everybody but alice.
type secret struct{ repo name.Repo }

func (s secret) Allow(p access.Principal, repo name.Repo, a access.Action) error {
	if repo == s.repo && p != alice || p == bob && a == access.Delete {
		return access.ErrDenied
	}
	return nil
}

// TestSecret asks for everything about a repository that one may not read: all
// answers are those for one that does not exist.
func TestSecret(t *testing.T) {
	w := newWorld(t)
	hidden := name.Repo{Namespace: "hidden", Name: "model"}
	w.config.Policy = secret{hidden}
	w.restart()
	v := newVersion(t, chunker.Digest{}, large(1), small(2))
	w.push(alice, hidden, v, "main")
	ctx := t.Context()
	absent := name.Repo{Namespace: "hidden", Name: "absent"}
	for what, ask := range map[string]func(p access.Principal, repo name.Repo) error{
		"manifest": func(p access.Principal, r name.Repo) error { _, err := w.Manifest(ctx, p, r, v.digest); return err },
		"log": func(p access.Principal, r name.Repo) error {
			_, err := w.Log(ctx, p, name.Ref{Repo: r, Tag: "main"}, chunker.Digest{}, 1)
			return err
		},
		"encodings": func(p access.Principal, r name.Repo) error { _, err := w.Encodings(ctx, p, r, v.digest); return err },
		"chunks": func(p access.Principal, r name.Repo) error {
			_, err := w.Chunks(ctx, p, r, v.digest, []uint32{0})
			return err
		},
		"tag":      func(p access.Principal, r name.Repo) error { _, err := w.Tag(ctx, p, r, "main"); return err },
		"tags":     func(p access.Principal, r name.Repo) error { _, err := w.Tags(ctx, p, r, "", 1); return err },
		"versions": func(p access.Principal, r name.Repo) error { _, err := w.Versions(ctx, p, r, "", 1); return err },
		"resolve": func(p access.Principal, r name.Repo) error {
			_, err := w.Resolve(ctx, p, name.Ref{Repo: r, Digest: v.digest})
			return err
		},
		"hashes":     func(p access.Principal, r name.Repo) error { _, err := w.FileHashes(ctx, p, r, v.digest); return err },
		"delete":     func(p access.Principal, r name.Repo) error { return w.Delete(ctx, p, r, v.digest) },
		"delete tag": func(p access.Principal, r name.Repo) error { return w.DeleteTag(ctx, p, r, "main", "") },
		"diff": func(p access.Principal, r name.Repo) error {
			ref := name.Ref{Repo: r, Tag: "main"}
			_, err := w.Diff(ctx, p, ref, ref)
			return err
		},
	} {
		got := failure(t, what, ask(bob, hidden), openapi.CodeNotFound)
		want := failure(t, what, ask(alice, absent), openapi.CodeNotFound)
		if strings.ReplaceAll(got.Message, "hidden/model", "R") != strings.ReplaceAll(want.Message, "hidden/absent", "R") {
			t.Errorf("%s: %q tells more than %q", what, got.Message, want.Message)
		}
	}
	_, err := w.StartPush(ctx, bob, hidden)
	wants(t, "push", err, openapi.CodeNotFound)
	if got := w.missing(bob, w.start(bob, model), v); len(got) != 2 {
		t.Errorf("chunks of a secret version exist for others: %d missing, want 2", len(got))
	}
	child := newVersion(t, v.digest, small(3))
	id := w.start(bob, model)
	w.upload(bob, id, child, child.order)
	_, err = w.Commit(ctx, bob, id, child.doc, "", "")
	wants(t, "a secret parent", err, openapi.CodeBadManifest)
	repos, err := w.Repos(ctx, bob, "", "", 10)
	if err != nil || len(repos.Repos) != 0 {
		t.Errorf("repositories: %+v, %v", repos, err)
	}
	stats, err := w.Stats(ctx, bob, "hidden")
	if err != nil || !reflect.DeepEqual(stats, openapi.Stats{Namespaces: []openapi.NamespaceStats{}}) {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	w.push(bob, model, v, "main")
	wants(t, "delete without leave", w.Delete(ctx, bob, model, v.digest), openapi.CodeForbidden)
	if n := w.push(alice, model, newVersion(t, v.digest, large(1)), ""); n != 0 {
		t.Errorf("who may read the secret uploads %d chunks of it again", n)
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	var want []string
	for _, n := range []string{"a", "a-b", "a.b", "a0", "b", "b-", "c"} {
		repo, err := name.ParseRepo("acme/" + n)
		if err != nil {
			continue // "b-" is no name
		}
		want = append(want, repo.String())
		for i := range uint64(3) {
			w.push(alice, repo, newVersion(t, chunker.Digest{}, small(i)), fmt.Sprintf("tag-%d", i))
		}
	}
	var got []string
	for after := ""; ; {
		page, err := w.Repos(t.Context(), alice, "acme", after, 2)
		if err != nil || len(page.Repos) > 2 {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, r := range page.Repos {
			if r.Versions != 3 || r.Tags != 3 {
				t.Errorf("%+v", r)
			}
			got = append(got, r.Name)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err := w.Versions(t.Context(), alice, model, "", 2)
	wants(t, "versions of nothing", err, openapi.CodeNotFound)
	repo := name.Repo{Namespace: "acme", Name: "a"}
	first, err := w.Versions(t.Context(), alice, repo, "", 2)
	if err != nil || len(first.Versions) != 2 || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	rest, err := w.Versions(t.Context(), alice, repo, first.Next, 2)
	if err != nil || len(rest.Versions) != 1 || rest.Next != "" || len(rest.Versions[0].Tags) != 1 {
		t.Errorf("%+v, %v", rest, err)
	}
	tags, err := w.Tags(t.Context(), alice, repo, "tag-0", 10)
	if err != nil || len(tags.Tags) != 2 || tags.Tags[0].Name != "tag-1" {
		t.Errorf("%+v, %v", tags, err)
	}
	least, err := w.Versions(t.Context(), alice, repo, "", 0)
	if err != nil || len(least.Versions) != 1 || least.Next == "" {
		t.Errorf("a page of no size: %+v, %v", least, err)
	}
	stats, err := w.Stats(t.Context(), alice, "acme")
	if err != nil || stats.Repos != len(want) || stats.Versions != 3*len(want) || stats.Blobs != 3 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// moving is a store that loses an object under a reader who then finds the
// version pointed elsewhere.
type moving struct {
	blobs.Store
	gone string
	then func()
}

func (m *moving) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if name == m.gone {
		if m.then != nil {
			m.then()
			m.then = nil
		}
		return nil, fmt.Errorf("open %s: %w", name, blobs.ErrNotFound)
	}
	return m.Store.Open(ctx, name, off, n)
}

// TestReaderFollows loses a chunk's object after it was located. A version that
// is pointed at another object is followed; one that is not is damaged.
func TestReaderFollows(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, v, "main")
	lost := &moving{Store: w.store, gone: w.objectOf(v.order[0])}
	w.config.Blobs = lost
	w.restart()
	located, err := w.Chunks(t.Context(), alice, model, v.digest, []uint32{0})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.OpenChunk(t.Context(), located[0]); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("a lost object: %v", err)
	}
	lost.then = func() { // retired, and pushed again with new objects
		if err := w.DeleteTag(t.Context(), alice, model, "main", ""); err != nil {
			t.Error(err)
		}
		if err := w.Delete(t.Context(), alice, model, v.digest); err != nil {
			t.Error(err)
		}
		w.push(alice, model, v, "main")
	}
	r, err := w.OpenChunk(t.Context(), located[0])
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

// TestHasherFollows is TestReaderFollows for the hashes of files.
func TestHasherFollows(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, []byte("abc"), large(1))
	w.push(alice, model, v, "")
	lost := &moving{Store: w.store, gone: w.objectOf(chunker.Sum(large(1)))}
	w.config.Blobs = lost
	w.restart()
	lost.then = func() {
		if err := w.Delete(t.Context(), alice, model, v.digest); err != nil {
			t.Error(err)
		}
		w.push(alice, model, v, "")
	}
	if got, err := w.FileHashes(t.Context(), alice, model, v.digest); err != nil || len(got.Files) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestReindex forgets the index and builds it anew.
func TestReindex(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1), small(2))
	w.push(alice, model, v, "main")
	w.index.at = map[chunker.Digest][]versions.Source{}
	if n := len(w.missing(alice, w.start(alice, model), v)); n != 2 {
		t.Fatalf("without an index %d are missing, want 2", n)
	}
	if err := w.Reindex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.missing(alice, w.start(alice, model), v)); n != 0 {
		t.Errorf("%d are missing, want none", n)
	}
	w.config.Blobs = rotten{w.store}
	w.restart()
	if err := w.Reindex(t.Context()); err != nil {
		t.Errorf("a damaged version stops it: %v", err)
	}
	if got, err := w.Stats(t.Context(), alice, "acme"); err != nil || got.Versions != 1 || got.Stored != 0 {
		t.Errorf("figures with a damaged version: %+v, %v", got, err)
	}
}

// TestLyingIndex points at versions that do not place the chunk, do not exist, or
// have strange names.
func TestLyingIndex(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, v, "main")
	d := chunker.Sum(large(2))
	w.index.at[d] = []versions.Source{
		{Repo: model.String(), Version: v.digest}, {Repo: model.String(), Version: d}, {Repo: "../x", Version: d}, {},
	}
	next := newVersion(t, chunker.Digest{}, large(2))
	if n := w.push(alice, model, next, ""); n != 1 {
		t.Errorf("uploads %d chunks, want 1", n)
	}
	w.check(alice, model, next)
}

// TestChangedTagsAreTold wants every change to be told when it is made, and nothing
// else.
func TestChangedTagsAreTold(t *testing.T) {
	w := newWorld(t)
	var told []string
	w.config.TagChanged = func(repo name.Repo, e openapi.TagEvent) {
		if e.Repo != repo.String() || e.Updated != w.now {
			t.Errorf("told of %+v for %s", e, repo)
		}
		told = append(told, e.Repo+":"+e.Tag+"="+e.Digest)
	}
	w.restart()
	wantTold := func(want ...string) {
		t.Helper()
		if !slices.Equal(told, want) {
			t.Errorf("told of %q, want %q", told, want)
		}
		told = nil
	}
	a, b := newVersion(t, chunker.Digest{}, small(1)), newVersion(t, chunker.Digest{}, small(2))
	w.push(alice, model, a, "main")
	wantTold(model.String() + ":main=" + a.digest.String())
	w.push(alice, model, b, "")
	set := func(to *version, expect string) error {
		_, err := w.SetTag(t.Context(), alice, model, "main", openapi.SetTag{Digest: to.digest, Expect: expect})
		return err
	}
	wants(t, "a tag that should not exist", set(b, openapi.ExpectNone), openapi.CodeTagMoved)
	if err := set(a, ""); err != nil { // where it is
		t.Fatal(err)
	}
	wantTold()
	if err := set(b, a.digest.String()); err != nil {
		t.Fatal(err)
	}
	wantTold(model.String() + ":main=" + b.digest.String())
	wants(t, "a version with a tag", w.Delete(t.Context(), alice, model, b.digest), openapi.CodeConflict)
	if err := w.DeleteTag(t.Context(), alice, model, "main", ""); err != nil {
		t.Fatal(err)
	}
	wantTold(model.String() + ":main=")
	wants(t, "delete twice", w.DeleteTag(t.Context(), alice, model, "main", ""), openapi.CodeNotFound)
	if err := w.Delete(t.Context(), alice, model, b.digest); err != nil {
		t.Fatal(err)
	}
	wantTold()
}
