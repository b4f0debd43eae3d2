package credentials

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// settled is how old a change of a file has to be for another one to show in its time.
const settled = 2 * time.Second

// reader reads a file again whenever it has changed. It is safe for concurrent use.
type reader[T any] struct {
	path  string
	most  int64 // bytes
	check func(fs.FileInfo) error
	parse func([]byte) (T, error)

	mu    sync.Mutex // protects what follows
	info  fs.FileInfo
	value T
}

// read returns what the file says now.
func (r *reader[T]) read() (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.path)
	if err != nil {
		return *new(T), err
	}
	if r.info != nil && os.SameFile(info, r.info) && info.Size() == r.info.Size() && info.ModTime().Equal(r.info.ModTime()) {
		return r.value, nil
	}
	value, info, err := r.load()
	if err != nil {
		return *new(T), err
	}
	r.value, r.info = value, nil
	if time.Since(info.ModTime()) > settled {
		r.info = info
	}
	return value, nil
}

// load reads the file, and returns its state before that.
func (r *reader[T]) load() (value T, info fs.FileInfo, err error) {
	file, err := os.Open(r.path)
	if err != nil {
		return value, nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if info, err = file.Stat(); err != nil {
		return value, nil, err
	}
	if !info.Mode().IsRegular() {
		return value, nil, fmt.Errorf("%s is not a file", r.path)
	}
	if r.check != nil {
		if err = r.check(info); err != nil {
			return value, nil, err
		}
	}
	b, err := io.ReadAll(io.LimitReader(file, r.most+1))
	if err != nil {
		return value, nil, err
	}
	if int64(len(b)) > r.most {
		return value, nil, fmt.Errorf("%s has more than %d bytes", r.path, r.most)
	}
	value, err = r.parse(b)
	if err != nil {
		err = fmt.Errorf("%s: %w", r.path, err)
	}
	return value, info, err
}
