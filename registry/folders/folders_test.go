package folders_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/folders"
	"github.com/ingot-ml/ingot/registry/name"
)

var tiny = name.Repo{Namespace: "archive", Name: "tiny"}

// tree writes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for p, text := range files {
		write(t, filepath.Join(dir, p), text)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *folders.Source {
	t.Helper()
	root, err := folders.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return folders.New(root, "archive", nil)
}

// TestLists shows folders as they are, and nothing else.
func TestLists(t *testing.T) {
	outside := tree(t, map[string]string{"secret/key": "secret"})
	dir := tree(t, map[string]string{
		"tiny/config.json": "{}", "tiny/sub/w.bin": "weights", "tiny/.git/HEAD": "x", "tiny/.hidden": "x",
		"tiny/a:b": "no path of a version", "Big.Model-7B/model.gguf": "gguf", "empty/.keep": "", ".cache/x/y": "",
		"a file": "", "no..name/x": "x",
	})
	for link, to := range map[string]string{
		"evil": outside, "tiny/evil": filepath.Join(outside, "secret/key"), "tiny/up": "../../..", "tiny/sub/loop": ".",
		"tiny/inside": "sub/w.bin", "twin": "tiny",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	models, err := s.Models(t.Context(), catalog.Query{})
	var names []string
	for _, m := range models {
		names = append(names, m.Repo.String())
		if r, err := s.Revision(t.Context(), m.Repo, "main"); err != nil || r.Commit != m.Commit || m.Updated.IsZero() {
			t.Errorf("%+v is %+v, %v", m, r, err)
		}
	}
	if want := []string{"archive/Big.Model-7B", "archive/tiny", "archive/twin"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("models %q, %v", names, err)
	}
	r, err := s.Revision(t.Context(), tiny, "refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Files {
		if strings.Contains(f.Path, "evil") || strings.Contains(f.Path, "key") || strings.Contains(f.Path, ".hidden") ||
			strings.Contains(f.Path, ":") || strings.Contains(f.Path, ".git") || strings.Contains(f.Path, "loop") || f.SHA256 != "" || len(f.ETag) != catalog.CommitLen {
			t.Errorf("it shows %+v", f)
		}
	}
	for path, want := range map[string]string{"config.json": "{}", "sub/w.bin": "weights", "inside": "weights"} {
		if got, err := read(t, s, r, path, 0, -1); err != nil || got != want {
			t.Errorf("%s is %q, %v", path, got, err)
		}
	}
	if got, err := read(t, s, r, "sub/w.bin", 2, 3); err != nil || got != "igh" {
		t.Errorf("a part is %q, %v", got, err)
	}
	for _, q := range []catalog.Query{{Namespace: "other"}, {Search: "nothing"}} {
		if models, err := s.Models(t.Context(), q); err != nil || len(models) != 0 {
			t.Errorf("%+v: %v, %v", q, models, err)
		}
	}
	if models, err := s.Models(t.Context(), catalog.Query{Namespace: "archive", Search: "GGUF", Limit: 1}); err != nil || len(models) != 0 {
		t.Errorf("%v, %v", models, err)
	}
}

func read(t *testing.T, s *folders.Source, r *catalog.Revision, path string, offset, n int64) (string, error) {
	t.Helper()
	f := r.File(path)
	if f == nil {
		t.Fatalf("no file %s", path)
	}
	c, err := s.Open(t.Context(), r, f)
	if err != nil {
		return "", err
	}
	if n < 0 {
		n = c.Size()
	}
	var b bytes.Buffer
	err = errors.Join(c.Send(t.Context(), &b, offset, n), c.Close())
	return b.String(), err
}

// TestAbsent says what is not there.
func TestAbsent(t *testing.T) {
	s := open(t, tree(t, map[string]string{"tiny/x": "x"}))
	for _, repo := range []name.Repo{{Namespace: "other", Name: "tiny"}, {Namespace: "archive", Name: "none"}, {Namespace: "archive", Name: ".."}} {
		if _, err := s.Revision(t.Context(), repo, "main"); !errors.Is(err, catalog.ErrNoRepo) {
			t.Errorf("%s: %v", repo, err)
		}
		if _, err := s.Refs(t.Context(), repo); !errors.Is(err, catalog.ErrNoRepo) {
			t.Errorf("refs of %s: %v", repo, err)
		}
	}
	if _, err := s.Revision(t.Context(), tiny, "v1"); !errors.Is(err, catalog.ErrNoRevision) {
		t.Error(err)
	}
	if _, err := folders.OpenDir(filepath.Join(t.TempDir(), "none")); !errors.Is(err, folders.ErrSource) {
		t.Error(err)
	}
	history, err := s.History(t.Context(), tiny, "main", 10)
	refs, rerr := s.Refs(t.Context(), tiny)
	if err != nil || rerr != nil || len(history) != 1 || len(refs) != 1 || !refs[0].Branch || refs[0].Commit != history[0].Commit {
		t.Errorf("history %v, refs %v, %v, %v", history, refs, err, rerr)
	}
}

// TestChanges makes another commit of every change, and of nothing else.
func TestChanges(t *testing.T) {
	dir := tree(t, map[string]string{"tiny/a": "one", "tiny/b": "two"})
	s := open(t, dir)
	at := func() string {
		r, err := s.Revision(t.Context(), tiny, "main")
		if err != nil {
			t.Fatal(err)
		}
		return r.Commit
	}
	seen := map[string]bool{at(): true}
	if !seen[at()] {
		t.Error("nothing has changed, and the commit has")
	}
	path := filepath.Join(dir, "tiny/a")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func() error{
		"a time": func() error { return os.Chtimes(path, time.Time{}, info.ModTime().Add(time.Nanosecond)) },
		"another file with that time": func() error {
			// The first keeps its place on the disk, so the second gets another.
			return errors.Join(os.Rename(path, filepath.Join(dir, "old")), os.WriteFile(path, []byte("eno"), 0o644), os.Chtimes(path, time.Time{}, info.ModTime()))
		},
		"a size":       func() error { return os.WriteFile(path, []byte("longer"), 0o644) },
		"a name":       func() error { return os.Rename(filepath.Join(dir, "tiny/b"), filepath.Join(dir, "tiny/c")) },
		"another file": func() error { return os.WriteFile(filepath.Join(dir, "tiny/d"), nil, 0o644) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if c := at(); seen[c] {
			t.Errorf("%s has changed, and the commit has not", what)
		} else {
			seen[c] = true
		}
	}
}

// TestChangesMeanwhile has a file change before it is opened, and while it is read: its
// last byte does not come.
func TestChangesMeanwhile(t *testing.T) {
	dir := tree(t, map[string]string{"tiny/a": strings.Repeat("a", 1<<20), "tiny/b": "b"})
	s := open(t, dir)
	r, err := s.Revision(t.Context(), tiny, "main")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Open(t.Context(), r, r.File("a"))
	if err != nil {
		t.Fatal(err)
	}
	w := &meddler{change: func() { write(t, filepath.Join(dir, "tiny/a"), strings.Repeat("b", 1<<20)) }}
	if err := c.Send(t.Context(), w, 0, c.Size()); !errors.Is(err, folders.ErrChanged) || w.n >= 1<<20 {
		t.Errorf("%d bytes, %v", w.n, err)
	}
	if err := c.Send(t.Context(), io.Discard, 0, 10); !errors.Is(err, folders.ErrChanged) {
		t.Errorf("after that: %v", err)
	}
	if _, err := s.Open(t.Context(), r, r.File("a")); !errors.Is(err, folders.ErrChanged) || !errors.Is(err, catalog.ErrNoRevision) {
		t.Errorf("opened again: %v", err)
	}
	if got, err := read(t, s, r, "b", 0, -1); err != nil || got != "b" {
		t.Errorf("the file beside it is %q, %v", got, err)
	}
	if err := os.Truncate(filepath.Join(dir, "tiny/b"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), r, r.File("b")); !errors.Is(err, folders.ErrChanged) {
		t.Errorf("one that is shorter: %v", err)
	}
}

// meddler changes something after the first bytes.
type meddler struct {
	n      int
	change func()
}

func (m *meddler) Write(b []byte) (int, error) {
	if m.n += len(b); m.change != nil {
		m.change()
		m.change = nil
	}
	return len(b), nil
}

// TestEnds stops with its context.
func TestEnds(t *testing.T) {
	s := open(t, tree(t, map[string]string{"tiny/x": "x"}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Models(ctx, catalog.Query{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
