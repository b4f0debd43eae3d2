package chunkdir_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

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
	d.SetFsync((*os.File).Sync)
	put(t, d, "a", "x") // another file is another try
}

// TestFailedFolderFsync makes a second fsync succeed, as a kernel does that has
// told of the failure once.
func TestFailedFolderFsync(t *testing.T) {
	d, path := open(t, true)
	put(t, d, "a/before", "x")
	broken := errors.New("broken disk")
	d.SetFsync(func(f *os.File) error {
		if filepath.Base(f.Name()) == "a" {
			return broken
		}
		return nil
	})
	if err := d.Put(t.Context(), "a/x", []byte("x")); !errors.Is(err, broken) {
		t.Errorf("Put: %v, want the error of the fsync", err)
	}
	d.SetFsync((*os.File).Sync)
	for _, name := range []string{"a/x", "a/y", "b/z"} {
		if err := d.Put(t.Context(), name, []byte("x")); !errors.Is(err, broken) {
			t.Errorf("Put %s after a failure: %v, want that failure", name, err)
		}
	}
	if read(t, d, "a/before") != "x" {
		t.Error("reading does not go on")
	}
	d, err := chunkdir.Open(path, chunkdir.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "a/y", "x")
	if n := len(temps(t, path)); n != 0 {
		t.Errorf("%d temporary files are left", n)
	}
}

// TestSharedFsyncs holds the fsync of a folder up while other Puts get there.
func TestSharedFsyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := open(t, true)
		put(t, d, "a/before", "x")
		gate := make(chan struct{})
		var syncs atomic.Int32
		d.SetFsync(func(f *os.File) error {
			if filepath.Base(f.Name()) == "a" {
				syncs.Add(1)
				<-gate
			}
			return nil
		})
		var all sync.WaitGroup
		putOne := func(i int) {
			all.Go(func() {
				if err := d.Put(t.Context(), fmt.Sprintf("a/%d", i), []byte("x")); err != nil {
					t.Error(err)
				}
			})
		}
		putOne(0)
		synctest.Wait() // it is in the fsync
		for i := range 16 {
			putOne(1 + i)
		}
		synctest.Wait() // their files have names, and they wait
		if n := syncs.Load(); n != 1 {
			t.Errorf("%d fsyncs at a time", n)
		}
		close(gate)
		all.Wait()
		if n := syncs.Load(); n != 2 {
			t.Errorf("17 Puts took %d fsyncs of the folder, want 2", n)
		}
	})
}

// TestRootFsync opens a directory whose maker may have been killed too early.
func TestRootFsync(t *testing.T) {
	_, path := open(t, true)
	synced, err := chunkdir.OpenSyncs(path)
	if want := []string{filepath.Dir(path)}; err != nil || !slices.Equal(synced, want) {
		t.Errorf("Open synced %q, %v; want %q", synced, err, want)
	}
	deep := filepath.Join(path, "x", "y")
	synced, err = chunkdir.OpenSyncs(deep)
	if want := []string{filepath.Dir(deep), path}; err != nil || !slices.Equal(synced, want) {
		t.Errorf("Open of a new one synced %q, %v; want %q", synced, err, want)
	}
}
