package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
)

// Prune removes every file and link that keep does not want, and the folders
// that this empties. It follows no links.
func (f *Folder) Prune(keep func(p string) bool) error {
	var extra []string
	err := f.Files(func(p string, _ fs.DirEntry) error {
		if !keep(p) {
			extra = append(extra, p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	for _, p := range extra {
		if err := f.root.Remove(p); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		if err := f.emptied(path.Dir(p)); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	return nil
}

// emptied removes dir and those above it that hold nothing any more.
func (f *Folder) emptied(dir string) error {
	for ; dir != "."; dir = path.Dir(dir) {
		err := f.root.Remove(dir)
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
