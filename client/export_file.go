package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ingot-ml/ingot/registry/name"
)

// ErrBusyFile reports a file that another export writes.
var ErrBusyFile = errors.New("another export writes it")

// partSuffix is added to the name of a file that is not complete.
const partSuffix = ".part"

// ExportFile is Export to a file, which is replaced at once when the archive is
// complete. Until then it is beside it, with .part added to its name, where a later
// ExportFile of the same versions goes on. It returns the archive's bytes too.
func (r *Registry) ExportFile(ctx context.Context, refs []name.Ref, path string, o ExportOptions) (done []Receipt, size int64, err error) {
	f, err := openPart(path + partSuffix)
	if err != nil {
		return nil, 0, fmt.Errorf("export: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	o.Begun = f
	if done, err = r.Export(ctx, refs, f, o); err != nil {
		return nil, 0, err
	}
	if size, err = f.finish(path); err != nil {
		return nil, 0, fmt.Errorf("export: %w", err)
	}
	return done, size, nil
}

// part is the file of an archive that is being written.
type part struct{ *os.File }

// openPart opens the file for this process alone.
func openPart(path string) (part, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return part{}, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%s: %w", path, ErrBusyFile)
	}
	if err == nil {
		err = isStill(f, path)
	}
	if err != nil {
		return part{}, errors.Join(err, f.Close())
	}
	return part{f}, nil
}

// isStill reports a file that lost its name before it was locked: another export was
// done just then.
func isStill(f *os.File, path string) error {
	is, err := f.Stat()
	if err != nil {
		return err
	}
	if named, err := os.Stat(path); err != nil || !os.SameFile(is, named) {
		return fmt.Errorf("%s: %w", path, ErrBusyFile)
	}
	return nil
}

// Cut implements Begun.
func (p part) Cut(offset int64) error {
	if err := p.Truncate(offset); err != nil {
		return err
	}
	_, err := p.Seek(offset, io.SeekStart)
	return err
}

// finish gives the file its name, on the disk too.
func (p part) finish(path string) (size int64, err error) {
	info, err := p.Stat()
	if err != nil {
		return 0, err
	}
	if err := p.Sync(); err != nil {
		return 0, err
	}
	if err := os.Rename(p.Name(), path); err != nil {
		return 0, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	return info.Size(), errors.Join(dir.Sync(), dir.Close())
}
