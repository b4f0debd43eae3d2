package disk_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// chunkFile returns the path of the only chunk of that many MiB below dir.
func chunkFile(t *testing.T, dir string) (path string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "chunks"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(d.Name(), ".") {
			path = p
		}
		return err
	})
	if err != nil || path == "" {
		t.Fatalf("no chunk below %s: %v", dir, err)
	}
	return path
}

// forget takes a file out of the page cache.
func forget(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// cached reports whether the page cache has the start of a file. To read a byte
// would be to fill it.
func cached(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(b) }()
	var there [1]byte
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), 4096, uintptr(unsafe.Pointer(&there[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	return there[0]&1 == 1
}

// pages is memory that begins at a page.
func pages(t *testing.T, size int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

// TestReadPast reads a chunk that the page cache does not have: its bytes are right
// and the page cache does not have it afterwards, unless memory or file system are
// not made for that.
func TestReadPast(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	one := newSample(1, 2*mebi)
	put(t, s, one)
	path := chunkFile(t, c.Dir)
	dst := pages(t, 2*mebi+4096)
	for _, tt := range []struct {
		name string
		dst  []byte
		past bool
	}{{"pages", dst[: 2*mebi : 2*mebi], true}, {"not aligned", dst[8 : 2*mebi+8], false}} {
		forget(t, path)
		if cached(t, path) {
			needtest.Skip(t, "disk", "the file system keeps files in the page cache whatever it is told")
		}
		got, err := s.Read(t.Context(), one.ref, tt.dst)
		if err != nil || !bytes.Equal(got, one.plain) {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if tt.past == cached(t, path) {
			t.Errorf("%s: the page cache has the chunk: %t", tt.name, !tt.past)
		}
	}
}

// TestDamageReadPast damages a chunk, its tail and its length on the disk.
func TestDamageReadPast(t *testing.T) {
	dst := pages(t, 2*mebi)
	for name, damage := range map[string]func(b []byte) []byte{
		"bytes":  func(b []byte) []byte { b[mebi] ^= 1; return b },
		"tail":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"short":  func(b []byte) []byte { return b[:mebi] },
		"no end": func(b []byte) []byte { return b[:2*mebi+3] },
	} {
		c := config(t.TempDir())
		s := open(t, c)
		one := newSample(1, 2*mebi)
		put(t, s, one)
		path := chunkFile(t, c.Dir)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		forget(t, path)
		if _, err := s.Read(t.Context(), one.ref, dst); !errors.Is(err, tier.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
		if s.Has(one.ref.Digest) || s.Stats() != (disk.Stats{Damaged: 1}) {
			t.Errorf("%s: %+v afterwards", name, s.Stats())
		}
	}
}
