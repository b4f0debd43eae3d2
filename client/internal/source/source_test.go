package source_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/client/internal/source"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func paths(files []*source.File) (list []string) {
	for _, f := range files {
		list = append(list, f.Path)
	}
	return list
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"b", "a/z", "a.b", "a/y/x", ".hidden", ".ingot/lock", "a/.Ingot/partial/b"} {
		write(t, filepath.Join(dir, p), p)
	}
	for link, target := range map[string]string{"file link": "b", "a/up": "../b", "folder link": "a/y"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := source.Scan(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".hidden", "a.b", "a/up", "a/y/x", "a/z", "b", "file link", "folder link/x"}
	if got := paths(files); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if files[6].Size != 1 {
		t.Errorf("the link has %d bytes, want those of its file", files[6].Size)
	}
	if files, err = source.Scan(filepath.Join(dir, "folder link/x"), false); err != nil || !slices.Equal(paths(files), []string{"x"}) {
		t.Errorf("one file: %q, %v", paths(files), err)
	}
}

func TestScanRefuses(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "secret")
	tests := []struct {
		name    string
		make    func(dir string) error
		says    string
		follows bool // whether it is read when links are followed
	}{
		{"link to a file outside", func(dir string) error { return os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "odd")) }, "odd", true},
		{"link to a folder outside", func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "odd")) }, "odd", true},
		{"link outside and back", func(dir string) error { return os.Symlink(outside+"/..", filepath.Join(dir, "odd")) }, "odd", true},
		{"broken link", func(dir string) error { return os.Symlink("nothing", filepath.Join(dir, "odd")) }, "odd", false},
		{"link to itself", func(dir string) error { return os.Symlink("odd", filepath.Join(dir, "odd")) }, "odd", false},
		{"loop", func(dir string) error { return os.Symlink(".", filepath.Join(dir, "odd")) }, "odd", false},
		{"fifo", func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "odd"), 0o666) }, "odd", false},
		{"path", func(dir string) error { return os.WriteFile(filepath.Join(dir, "odd:name"), nil, 0o666) }, "odd:name", false},
		{"device", func(dir string) error { return os.WriteFile(filepath.Join(dir, "NUL"), nil, 0o666) }, "NUL", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			write(t, filepath.Join(dir, "a"), "1")
			if err := tt.make(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := source.Scan(dir, false); !errors.Is(err, source.ErrInput) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want ErrInput and %q", err, tt.says)
			} else if errors.Is(err, source.ErrLeaves) != tt.follows {
				t.Errorf("got %v, of a link that leaves the folder: %v", err, tt.follows)
			}
			if tt.name == "link outside and back" {
				return // it holds the folders of other tests
			}
			if _, err := source.Scan(dir, true); (err == nil) != tt.follows {
				t.Errorf("following links: %v", err)
			}
		})
	}
}

func TestScanNothing(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "not there")} {
		if _, err := source.Scan(path, false); !errors.Is(err, source.ErrInput) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want ErrInput and the path", err)
		}
	}
}

func TestChanges(t *testing.T) {
	tests := []struct {
		name   string
		change func(path string) error
	}{
		{"longer", func(path string) error { return os.WriteFile(path, []byte("longer than before"), 0o666) }},
		{"shorter", func(path string) error { return os.Truncate(path, 1) }},
		{"replaced", func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("12345"), 0o666), os.Rename(path+".new", path))
		}},
		{"gone", os.Remove},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "weights")
			write(t, path, "12345")
			files, err := source.Scan(path, false)
			if err != nil {
				t.Fatal(err)
			}
			r, err := files[0].Open()
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.change(path); err != nil {
				t.Fatal(err)
			}
			again, err := files[0].Open()
			if !errors.Is(err, source.ErrInput) || !strings.Contains(err.Error(), path) {
				t.Errorf("open afterwards: %v, want ErrInput", err)
			}
			if err == nil {
				_ = again.Release() // it failed already
			}
			_, err = r.ReadAt(make([]byte, 5), 0)
			err = errors.Join(err, r.Release())
			if held := tt.name == "gone" || tt.name == "replaced"; (err == nil) != held {
				t.Errorf("read and release: %v", err)
			}
			if err != nil && !errors.Is(err, source.ErrInput) {
				t.Errorf("got %v, want ErrInput", err)
			}
		})
	}
}

func TestHolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weights")
	write(t, path, "12345")
	files, err := source.Scan(path, false)
	if err != nil {
		t.Fatal(err)
	}
	r, err := files[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	r.Hold()
	if err := r.Release(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := r.ReadAt(b, 0); err != nil || string(b) != "12345" {
		t.Errorf("%q, %v", b, err)
	}
	if n, err := r.ReadAt(b, 3); n != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if err := r.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(b, 0); err == nil {
		t.Error("the last holder did not close the file")
	}
}
