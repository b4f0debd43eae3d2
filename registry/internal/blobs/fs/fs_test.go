package fs_test

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/blobs/blobstest"
	"github.com/ingot-ml/ingot/registry/internal/blobs/fs"
)

func open(t testing.TB, path string, reserve int64) *fs.Store {
	t.Helper()
	s, err := fs.Open(path, fs.Options{Reserve: reserve})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	blobstest.RunStore(t, func(t *testing.T) blobs.Store { return open(t, t.TempDir(), 0) })
}

func TestReopen(t *testing.T) {
	path := t.TempDir()
	if err := open(t, path, 0).Put(t.Context(), "a/b", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if info, err := open(t, path, 0).Stat(t.Context(), "a/b"); err != nil || info.Size != 1 {
		t.Errorf("after opening again: %+v, %v", info, err)
	}
}

func TestReserve(t *testing.T) {
	path := t.TempDir()
	if err := open(t, path, 1).Put(t.Context(), "before", []byte("x")); err != nil {
		t.Fatal(err)
	}
	full := open(t, path, math.MaxInt64)
	if err := full.Put(t.Context(), "new", []byte("x")); !errors.Is(err, blobs.ErrNoSpace) {
		t.Errorf("Put into the reserve: %v, want ErrNoSpace", err)
	}
	if _, err := full.Stat(t.Context(), "new"); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("the refused blob: %v, want ErrNotFound", err)
	}
	if err := full.Put(t.Context(), "before", []byte("x")); !errors.Is(err, blobs.ErrExists) {
		t.Errorf("Put of what is there: %v, want ErrExists", err)
	}
}

// TestReserveOfSize asks for room for a blob that alone would go below the
// reserve. The amounts are halves of the disk, since others use it too.
func TestReserveOfSize(t *testing.T) {
	path := t.TempDir()
	free, err := fs.FreeBytes(path)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, path, free/2)
	if err := s.CheckFree("large", free-free/4); !errors.Is(err, blobs.ErrNoSpace) {
		t.Errorf("room for three quarters of the disk: %v, want ErrNoSpace", err)
	}
	if err := s.CheckFree("small", free/4); err != nil {
		t.Errorf("room for a quarter of the disk: %v", err)
	}
}

// TestLeftOver opens a store whose process was killed during a Put.
func TestLeftOver(t *testing.T) {
	path := t.TempDir()
	open(t, path, 0)
	left := filepath.Join(path, ".tmp", "left")
	if err := os.WriteFile(left, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	open(t, path, 0)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func BenchmarkStore(b *testing.B) {
	blobstest.RunBenchmarks(b, func(b *testing.B) blobs.Store { return open(b, b.TempDir(), 0) })
}

// A file that somebody cut is noticed, however it is read.
func TestShortFile(t *testing.T) {
	path := t.TempDir()
	s := open(t, path, 0)
	if err := s.Put(t.Context(), "cut", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(io.Reader) error{
		"Read":    func(r io.Reader) error { _, err := io.ReadAll(struct{ io.Reader }{r}); return err },
		"WriteTo": func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
	} {
		r, err := s.Open(t.Context(), "cut", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(path, "cut")
		err = errors.Join(os.Truncate(file, 4), read(r))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s of a cut file: %v, want ErrUnexpectedEOF", name, err)
		}
		if err := errors.Join(r.Close(), os.Truncate(file, 10)); err != nil {
			t.Fatal(err)
		}
	}
}

// sentFile is a connection that notes whether it was given what sendfile takes: a
// limit over a file.
type sentFile struct {
	net.Conn
	asFile bool
}

func (s *sentFile) ReadFrom(r io.Reader) (int64, error) {
	limit, ok := r.(*io.LimitedReader)
	if ok {
		_, s.asFile = limit.R.(*os.File)
	}
	return io.Copy(s.Conn, r)
}

func TestSendfile(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	text := strings.Repeat("0123456789", 1<<14)
	if err := s.Put(t.Context(), "sent", []byte(text)); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "sent", 5, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	from, to := net.Pipe()
	conn := &sentFile{Conn: from}
	var sending errgroup.Group
	sending.Go(func() error {
		_, err := io.Copy(conn, r)
		return errors.Join(err, r.Close(), from.Close())
	})
	got, err := io.ReadAll(to)
	if err := errors.Join(err, sending.Wait()); err != nil {
		t.Fatal(err)
	}
	if !conn.asFile || string(got) != text[5:100_005] {
		t.Errorf("as a file: %v; %d bytes", conn.asFile, len(got))
	}
}
