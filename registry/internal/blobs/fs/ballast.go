package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Ballast is a file that takes room until it is needed. It lies on the disk of the
// store, outside of its directory. The zero value is none.
type Ballast struct {
	Path string
	Size int64
}

// MakeRoom gives the ballast away if less is free than it holds, and reports whether it
// did. It is for whoever opens registers and an index on the same disk, which cannot be
// opened without any room.
func (b Ballast) MakeRoom() (bool, error) {
	free, err := freeBytes(filepath.Dir(b.Path))
	if err != nil || free >= b.Size {
		return false, err
	}
	return b.drop()
}

// drop reports whether there was one.
func (b Ballast) drop() (bool, error) {
	if b.Size <= 0 {
		return false, nil
	}
	err := os.Remove(b.Path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove ballast: %w", err)
	}
	return true, nil
}

// take makes the ballast, if there is none and room for it beyond the reserve. Without
// it the store is as good; it only cannot help when the disk is full. So nothing is
// said of a failure, as where a file system cannot set room aside.
func (b Ballast) take(reserve int64) {
	if _, err := os.Lstat(b.Path); err == nil || b.Size <= 0 {
		return
	}
	if free, err := freeBytes(filepath.Dir(b.Path)); err != nil || free < reserve+b.Size {
		return
	}
	f, err := os.OpenFile(b.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, b.Size)
	if errors.Join(err, f.Close()) != nil {
		_ = os.Remove(b.Path) // it takes no room
	}
}
