// Package fs owns the store of blobs in a directory: each blob is a file of its
// name.
//
// Laws: those of package blobs. Durability is that of package chunkdir. Part of
// the disk is held back from blobs, so that the registers beside them can still be
// written when the disk is full; and a file of ballast, so that room can be made when
// something else has taken that part too.
package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker/chunkdir"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// Options says how a Store uses its disk.
type Options struct {
	// Reserve is how many bytes of the disk stay free: a Put that would leave fewer
	// fails with blobs.ErrNoSpace.
	Reserve int64
	// Exempt, if not empty, is what names begin with that may use the reserve: a full
	// disk can only be made room on if what that needs can be written.
	Exempt string
	// Ballast is given away when something else has filled the disk to the last byte
	// and what Exempt names has to be written.
	Ballast Ballast
}

// Store is a blobs.Store in a directory.
type Store struct {
	path string
	opts Options
	dir  *chunkdir.Dir
}

// Open opens the directory, and makes it if need be. No other process may have it
// open: the registry's lock is that of its registers, which it opens first. A
// Store holds no file open, so there is no Close.
func Open(path string, opts Options) (*Store, error) {
	dir, err := chunkdir.Open(path, chunkdir.Options{Durable: true, Alone: true})
	if err != nil {
		return nil, fmt.Errorf("open blobs: %w", translate(err))
	}
	s := &Store{path: path, opts: opts, dir: dir}
	opts.Ballast.take(opts.Reserve)
	return s, nil
}

// Put implements blobs.Store.
func (s *Store) Put(ctx context.Context, name string, parts ...[]byte) error {
	if err := check(ctx, name); err != nil {
		return fmt.Errorf("put blob: %w", err)
	}
	if err := s.checkFree(name, length(parts)); err != nil {
		return fmt.Errorf("put blob %s: %w", name, err)
	}
	err := s.dir.Put(ctx, name, parts...)
	if errors.Is(err, chunkdir.ErrNoSpace) && s.exempt(name) {
		if dropped, failed := s.opts.Ballast.drop(); dropped || failed != nil {
			err = errors.Join(failed, s.dir.Put(ctx, name, parts...))
		}
	}
	if err != nil {
		return fmt.Errorf("put blob: %w", translate(err))
	}
	if !s.exempt(name) { // else a full disk is being collected from
		s.opts.Ballast.take(s.opts.Reserve)
	}
	return nil
}

// exempt reports whether a blob may use the reserve and the ballast.
func (s *Store) exempt(name string) bool {
	return s.opts.Exempt != "" && strings.HasPrefix(name, s.opts.Exempt)
}

// checkFree returns ErrNoSpace when n more bytes would leave less than the reserve,
// unless the blob is there already and needs no room. Puts at the same time may
// together take more than is free; the reserve is larger than what they bring.
func (s *Store) checkFree(name string, n int64) error {
	free, err := freeBytes(s.path)
	if err != nil || free-n >= s.opts.Reserve || s.exempt(name) {
		return err
	}
	if _, err := s.dir.Stat(name); err == nil {
		return nil
	}
	return fmt.Errorf("%d bytes are free, %d are held in reserve: %w", free, s.opts.Reserve, blobs.ErrNoSpace)
}

func length(parts [][]byte) int64 {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return int64(n)
}

// freeBytes returns how much of the disk can be written by who we are.
func freeBytes(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", path, err)
	}
	size := uint64(st.Bsize)
	if size == 0 || st.Bavail > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(st.Bavail * size), nil
}

// Open implements blobs.Store.
func (s *Store) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := check(ctx, name); err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	f, err := s.dir.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", translate(err))
	}
	r, err := newReader(f, off, n)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", name, errors.Join(err, f.Close()))
	}
	return r, nil
}

// newReader returns a reader of a range of the file, which it then owns.
func newReader(f *os.File, off, n int64) (*reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if n, err = blobs.Span(info.Size(), off, n); err != nil {
		return nil, err
	}
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return nil, err
	}
	return &reader{file: f, left: io.LimitedReader{R: f, N: n}}, nil
}

// Stat implements blobs.Store.
func (s *Store) Stat(ctx context.Context, name string) (blobs.Info, error) {
	if err := check(ctx, name); err != nil {
		return blobs.Info{}, fmt.Errorf("stat blob: %w", err)
	}
	info, err := s.dir.Stat(name)
	if err != nil {
		return blobs.Info{}, fmt.Errorf("stat blob: %w", translate(err))
	}
	return infoOf(info), nil
}

// List implements blobs.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	return func(yield func(blobs.Info, error) bool) {
		for info, err := range s.dir.List(ctx, prefix, after) {
			if err != nil {
				err = fmt.Errorf("list blobs: %w", translate(err))
			}
			if !yield(infoOf(info), err) {
				return
			}
		}
	}
}

func infoOf(f chunkdir.Info) blobs.Info {
	return blobs.Info{Name: f.Name, Size: f.Size, Modified: f.ModTime}
}

// Delete implements blobs.Sweeper. What is deleted is not synced: after a power cut
// a blob may be back, which is waste until it is collected again.
func (s *Store) Delete(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := check(ctx, name); err != nil {
			return fmt.Errorf("delete blob: %w", err)
		}
		if err := s.dir.Remove(name); err != nil && !errors.Is(err, chunkdir.ErrNotFound) {
			return fmt.Errorf("delete blob: %w", translate(err))
		}
	}
	s.opts.Ballast.take(s.opts.Reserve) // XFS may count later what it has freed: see Put
	return nil
}

// check is what every call that takes a name begins with.
func check(ctx context.Context, name string) error {
	if err := blobs.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// translate adds to an error of the directory the one that stores have for it.
func translate(err error) error {
	for _, t := range []struct{ from, to error }{
		{chunkdir.ErrNotFound, blobs.ErrNotFound},
		{chunkdir.ErrExists, blobs.ErrExists},
		{chunkdir.ErrNoSpace, blobs.ErrNoSpace},
	} {
		if errors.Is(err, t.from) {
			return fmt.Errorf("%w: %w", t.to, err)
		}
	}
	return err
}
