package hfcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/registry/catalog"
)

// blob makes the blob of a file, unless it is there, and returns its name.
func (m *making) blob(ctx context.Context, f *catalog.File) (string, error) {
	if f.SHA256 != "" {
		if err := m.reuse(ctx, f); !errors.Is(err, fs.ErrNotExist) {
			return f.SHA256, err
		}
	}
	return m.fetch(ctx, f)
}

// reuse takes a blob that is there, in this repository's folder or in another's. The
// error is fs.ErrNotExist if there is none.
func (m *making) reuse(ctx context.Context, f *catalog.File) error {
	mine := blobPath(m.rev.Repo, f.SHA256)
	found, err := m.sound(ctx, mine, f)
	if found || err != nil {
		return err
	}
	for _, repo := range m.others {
		other := blobPath(repo, f.SHA256)
		if repo == m.rev.Repo {
			continue
		}
		found, err := m.sound(ctx, other, f)
		if err != nil {
			return err
		}
		if found {
			if err := m.tree.root.Link(other, mine); err == nil || errors.Is(err, fs.ErrExist) {
				return nil
			}
			m.count(&m.reused, -f.Size) // the file system cannot: it is written
		}
	}
	return fs.ErrNotExist
}

// sound reports whether a blob is there and right. A wrong one goes.
func (m *making) sound(ctx context.Context, p string, f *catalog.File) (bool, error) {
	blob, err := m.tree.root.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = blob.Close() }() // it is only read
	info, err := blob.Stat()
	if err != nil {
		return false, err
	}
	sum := sha256.New()
	if info.Mode().IsRegular() && info.Size() == f.Size {
		if _, err := io.Copy(sum, reader{ctx, blob}); err != nil {
			return false, err
		}
		if text(sum) == f.SHA256 {
			m.found(f.Size)
			return true, nil
		}
	}
	return false, m.tree.root.Remove(p)
}

// reader reads until its context ends.
type reader struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

func text(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// fetch writes a blob, from where an interrupted one was.
func (m *making) fetch(ctx context.Context, f *catalog.File) (string, error) {
	p := blobPath(m.rev.Repo, key(f)+partSuffix)
	part, err := m.tree.lock(p)
	if err != nil {
		return "", err
	}
	defer func() { _ = part.Close() }() // what it has written was seen to
	sum, err := m.resume(ctx, f, part)
	if errors.Is(err, errStale) {
		if err = part.Truncate(0); err == nil {
			sum, err = m.resume(ctx, f, part)
		}
	}
	if errors.Is(err, errStale) {
		err = errors.Join(ErrWrong, m.tree.root.Remove(p))
	}
	if err == nil {
		err = part.Sync() // else a power cut could leave a name without its bytes
	}
	if err != nil {
		return "", err
	}
	return sum, m.tree.root.Rename(p, blobPath(m.rev.Repo, sum))
}

// errStale reports that the whole of a file has another sha256.
var errStale = errors.New("sha256 differs")

// resume writes what the part of a file lacks, and returns the sha256 of the whole.
func (m *making) resume(ctx context.Context, f *catalog.File, part *os.File) (string, error) {
	sum := sha256.New()
	have, err := m.taken(ctx, f, part, sum)
	if err != nil {
		return "", err
	}
	content, err := m.src.Open(ctx, m.rev, f)
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }() // it was only read
	if content.Size() != f.Size {
		return "", fmt.Errorf("it has %d bytes, want %d: %w", content.Size(), f.Size, ErrWrong)
	}
	if f.Size > have {
		if err := content.Send(ctx, io.MultiWriter(sum, part, (*counting)(m)), have, f.Size-have); err != nil {
			return "", err
		}
	}
	got := text(sum)
	if f.SHA256 != "" && got != f.SHA256 {
		m.count(&m.reused, -have)
		m.count(&m.written, have-f.Size)
		return "", errStale
	}
	return got, nil
}

// taken reads what a part has, if that can be checked in the end, and leaves it at
// where to go on.
func (m *making) taken(ctx context.Context, f *catalog.File, part *os.File, sum io.Writer) (int64, error) {
	info, err := part.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() > f.Size || f.SHA256 == "" {
		if err := part.Truncate(0); err != nil {
			return 0, err
		}
	}
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	have, err := io.Copy(sum, reader{ctx, part})
	m.found(have)
	return have, err
}

// counting counts what is written.
type counting making

// Write implements io.Writer.
func (c *counting) Write(b []byte) (int, error) {
	m := (*making)(c)
	m.count(&m.written, int64(len(b)))
	return len(b), nil
}

// lock opens the part of a blob for this process alone, until it is closed.
func (t *Tree) lock(p string) (*os.File, error) {
	f, err := t.root.OpenFile(p, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrBusy
	}
	if err == nil && !t.same(p, f) {
		err = ErrBusy // the other has just finished
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// same reports whether f is the file at p still.
func (t *Tree) same(p string, f *os.File) bool {
	at, err := t.root.Stat(p)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(at, info)
}
