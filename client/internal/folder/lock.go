package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// acquire takes the folder's lock. Another pull removes the lock's file when it
// ends, so a lock counts only if its file is still the one with that name.
func (f *Folder) acquire() error {
	for range 100 {
		file, err := f.openLock()
		if errors.Is(err, fs.ErrNotExist) {
			continue // another pull ended just now
		}
		if err != nil {
			return err
		}
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return errors.Join(ErrBusy, file.Close())
		}
		if err != nil {
			return errors.Join(fmt.Errorf("lock: %w", err), file.Close())
		}
		if f.current(file) {
			f.lock = file
			return nil
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return ErrBusy
}

func (f *Folder) openLock() (*os.File, error) {
	if err := f.folder(manifest.Reserved, false); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if info, err := f.root.Lstat(lockFile); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file: %w", lockFile, ErrObstacle)
	}
	return f.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o666)
}

// current reports whether the lock's name still leads to file.
func (f *Folder) current(file *os.File) bool {
	is, err := file.Stat()
	if err != nil {
		return false
	}
	want, err := f.root.Lstat(lockFile)
	return err == nil && os.SameFile(is, want)
}

// links returns how many names a file has.
func links(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink)
	}
	return 1
}
