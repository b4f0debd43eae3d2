package chunkdir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
)

// List yields the files whose names start with prefix and are greater than after,
// in the byte order of their names. It yields every file that was there during
// the whole scan, and ends after an error. In memory it holds the entries of one
// folder for each level of the names.
func (d *Dir) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		l := lister{dir: d, prefix: prefix, after: after, yield: yield}
		if err := l.folder(ctx, ""); err != nil && !errors.Is(err, errStopped) {
			yield(Info{}, fmt.Errorf("list files %q: %w", prefix, err))
		}
	}
}

// errStopped ends the walk when the caller has seen enough.
var errStopped = errors.New("stopped")

// lister walks the folders of one List.
type lister struct {
	dir           *Dir
	prefix, after string
	yield         func(Info, error) bool
}

// folder yields the files below a folder, whose name is empty or ends with a
// slash.
func (l lister) folder(ctx context.Context, name string) error {
	entries, err := l.entries(name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		full := name + slashed(entry)
		switch {
		case entry.IsDir() && l.wantFolder(full):
			err = l.folder(ctx, full)
		case entry.Type().IsRegular() && full > l.after && strings.HasPrefix(full, l.prefix):
			err = l.file(full, entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entries reads a folder. Its entries are sorted as the names below them are:
// "a.b" comes before what is in "a", since '.' is less than '/'.
func (l lister) entries(name string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(l.dir.join(name))
	if errors.Is(err, fs.ErrNotExist) { // removed since it was seen
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return checkName(e.Name()) != nil })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(slashed(a), slashed(b)) })
	return entries, nil
}

// file yields one file, if it is still there.
func (l lister) file(name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !l.yield(Info{name, info.Size(), info.ModTime()}, nil) {
		return errStopped
	}
	return nil
}

// wantFolder reports whether names that start with folder, which ends with a
// slash, may be in the list.
func (l lister) wantFolder(folder string) bool {
	inPrefix := strings.HasPrefix(folder, l.prefix) || strings.HasPrefix(l.prefix, folder)
	return inPrefix && (folder > l.after || strings.HasPrefix(l.after, folder))
}

// slashed returns the entry's name, with a slash behind that of a folder.
func slashed(entry fs.DirEntry) string {
	if entry.IsDir() {
		return entry.Name() + "/"
	}
	return entry.Name()
}
