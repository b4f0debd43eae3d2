package ingest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/openapi"
)

// ErrSpoolFull reports that other files that arrive take all the room there is.
var ErrSpoolFull = openapi.Errorf(openapi.CodeBusy, "too many files arrive at once: try again later")

// Spooled is room for one file that arrives. It is safe for concurrent use, except
// Close. What was not written reads as zeros.
type Spooled struct {
	file *os.File
	size int64
	give func() // gives the room back

	mu     sync.Mutex // protects what follows
	sum    hash.Hash
	hashed int64 // bytes from the start that sum has
	again  bool  // some of those were written again
}

// Spool returns room for a file of size bytes. The caller closes it. It fails with
// ErrSpoolFull when there is none now, and with CodeTooLarge when there never is.
func (s *Store) Spool(size int64) (*Spooled, error) {
	if size < 0 {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "a file of %d bytes", size)
	}
	if size > s.limit {
		return nil, openapi.Errorf(openapi.CodeTooLarge, "a file of %d bytes does not fit in the %d bytes that arriving files may take", size, s.limit)
	}
	if !s.take(size) {
		return nil, fmt.Errorf("make room for %d bytes: %w", size, ErrSpoolFull)
	}
	file, err := s.create(size)
	if err != nil {
		s.take(-size)
		return nil, fmt.Errorf("make room for %d bytes: %w", size, err)
	}
	return &Spooled{file: file, size: size, give: sync.OnceFunc(func() { s.take(-size) }), sum: sha256.New()}, nil
}

// create makes a file without a name that has its place on the disk, if enough of
// that is left for others.
func (s *Store) create(size int64) (*os.File, error) {
	file, err := os.CreateTemp(s.dir, "arriving-")
	if err != nil {
		return nil, noSpace(err)
	}
	err = errors.Join(os.Remove(file.Name()), allocate(file, size))
	if err == nil {
		err = s.spare(file)
	}
	if err != nil {
		return nil, errors.Join(noSpace(err), file.Close())
	}
	return file, nil
}

// spare fails when less of the disk is left than is to stay free.
func (s *Store) spare(file *os.File) error {
	if s.reserve <= 0 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &st); err != nil {
		return err
	}
	if int64(st.Bavail)*int64(st.Bsize) < s.reserve {
		return syscall.ENOSPC
	}
	return nil
}

// noSpace makes a full disk one that the caller is told of.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return openapi.Errorf(openapi.CodeNoSpace, "no room on the disk for a file that arrives: try again later")
	}
	return err
}

// take takes room, or gives it back, and reports whether there was enough.
func (s *Store) take(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+n > s.limit {
		return false
	}
	s.used += n
	return true
}

// Size returns how many bytes the file has when all are there.
func (f *Spooled) Size() int64 { return f.size }

// WriteAt implements io.WriterAt. Bytes that come in order are hashed as they come.
func (f *Spooled) WriteAt(p []byte, offset int64) (int, error) {
	if offset < 0 || int64(len(p)) > f.size-offset {
		return 0, openapi.Errorf(openapi.CodeTooLarge, "%d bytes at %d of a file of %d", len(p), offset, f.size)
	}
	n, err := f.file.WriteAt(p, offset)
	f.hash(p[:n], offset)
	return n, noSpace(err)
}

func (f *Spooled) hash(p []byte, offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case offset == f.hashed:
		f.sum.Write(p) // never fails
		f.hashed += int64(len(p))
	case offset < f.hashed && len(p) > 0:
		f.again = true
	}
}

// ReadAt implements io.ReaderAt.
func (f *Spooled) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= f.size {
		return 0, io.EOF
	}
	if int64(len(p)) > f.size-offset {
		n, err := f.readAt(p[:f.size-offset], offset)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return f.readAt(p, offset)
}

// readAt reads inside the file, whose end may not have been written.
func (f *Spooled) readAt(p []byte, offset int64) (int, error) {
	n, err := f.file.ReadAt(p, offset)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}

// Sum returns the sha256 of the whole file. It reads only what was not hashed while
// it came.
func (f *Spooled) Sum() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.again {
		f.sum.Reset()
		f.hashed, f.again = 0, false
	}
	n, err := io.Copy(f.sum, io.NewSectionReader(f, f.hashed, f.size-f.hashed))
	if err != nil {
		return nil, fmt.Errorf("read a file that arrived: %w", err)
	}
	f.hashed += n
	return f.sum.Sum(nil), nil
}

// Close gives the room back. It may be called again.
func (f *Spooled) Close() error {
	f.give()
	if err := f.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
