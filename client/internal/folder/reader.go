package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// Reader reads a folder and changes nothing. It is safe for concurrent use.
type Reader struct {
	root *os.Root
}

// OpenReader opens the folder dir for reading. The caller must Close it.
func OpenReader(dir string) (*Reader, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	return &Reader{root}, nil
}

// Close closes the folder.
func (r *Reader) Close() error { return r.root.Close() }

// Find returns the size of the regular file p, or -1 when there is none, which
// includes links and the like. A folder at p is an ErrObstacle, and so is what
// stands where a folder above p must be.
func (r *Reader) Find(p string) (int64, error) {
	if err := r.parents(p); err != nil {
		return -1, fmt.Errorf("find %s: %w", p, err)
	}
	info, err := r.root.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return -1, nil
	case err != nil:
		return -1, fmt.Errorf("find %s: %w", p, err)
	case info.IsDir():
		return -1, fmt.Errorf("%s is a folder, and a file is needed there: %w", p, ErrObstacle)
	case !info.Mode().IsRegular():
		return -1, nil
	}
	return info.Size(), nil
}

// parents returns an error when something that is not a folder stands above p.
func (r *Reader) parents(p string) error {
	for end := range ends(path.Dir(p)) {
		info, err := r.root.Lstat(p[:end])
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return notFolder(p[:end])
		}
	}
	return nil
}

// ends yields where each segment of p ends. "." has none.
func ends(p string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range len(p) {
			if p[i] == '/' && !yield(i) {
				return
			}
		}
		if p != "." {
			yield(len(p))
		}
	}
}

// Read fills b from the regular file p. A file that ends before is
// io.ErrUnexpectedEOF.
func (r *Reader) Read(p string, b []byte, offset int64) error {
	file, err := r.Open(p)
	if err != nil {
		return err
	}
	n, err := file.ReadAt(b, offset)
	if n == len(b) {
		err = nil
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return named("read", p, errors.Join(err, file.Close()))
}

// Open opens the regular file p for reading.
func (r *Reader) Open(p string) (*os.File, error) {
	// What is put in the file's place meanwhile might block for ever.
	file, err := r.root.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", p, err), file.Close())
	}
	return file, nil
}

// Files calls visit with the path of everything in the folder that is not a
// folder itself. It follows no links and leaves out what ingot keeps there.
func (r *Reader) Files(visit func(p string, e fs.DirEntry) error) error {
	return fs.WalkDir(r.root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.EqualFold(e.Name(), manifest.Reserved):
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		return visit(p, e)
	})
}

// Beside returns the paths of the regular files in the folder dir whose names are
// wanted. A folder that is not there has none.
func (r *Reader) Beside(dir string, wanted func(name string) bool) ([]string, error) {
	if err := r.parents(path.Join(dir, "x")); err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	entries, err := fs.ReadDir(r.root.FS(), dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var found []string
	for _, e := range entries {
		if e.Type().IsRegular() && wanted(e.Name()) {
			found = append(found, path.Join(dir, e.Name()))
		}
	}
	return found, nil
}
