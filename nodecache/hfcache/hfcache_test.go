package hfcache_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/nodecache/hfcache"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

var tiny = name.Repo{Namespace: "acme", Name: "tiny"}

// model is a revision whose bytes are in memory, and a Source of it.
type model struct {
	files map[string]string
	// breaks ends what is sent after so many bytes; less than 0 is never.
	breaks int64
	sent   atomic.Int64
}

func newModel(files map[string]string) *model { return &model{files: files, breaks: -1} }

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// revision describes the model as a commit of so many times a digit.
func (m *model) revision(repo name.Repo, digit string) *catalog.Revision {
	r := &catalog.Revision{Repo: repo, Commit: strings.Repeat(digit, 40)}
	for p, text := range m.files {
		r.Files = append(r.Files, catalog.File{Path: p, Size: int64(len(text)), SHA256: sum(text), ETag: sum(text)})
	}
	slices.SortFunc(r.Files, func(a, b catalog.File) int { return strings.Compare(a.Path, b.Path) })
	return r
}

// Open implements hfcache.Source.
func (m *model) Open(_ context.Context, _ *catalog.Revision, f *catalog.File) (stream.Content, error) {
	return &text{m, m.files[f.Path]}, nil
}

type text struct {
	m *model
	s string
}

var errBroken = errors.New("it broke off")

func (t *text) Size() int64  { return int64(len(t.s)) }
func (t *text) Close() error { return nil }
func (t *text) Send(_ context.Context, w io.Writer, offset, n int64) error {
	part, broken := t.s[offset:offset+n], error(nil)
	if t.m.breaks >= 0 && int64(len(part)) > t.m.breaks {
		part, broken = part[:t.m.breaks], errBroken
	}
	t.m.sent.Add(int64(len(part)))
	_, err := io.WriteString(w, part)
	return errors.Join(err, broken)
}

func open(t *testing.T, dir string) *hfcache.Tree {
	t.Helper()
	tree, err := hfcache.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	return tree
}

func materialize(t *testing.T, tree *hfcache.Tree, m *model, r *catalog.Revision, refs ...string) hfcache.Receipt {
	t.Helper()
	got, err := tree.Materialize(t.Context(), m, r, hfcache.Options{Refs: refs})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// want checks every file of a snapshot, and that there is no other.
func want(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	found := 0
	for p, text := range files {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(p)))
		if err != nil || string(b) != text {
			t.Errorf("%s is %.20q, %v; want %.20q", p, b, err, text)
		}
	}
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found++
		}
		return err
	})
	if err != nil || found != len(files) {
		t.Errorf("%d files, %v; want %d", found, err, len(files))
	}
}

var files = map[string]string{
	"config.json": "{}", "empty": "", "a/b/c.txt": "deep", "same.json": "{}", "model.safetensors": strings.Repeat("weights ", 1000),
}

func TestMaterialize(t *testing.T) {
	dir := t.TempDir()
	tree, m := open(t, dir), newModel(files)
	got := materialize(t, tree, m, m.revision(tiny, "a"), "main", "refs/pr/1")
	want(t, got.Path, files)
	if got.BytesWritten != 8006 || got.BytesReused != 2 || got.Files != 5 || got.Bytes != 8008 {
		t.Errorf("%+v", got)
	}
	// The form is that of the clients, byte by byte where they are strict.
	base := filepath.Join(dir, "models--acme--tiny")
	for _, ref := range []string{"main", "refs/pr/1"} {
		if b, err := os.ReadFile(filepath.Join(base, "refs", ref)); string(b) != strings.Repeat("a", 40) {
			t.Errorf("ref %s is %q, %v", ref, b, err)
		}
	}
	link, err := os.Readlink(filepath.Join(got.Path, "a", "b", "c.txt"))
	if link != "../../../../blobs/"+sum("deep") {
		t.Errorf("link to %q, %v", link, err)
	}
	listing, err := os.ReadFile(filepath.Join(base, "trees", strings.Repeat("a", 40)+".json"))
	if err != nil || !bytes.Contains(listing, []byte(`"format_version": 1`)) || !bytes.Contains(listing, []byte(`"lfs_sha256": "`+sum("deep"))) {
		t.Errorf("listing %s, %v", listing, err)
	}
	again := materialize(t, tree, m, m.revision(tiny, "a"), "main")
	if again.BytesWritten != 0 || again.BytesReused != 8008 || m.sent.Load() != 8006 {
		t.Errorf("again: %+v, %d bytes were sent", again, m.sent.Load())
	}
}

// A variant shares the blobs that are equal, and another repository has links to
// them that take no room.
func TestShare(t *testing.T) {
	dir := t.TempDir()
	tree, m := open(t, dir), newModel(files)
	materialize(t, tree, m, m.revision(tiny, "a"), "main")
	tuned := newModel(map[string]string{"config.json": "{1}", "model.safetensors": files["model.safetensors"]})
	got := materialize(t, tree, tuned, tuned.revision(tiny, "b"), "main")
	if got.BytesWritten != 3 {
		t.Errorf("%+v", got)
	}
	other := name.Repo{Namespace: "acme", Name: "other"}
	got = materialize(t, tree, tuned, tuned.revision(other, "c"))
	want(t, got.Path, tuned.files)
	one, err1 := os.Stat(filepath.Join(got.Path, "model.safetensors"))
	two, err2 := os.Stat(filepath.Join(tree.Path(tiny, strings.Repeat("a", 40)), "model.safetensors"))
	if err1 != nil || err2 != nil || !os.SameFile(one, two) || tuned.sent.Load() != 3 {
		t.Errorf("%v, %v, %+v, %d bytes were sent", err1, err2, got, tuned.sent.Load())
	}
}

// What broke off goes on where it was, and nothing of it is seen before.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	tree, m := open(t, dir), newModel(map[string]string{"w": strings.Repeat("0123456789", 100)})
	r := m.revision(tiny, "a")
	m.breaks = 300
	if _, err := tree.Materialize(t.Context(), m, r, hfcache.Options{Refs: []string{"main"}}); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	for _, at := range []string{"snapshots", "refs", "trees"} {
		if _, err := os.Stat(filepath.Join(dir, "models--acme--tiny", at)); err == nil {
			t.Errorf("there are %s of what is not whole", at)
		}
	}
	m.breaks = -1
	got := materialize(t, tree, m, r, "main")
	want(t, got.Path, m.files)
	if got.BytesWritten != 700 || got.BytesReused != 300 {
		t.Errorf("%+v", got)
	}
}

// A part that is not what it should be, as after a power cut, costs a second read and
// nothing else; bytes that are wrong are refused and leave nothing.
func TestWrong(t *testing.T) {
	dir := t.TempDir()
	tree, m := open(t, dir), newModel(map[string]string{"w": strings.Repeat("0123456789", 100)})
	r := m.revision(tiny, "a")
	blobs := filepath.Join(dir, "models--acme--tiny", "blobs")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blobs, r.Files[0].SHA256+".part"), make([]byte, 500), 0o644); err != nil {
		t.Fatal(err)
	}
	got := materialize(t, tree, m, r)
	if want(t, got.Path, m.files); got.BytesWritten != 1000 || got.BytesReused != 0 {
		t.Errorf("%+v", got)
	}
	// A blob of the right size and name with other bytes is written anew.
	if err := os.WriteFile(filepath.Join(blobs, r.Files[0].SHA256), make([]byte, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	got = materialize(t, tree, m, r)
	want(t, got.Path, m.files)

	r = m.revision(tiny, "b")
	r.Files[0].SHA256 = strings.Repeat("e", 64)
	if _, err := tree.Materialize(t.Context(), m, r, hfcache.Options{}); !errors.Is(err, hfcache.ErrWrong) {
		t.Errorf("%v, want ErrWrong", err)
	}
	if left, err := os.ReadDir(blobs); err != nil || len(left) != 1 {
		t.Errorf("%v, %v; want the one blob", left, err)
	}
	if _, whole := tree.Snapshot(tiny, r.Commit); whole {
		t.Error("there is a snapshot of it")
	}
}

// Files whose sha256 nobody knows get the name that their bytes have.
func TestUnknownSum(t *testing.T) {
	tree, m := open(t, t.TempDir()), newModel(files)
	r := m.revision(tiny, "a")
	for i := range r.Files {
		r.Files[i].SHA256, r.Files[i].ETag = "", fmt.Sprintf("%040d", i)
	}
	got := materialize(t, tree, m, r, "main")
	want(t, got.Path, files)
	if s, whole := tree.Snapshot(tiny, r.Commit); !whole || s.Files[0].Blob != sum("deep") {
		t.Errorf("%+v, %t", s, whole)
	}
}

func TestHostile(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	tree := open(t, dir)
	for _, p := range []string{"../x", "/x", "a/../../x", "", ".", "a//b", `a\b`} {
		m := newModel(map[string]string{p: "x"})
		if _, err := tree.Materialize(t.Context(), m, m.revision(tiny, "a"), hfcache.Options{}); err == nil {
			t.Errorf("file %q is written", p)
		}
	}
	m := newModel(map[string]string{"d/f": "x"})
	for _, ref := range []string{"../../x", "/x", ""} {
		if _, err := tree.Materialize(t.Context(), m, m.revision(tiny, "a"), hfcache.Options{Refs: []string{ref}}); err == nil {
			t.Errorf("ref %q is written", ref)
		}
	}
	for _, repo := range []name.Repo{{Namespace: "a--b", Name: "c"}, {Namespace: "a", Name: "b--c"}} {
		if _, err := tree.Materialize(t.Context(), m, m.revision(repo, "a"), hfcache.Options{}); !errors.Is(err, hfcache.ErrName) {
			t.Errorf("%s: %v, want ErrName", repo, err)
		}
	}
	r := m.revision(tiny, "a")
	r.Commit = "../../../etc"
	if _, err := tree.Materialize(t.Context(), m, r, hfcache.Options{}); err == nil {
		t.Error("a commit that is none is written")
	}
	r = m.revision(tiny, "a")
	r.Files[0].SHA256, r.Files[0].ETag = "", "../x"
	if _, err := tree.Materialize(t.Context(), m, r, hfcache.Options{}); err == nil {
		t.Error("an etag that is none is written")
	}
	// A link that leads out is not followed.
	if err := os.RemoveAll(filepath.Join(dir, "models--acme--tiny")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "models--acme--tiny")); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Materialize(t.Context(), m, m.revision(tiny, "a"), hfcache.Options{}); err == nil {
		t.Error("a link that leads out is followed")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("%v, %v outside", left, err)
	}
}

// What is in the way of a link is replaced, what others have beside it stays.
func TestRepair(t *testing.T) {
	tree, m := open(t, t.TempDir()), newModel(files)
	r := m.revision(tiny, "a")
	got := materialize(t, tree, m, r)
	one, mine := filepath.Join(got.Path, "config.json"), filepath.Join(got.Path, "mine.txt")
	if err := errors.Join(os.Remove(one), os.WriteFile(one, []byte("other"), 0o644), os.WriteFile(mine, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, whole := tree.Snapshot(tiny, r.Commit); whole {
		t.Error("it counts as whole")
	}
	materialize(t, tree, m, r)
	if _, whole := tree.Snapshot(tiny, r.Commit); !whole {
		t.Error("it is not whole")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

func TestDrop(t *testing.T) {
	dir := t.TempDir()
	tree, m := open(t, dir), newModel(files)
	tuned := newModel(map[string]string{"config.json": "{1}", "model.safetensors": files["model.safetensors"]})
	a, b := m.revision(tiny, "a"), tuned.revision(tiny, "b")
	materialize(t, tree, m, a, "v1")
	materialize(t, tree, tuned, b, "main")
	foreign := filepath.Join(dir, "models--acme--tiny", "blobs", strings.Repeat("f", 40))
	if err := os.WriteFile(foreign, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tree.Drop(tiny, a.Commit); err != nil {
		t.Fatal(err)
	}
	want(t, tree.Path(tiny, b.Commit), tuned.files)
	if _, ok := tree.Ref(tiny, "v1"); ok {
		t.Error("the ref is there")
	}
	if at, ok := tree.Ref(tiny, "main"); !ok || at != b.Commit {
		t.Errorf("main is at %s, %t", at, ok)
	}
	blobs, err := os.ReadDir(filepath.Dir(foreign))
	if err != nil || len(blobs) != 3 { // two of b, and what another client has
		t.Errorf("%v, %v", blobs, err)
	}
	if list, err := tree.Snapshots(); err != nil || len(list) != 1 || list[0].Commit != b.Commit || len(list[0].Files) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := errors.Join(tree.Drop(tiny, a.Commit), tree.Clean()); err != nil {
		t.Error(err)
	}
}

func TestBusy(t *testing.T) {
	dir := t.TempDir()
	one, two := open(t, dir), open(t, dir)
	m := newModel(map[string]string{"w": "bytes"})
	r := m.revision(tiny, "a")
	var second error
	src := sourceFunc(func() {
		_, second = two.Materialize(context.Background(), m, r, hfcache.Options{})
	}, m)
	if _, err := one.Materialize(t.Context(), src, r, hfcache.Options{}); err != nil {
		t.Error(err)
	}
	if !errors.Is(second, hfcache.ErrBusy) {
		t.Errorf("the second: %v, want ErrBusy", second)
	}
}

// sourceFunc calls during before it gives the bytes of m.
func sourceFunc(during func(), m *model) hfcache.Source { return &hooked{m, during} }

type hooked struct {
	*model
	during func()
}

func (h *hooked) Open(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error) {
	h.during()
	return h.model.Open(ctx, r, f)
}

// Many who move one ref at a time do not get in each other's way, and leave nothing.
func TestRefTogether(t *testing.T) {
	dir := t.TempDir()
	tree := open(t, dir)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for range 50 {
				if err := tree.SetRef(tiny, "main", strings.Repeat(strconv.Itoa(n), 40)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if commit, ok := tree.Ref(tiny, "main"); !ok {
		t.Errorf("the ref names %q", commit)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "models--acme--tiny", "refs")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
