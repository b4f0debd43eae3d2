package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// readFile reads a file of at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("file %s is no file of at most %d bytes", filepath.Base(path), most)
	}
	b := make([]byte, info.Size())
	return b, readAt(f, 0, b)
}

// newSuffix ends the name of a file that is being written.
const newSuffix = ".new"

// replaceFile writes a file, new or instead of another, which is on the disk when
// it returns. One caller at a time may write one path.
func replaceFile(path string, b []byte) error {
	f, err := os.Create(path + newSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+newSuffix, path)
	}
	if err != nil {
		_ = os.Remove(path + newSuffix) // else the next one overwrites it
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the names in a folder be on the disk.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// full makes an error of the system that there is no room one of the tier.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", tier.ErrFull, err)
	}
	return err
}
