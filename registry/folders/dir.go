package folders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// Most folders of a root, and most files of one.
const (
	maxModels = 100_000
	maxFiles  = 100_000
)

// OpenDir opens a directory of folders. Links to files, and to whole models, are
// followed as long as they stay in it; what begins with a dot is left out.
func OpenDir(dir string) (Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	return &directory{root}, nil
}

type directory struct{ root *os.Root }

// Close implements Root.
func (d *directory) Close() error { return d.root.Close() }

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// Models implements Root.
func (d *directory) Models(ctx context.Context) ([]string, error) {
	entries, err := d.list(".")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	var names []string
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if hidden(e.Name()) || len(names) == maxModels {
			continue
		}
		if info, err := d.root.Stat(e.Name()); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// list reads a folder, by name.
func (d *directory) list(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(d.root.FS(), name)
}

// Files implements Root.
func (d *directory) Files(ctx context.Context, model string) ([]File, error) {
	if hidden(model) || strings.ContainsAny(model, "/\\") {
		return nil, nil
	}
	w := &walk{directory: d, ctx: ctx, model: model}
	err := w.folder("")
	if errors.Is(err, fs.ErrNotExist) && len(w.files) == 0 {
		return nil, nil
	}
	return w.files, err
}

// walk gathers the files of a folder.
type walk struct {
	*directory
	ctx   context.Context
	model string
	files []File
}

func (w *walk) folder(below string) error {
	entries, err := w.list(path.Join(w.model, below))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSource, err)
	}
	for _, e := range entries {
		if w.ctx.Err() != nil {
			return w.ctx.Err()
		}
		if hidden(e.Name()) {
			continue
		}
		p := path.Join(below, e.Name())
		info, err := w.root.Stat(path.Join(w.model, p))
		switch {
		case err != nil: // gone by now, or a link that leads out
			continue
		case e.IsDir():
			if err := w.folder(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case info.Mode().IsRegular():
			w.files = append(w.files, File{Path: p, Size: info.Size(), Mark: markOf(info), Modified: info.ModTime()})
		}
		if len(w.files) > maxFiles {
			return fmt.Errorf("%w: folder %.80q has more than %d files", ErrSource, w.model, maxFiles)
		}
	}
	return nil
}

// markOf is the time of the last change, and where the file lies: one that takes the
// place of another may have its time.
func markOf(info fs.FileInfo) string {
	mark := strconv.FormatInt(info.ModTime().UnixNano(), 16)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		mark += "-" + strconv.FormatUint(st.Ino, 16)
	}
	return mark
}

// Open implements Root.
func (d *directory) Open(_ context.Context, model string, f File, offset, n int64) (io.ReadCloser, error) {
	file, err := d.root.Open(path.Join(model, f.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s/%s: %w: it is gone", model, f.Path, ErrChanged)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	r := &reader{file: file, want: f, model: model, rest: n}
	if err := r.check(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrSource, err), file.Close())
	}
	return r, nil
}

// reader reads a part of a file that should not change meanwhile.
type reader struct {
	file  *os.File
	want  File
	model string
	rest  int64
}

// check compares the file with what it was.
func (r *reader) check() error {
	info, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSource, err)
	}
	if info.Size() != r.want.Size || markOf(info) != r.want.Mark {
		return fmt.Errorf("%s/%s: %w", r.model, r.want.Path, ErrChanged)
	}
	return nil
}

// Read implements io.Reader. The last bytes are given after a look at the file.
func (r *reader) Read(p []byte) (int, error) {
	if r.rest == 0 {
		return 0, io.EOF
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.rest)])
	r.rest -= int64(n)
	if n > 0 && r.rest == 0 {
		err = r.check()
	} else if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s/%s: %w: it has become shorter", r.model, r.want.Path, ErrChanged)
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.file.Close() }
