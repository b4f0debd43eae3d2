package chunkdir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker/chunkdir"
)

// open opens a Dir in a new folder, and returns the folder too.
func open(t testing.TB, durable bool) (*chunkdir.Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made", "here")
	d, err := chunkdir.Open(path, chunkdir.Options{Durable: durable})
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

func put(t testing.TB, d *chunkdir.Dir, name string, parts ...string) {
	t.Helper()
	var raw [][]byte
	for _, p := range parts {
		raw = append(raw, []byte(p))
	}
	if err := d.Put(t.Context(), name, raw...); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, d *chunkdir.Dir, name string) string {
	t.Helper()
	f, err := d.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// temps returns what is in the temporary folder.
func temps(t testing.TB, path string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(path, ".tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestFile(t *testing.T) {
	d, path := open(t, true)
	put(t, d, "c/3f0/x", "one ", "", "two")
	put(t, d, "empty")
	if got := read(t, d, "c/3f0/x"); got != "one two" {
		t.Errorf("read %q", got)
	}
	if got := read(t, d, "empty"); got != "" {
		t.Errorf("read %q of an empty file", got)
	}
	if err := d.Put(t.Context(), "c/3f0/x", []byte("other")); !errors.Is(err, chunkdir.ErrExists) {
		t.Errorf("second Put: %v, want ErrExists", err)
	}
	if got := read(t, d, "c/3f0/x"); got != "one two" {
		t.Errorf("a second Put changed the file to %q", got)
	}
	at := time.Unix(1_000_000_000, 0)
	if err := d.Touch("c/3f0/x", at); err != nil {
		t.Fatal(err)
	}
	info, err := d.Stat("c/3f0/x")
	if err != nil || info.Name != "c/3f0/x" || info.Size != 7 || !info.ModTime.Equal(at) {
		t.Errorf("Stat = %+v, %v", info, err)
	}
	if err := d.Remove("c/3f0/x"); err != nil {
		t.Fatal(err)
	}
	if n := len(temps(t, path)); n != 0 {
		t.Errorf("%d temporary files are left", n)
	}
}

// calls are what takes a name, without Put.
func calls(d *chunkdir.Dir, name string) map[string]error {
	f, openErr := d.Open(name)
	if openErr == nil {
		openErr = f.Close()
	}
	_, statErr := d.Stat(name)
	return map[string]error{
		"Open": openErr, "Stat": statErr, "Remove": d.Remove(name), "Touch": d.Touch(name, time.Now()),
	}
}

func TestNotFound(t *testing.T) {
	d, _ := open(t, false)
	put(t, d, "file", "x")
	put(t, d, "folder/file", "x")
	for _, name := range []string{"absent", "no/folder", "file/below"} {
		for call, err := range calls(d, name) {
			if !errors.Is(err, chunkdir.ErrNotFound) {
				t.Errorf("%s %s: %v, want ErrNotFound", call, name, err)
			}
		}
	}
	for call, err := range calls(d, "folder") {
		if call != "Touch" && !errors.Is(err, chunkdir.ErrNotFound) {
			t.Errorf("%s of a folder: %v, want ErrNotFound", call, err)
		}
	}
}

func TestNames(t *testing.T) {
	d, _ := open(t, false)
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", ".tmp", ".tmp/x", "a/.b", "a b", "a\x00", "a\\b", "é",
		strings.Repeat("n", chunkdir.MaxSegment+1), strings.Repeat("n/", chunkdir.MaxName/2) + "a",
	} {
		errs := calls(d, name)
		errs["Put"] = d.Put(t.Context(), name)
		for call, err := range errs {
			if !errors.Is(err, chunkdir.ErrName) {
				t.Errorf("%s %.40q: %v, want ErrName", call, name, err)
			}
		}
	}
	put(t, d, strings.Repeat("n", chunkdir.MaxSegment), "x")
	put(t, d, strings.Repeat("m/", chunkdir.MaxName/2-1)+"ab", "x")
}

func TestOneWinner(t *testing.T) {
	d, path := open(t, true)
	const putters = 16
	var won atomic.Int32
	var winner atomic.Value
	var g errgroup.Group
	for i := range putters {
		g.Go(func() error {
			text := strings.Repeat(fmt.Sprint(i, " "), 1000)
			err := d.Put(t.Context(), "a/b/c", []byte(text))
			if err == nil {
				won.Add(1)
				winner.Store(text)
			} else if !errors.Is(err, chunkdir.ErrExists) {
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if won.Load() != 1 || read(t, d, "a/b/c") != winner.Load() {
		t.Errorf("%d winners, or the file is not the winner's", won.Load())
	}
	if n := len(temps(t, path)); n != 0 {
		t.Errorf("%d temporary files are left", n)
	}
}

func TestRelink(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := chunkdir.Relink(from, to); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(from); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old name is still there: %v", err)
	}
	if err := os.WriteFile(from, []byte("y"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := chunkdir.Relink(from, to); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a file: %v, want ErrExist", err)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != "x" {
		t.Errorf("the file is now %q, %v", got, err)
	}
}

func TestOldTemps(t *testing.T) {
	d, path := open(t, false)
	put(t, d, "named", "x")
	now := time.Now()
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "young": 23 * time.Hour} {
		file := filepath.Join(path, ".tmp", name)
		if err := errors.Join(os.WriteFile(file, nil, 0o666), os.Chtimes(file, now, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Touch("named", now.Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	d, err := chunkdir.Open(path, chunkdir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if left := temps(t, path); len(left) != 1 || left[0].Name() != "young" {
		t.Errorf("left are %v, want only the young one", left)
	}
	if read(t, d, "named") != "x" {
		t.Error("a named file went")
	}
	if _, err = chunkdir.Open(path, chunkdir.Options{Alone: true}); err != nil {
		t.Fatal(err)
	}
	if left := temps(t, path); len(left) != 0 || read(t, d, "named") != "x" {
		t.Errorf("left are %v, want none, and the named file", left)
	}
}

func TestCancel(t *testing.T) {
	d, path := open(t, true)
	ctx, cancel := context.WithCancel(t.Context())
	d.SetFsync(func(*os.File) error { cancel(); return nil })
	for range 2 { // cancelled during the fsync, then from the start
		if err := d.Put(ctx, "a", []byte("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("Put: %v, want Canceled", err)
		}
	}
	if _, err := d.Stat("a"); !errors.Is(err, chunkdir.ErrNotFound) || len(temps(t, path)) != 0 {
		t.Errorf("a cancelled Put left something: %v", err)
	}
}

func list(t testing.TB, d *chunkdir.Dir, prefix, after string) []string {
	t.Helper()
	names := []string{}
	for info, err := range d.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

func TestList(t *testing.T) {
	d, path := open(t, false)
	// '-' and '.' come before '/', so folders and files interleave.
	names := []string{"a", "a-b", "a.b", "b/a", "b/a.a", "b/aa/x", "b/aa/y", "b/ab", "b-", "b.c/d", "c/x", "cc"}
	slices.Sort(names)
	for _, name := range names {
		put(t, d, name, name)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(path, "b", "odd name"), nil, 0o666),
		os.Symlink("a", filepath.Join(path, "link"))); err != nil {
		t.Fatal(err)
	}
	cursors := slices.Concat(names, []string{"", "b/", "b/a", "b", "zz", "b/aa", "b/aa/", ".", "..", "../", "b.", "c"})
	for _, prefix := range cursors {
		for _, after := range cursors {
			want := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
				return n <= after || !strings.HasPrefix(n, prefix)
			})
			if got := list(t, d, prefix, after); !slices.Equal(got, want) {
				t.Errorf("List(%q, %q) = %q, want %q", prefix, after, got, want)
			}
		}
	}
}

func TestListEnds(t *testing.T) {
	d, _ := open(t, false)
	for i := range 9 {
		put(t, d, fmt.Sprintf("f/%d/x", i), "x")
	}
	n := 0
	for info, err := range d.List(t.Context(), "", "") {
		if err != nil || info.Size != 1 || info.ModTime.IsZero() {
			t.Fatal(info, err)
		}
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n = 0
	for _, err := range d.List(ctx, "", "") {
		if n++; !errors.Is(err, context.Canceled) {
			t.Errorf("List: %v, want Canceled", err)
		}
	}
	if n != 1 {
		t.Errorf("%d elements, want the error alone", n)
	}
}

func TestLarge(t *testing.T) {
	d, _ := open(t, false)
	part := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := d.Put(t.Context(), "large", part, part, part); err != nil {
		t.Fatal(err)
	}
	if read(t, d, "large") != string(bytes.Repeat(part, 3)) {
		t.Error("the parts came back otherwise")
	}
}
