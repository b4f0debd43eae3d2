package chunkdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// tempName is the folder of files that have no name yet. No name starts with a
// dot, so it is none of ours.
const tempName = ".tmp"

// tempAge is when a temporary file is taken for one that a killed process left.
// A younger one may be what another process, sharing the directory, is writing
// just now.
const tempAge = 24 * time.Hour

// maxKnown bounds the memory of folders that are known to be on the disk. Beyond
// it the memory is dropped, which costs an fsync for each folder once more.
const maxKnown = 1 << 14

// Options says how a Dir keeps its files.
type Options struct {
	// Durable makes Put wait until the file survives a power cut.
	Durable bool
	// Alone says that no other process uses the directory, for which the caller
	// answers by a lock of its own. Then Open removes all temporary files.
	Alone bool
}

// Dir is a directory of files. All methods are safe for concurrent use, also
// from several processes.
type Dir struct {
	path    string
	durable bool
	fsync   func(*os.File) error
	folders *syncer

	mu    sync.Mutex          // protects known; never held across a system call
	known map[string]struct{} // folders whose own names are on the disk
}

// Open opens the directory, makes it if need be, and removes the temporary files
// of processes that were killed: those that are a day old, or all of them if
// nobody else can be writing one. A Dir holds no file open, so there is no Close.
func Open(path string, opts Options) (*Dir, error) {
	d := &Dir{
		path:    filepath.Clean(path),
		durable: opts.Durable,
		fsync:   (*os.File).Sync,
		known:   map[string]struct{}{},
	}
	d.folders = newSyncer(func(f *os.File) error { return d.fsync(f) })
	if err := d.makeRoot(); err != nil {
		return nil, fmt.Errorf("open directory %s: %w", path, translate(err))
	}
	if err := d.removeTemps(opts.Alone, time.Now().Add(-tempAge)); err != nil {
		return nil, fmt.Errorf("open directory %s: remove old temporary files: %w", path, err)
	}
	return d, nil
}

// makeRoot makes the directory with its temporary folder, and syncs the folders
// that got a new entry. It syncs the one above the directory in any case, for the
// process that made the directory may have been killed before it did.
func (d *Dir) makeRoot() error {
	grown := []string{filepath.Dir(d.path)}
	for dir := filepath.Dir(d.path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		grown = append(grown, filepath.Dir(dir))
	}
	if err := os.MkdirAll(filepath.Join(d.path, tempName), 0o777); err != nil {
		return err
	}
	for _, dir := range grown {
		if err := d.syncFolder(dir); err != nil {
			return err
		}
	}
	return nil
}

// removeTemps removes the temporary files, all or those last written before the
// deadline.
func (d *Dir) removeTemps(all bool, deadline time.Time) error {
	folder := filepath.Join(d.path, tempName)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && (all || info.ModTime().Before(deadline)) {
			err = os.Remove(filepath.Join(folder, entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process was faster
			return err
		}
	}
	return nil
}

// Open opens a file for reading, or returns ErrNotFound. The caller closes it.
func (d *Dir) Open(name string) (*os.File, error) {
	path, err := d.place(name)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open file %s: %w", name, translate(err))
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("open file %s: %w", name, errors.Join(ErrNotFound, err))
	}
	return f, nil
}

// Stat describes a file, or returns ErrNotFound.
func (d *Dir) Stat(name string) (Info, error) {
	path, err := d.place(name)
	if err != nil {
		return Info{}, fmt.Errorf("stat: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return Info{}, fmt.Errorf("stat file %s: %w", name, translate(err))
	}
	if !info.Mode().IsRegular() {
		return Info{}, fmt.Errorf("stat file %s: %w", name, ErrNotFound)
	}
	return Info{name, info.Size(), info.ModTime()}, nil
}

// Remove removes a file, or returns ErrNotFound. Those who have it open read on.
// It is not synced: after a power cut the file may be back.
func (d *Dir) Remove(name string) error {
	if _, err := d.Stat(name); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if err := os.Remove(d.join(name)); err != nil {
		return fmt.Errorf("remove file %s: %w", name, translate(err))
	}
	return nil
}

// Touch sets a file's ModTime, by which a cache knows what was used last.
func (d *Dir) Touch(name string, at time.Time) error {
	path, err := d.place(name)
	if err != nil {
		return fmt.Errorf("touch: %w", err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		return fmt.Errorf("touch file %s: %w", name, translate(err))
	}
	return nil
}

// place returns the path of a name. The folders above it must be folders, if they
// are there: through a link, files would be written and removed elsewhere.
func (d *Dir) place(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	for end := range len(name) {
		if name[end] != '/' {
			continue
		}
		info, err := os.Lstat(d.join(name[:end]))
		if err == nil && !info.IsDir() {
			err = &fs.PathError{Op: "open folder", Path: d.join(name[:end]), Err: syscall.ENOTDIR}
		}
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("file %s: %w", name, translate(err))
		}
	}
	return d.join(name), nil
}

// join returns the path of a name that has been checked.
func (d *Dir) join(name string) string {
	return filepath.Join(d.path, filepath.FromSlash(name))
}
