package chunkdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Put makes a file of the parts, one behind the other, and returns when it is
// durable, if the Dir is. It fails with ErrExists when the name is taken, and
// with ErrNoSpace on a full disk. The parts are only read, and not kept.
func (d *Dir) Put(ctx context.Context, name string, parts ...[]byte) error {
	path, err := d.place(name)
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if err := d.put(ctx, path, parts); err != nil {
		return fmt.Errorf("put file %s: %w", name, err)
	}
	return nil
}

// put looks first whether the path is taken, to spare a repeated Put the writing.
// A taken name may be one whose Put was interrupted after the rename, so its
// folder is synced too before the caller may count on it.
func (d *Dir) put(ctx context.Context, path string, parts [][]byte) error {
	if err := d.folders.failure(); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return d.settle(path, ErrExists)
	}
	temp, err := d.write(ctx, parts)
	if err != nil {
		return translate(err)
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o777); err == nil {
		err = rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp) // else a later Open does it
	}
	if errors.Is(err, fs.ErrExist) {
		return d.settle(path, ErrExists)
	}
	if err != nil {
		return translate(err)
	}
	return d.settle(path, nil)
}

// write returns the path of a new temporary file of the parts, synced if the Dir
// is durable. A failed fsync is not tried again: the pages that could not be
// written may count as clean, so the file goes and Put fails.
func (d *Dir) write(ctx context.Context, parts [][]byte) (path string, err error) {
	f, err := os.CreateTemp(filepath.Join(d.path, tempName), "")
	if err != nil {
		return "", err
	}
	for _, part := range parts {
		if err = ctx.Err(); err == nil {
			_, err = f.Write(part)
		}
		if err != nil {
			break
		}
	}
	if err == nil && d.durable {
		err = d.fsync(f)
	}
	if err = errors.Join(err, f.Close(), ctx.Err()); err != nil {
		_ = os.Remove(f.Name()) // else a later Open does it
		return "", err
	}
	return f.Name(), nil
}

// settle returns outcome once the file's name is on the disk, if the Dir is
// durable: it syncs the folder, and what leads to it.
func (d *Dir) settle(path string, outcome error) error {
	if !d.durable {
		return outcome
	}
	folder := filepath.Dir(path)
	if err := d.syncParents(folder); err != nil {
		return translate(err)
	}
	if err := d.syncFolder(folder); err != nil {
		return translate(err)
	}
	return outcome
}

// syncParents makes the name of a folder in the Dir durable, and those of the
// folders above it. That a folder was there already does not tell: whoever made
// it may not have come to its fsync.
func (d *Dir) syncParents(folder string) error {
	if folder == d.path || d.isKnown(folder) {
		return nil
	}
	parent := filepath.Dir(folder)
	if err := d.syncParents(parent); err != nil {
		return err
	}
	if err := d.syncFolder(parent); err != nil {
		return err
	}
	d.setKnown(folder)
	return nil
}

// syncFolder makes the entries of a folder durable, if the Dir is.
func (d *Dir) syncFolder(path string) error {
	if !d.durable {
		return nil
	}
	return d.folders.sync(path)
}

func (d *Dir) isKnown(folder string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.known[folder]
	return ok
}

func (d *Dir) setKnown(folder string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= maxKnown {
		clear(d.known)
	}
	d.known[folder] = struct{}{}
}
