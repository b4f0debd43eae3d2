package chunkdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker/chunkdir"
)

// watchFsync makes d note what it syncs: folders by their path in the Dir, the
// temporary file as "file".
func watchFsync(t testing.TB, d *chunkdir.Dir, path string) (take func() []string) {
	t.Helper()
	var synced []string
	d.SetFsync(func(f *os.File) error {
		rel, err := filepath.Rel(path, f.Name())
		if strings.HasPrefix(rel, ".tmp") {
			rel = "file"
		}
		synced = append(synced, rel)
		return err
	})
	return func() []string {
		s := synced
		synced = nil
		return s
	}
}

func TestFsyncs(t *testing.T) {
	d, path := open(t, true)
	take := watchFsync(t, d, path)
	steps := []struct {
		name string
		want []string
	}{
		{"a/b/x", []string{"file", ".", "a", "a/b"}},
		{"a/b/y", []string{"file", "a/b"}},
		{"a/z", []string{"file", "a"}},
		{"top", []string{"file", "."}},
	}
	for _, s := range steps {
		put(t, d, s.name, "x")
		if got := take(); !slices.Equal(got, s.want) {
			t.Errorf("Put %s synced %q, want %q", s.name, got, s.want)
		}
	}
	if err := d.Put(t.Context(), "a/z"); !errors.Is(err, chunkdir.ErrExists) {
		t.Fatal(err)
	}
	if got := take(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("Put of a taken name synced %q, want its folder", got)
	}
}

// A folder that an earlier process made may not be on the disk yet.
func TestFsyncsAfterReopen(t *testing.T) {
	d, path := open(t, true)
	put(t, d, "a/b/x", "x")
	d, err := chunkdir.Open(path, chunkdir.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	take := watchFsync(t, d, path)
	put(t, d, "a/b/y", "y")
	if got := take(); !slices.Equal(got, []string{"file", ".", "a", "a/b"}) {
		t.Errorf("the first Put synced %q", got)
	}
}

func TestNoFsyncs(t *testing.T) {
	d, path := open(t, false)
	take := watchFsync(t, d, path)
	put(t, d, "a/b/x", "x")
	if got := take(); got != nil {
		t.Errorf("a Dir that is not durable synced %q", got)
	}
}

func TestFailedFsync(t *testing.T) {
	d, path := open(t, true)
	broken := errors.New("broken disk")
	d.SetFsync(func(*os.File) error { return broken })
	if err := d.Put(t.Context(), "a", []byte("x")); !errors.Is(err, broken) {
		t.Errorf("Put: %v, want the error of the fsync", err)
	}
	if _, err := d.Stat("a"); !errors.Is(err, chunkdir.ErrNotFound) || len(temps(t, path)) != 0 {
		t.Errorf("a file that is not durable has a name: %v", err)
	}
}
