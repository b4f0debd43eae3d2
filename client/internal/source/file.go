package source

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
)

// File is a file to push.
type File struct {
	Path  string // in the manifest
	Size  int64  // bytes, as Scan found it
	place string
	info  fs.FileInfo
}

// Reader reads a File for several goroutines, each of which holds it. The last
// to let go closes it.
type Reader struct {
	file    *File
	f       *os.File
	holders atomic.Int64
}

// Open opens f for the caller, the first holder. Errors are ErrInput.
func (f *File) Open() (*Reader, error) {
	// A pipe that is put in the file's place meanwhile would block for ever.
	file, err := os.OpenFile(f.place, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, inputf("%w", err)
	}
	r := &Reader{file: f, f: file}
	r.holders.Store(1)
	if err := r.unchanged(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// unchanged compares the open file with what Scan found.
func (r *Reader) unchanged() error {
	info, err := r.f.Stat()
	if err != nil {
		return inputf("%w", err)
	}
	was := r.file.info
	if info.Size() != was.Size() || !info.ModTime().Equal(was.ModTime()) || !os.SameFile(info, was) {
		return r.file.Changed()
	}
	return nil
}

// Changed returns the ErrInput that says that f is not what it was.
func (f *File) Changed() error { return inputf("%s: changed while it was pushed", f.place) }

// Place returns where f lies, for messages.
func (f *File) Place() string { return f.place }

// Info returns what Scan found of f.
func (f *File) Info() fs.FileInfo { return f.info }

// ReadAt implements io.ReaderAt. A file that has become shorter is ErrInput.
func (r *Reader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := r.f.ReadAt(p, offset)
	switch {
	case err == nil || n == len(p):
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, inputf("%w", err)
	case offset+int64(n) < r.file.Size:
		return n, r.file.Changed()
	}
	return n, err
}

// Hold adds a holder. Only a holder may call it.
func (r *Reader) Hold() { r.holders.Add(1) }

// Release lets go. The last one closes the file, and returns ErrInput when it is
// not what it was when Scan found it.
func (r *Reader) Release() error {
	if r.holders.Add(-1) > 0 {
		return nil
	}
	return errors.Join(r.unchanged(), r.f.Close())
}
