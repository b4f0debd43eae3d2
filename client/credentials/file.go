package credentials

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// ErrReadable reports a file of credentials that others than its owner can read.
var ErrReadable = errors.New("others can read it")

// maxFile bounds the file in bytes.
const maxFile = 4 << 20

// Entry is what is kept for an origin.
type Entry struct {
	Token string `json:"token"`
	// Insecure lets the token go over plain HTTP to another machine.
	Insecure bool `json:"insecure,omitempty"`
	// CAFile is a file of authorities that are believed beside those of the system.
	CAFile string `json:"ca_file,omitempty"`
}

// document is the file's JSON.
type document struct {
	Registries map[Origin]Entry `json:"registries"`
}

// File is where a user's tokens are kept. One that is not there holds none. It is safe
// for concurrent use; of two processes that change it at a time, the last one counts.
type File struct{ reader reader[document] }

// Open returns the file at path.
func Open(path string) *File {
	return &File{reader[document]{path: path, most: maxFile, check: private, parse: parse}}
}

// Path returns where the file is.
func (f *File) Path() string { return f.reader.path }

// private refuses a file that others can read, or write.
func private(info fs.FileInfo) error {
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return ErrReadable
	}
	return nil
}

func parse(b []byte) (d document, err error) {
	if err := json.Unmarshal(b, &d); err != nil {
		return document{}, fmt.Errorf("not a file of credentials: %w", err)
	}
	for origin, entry := range d.Registries {
		if is, err := OriginOf(string(origin)); err != nil || is != origin {
			return document{}, fmt.Errorf("not a file of credentials: %.200q is no origin such as https://models.example", origin)
		}
		if err := Check(entry.Token); err != nil {
			return document{}, fmt.Errorf("%s: %w", origin, err)
		}
	}
	return d, nil
}

// Get returns what is kept for an origin, if there is anything.
func (f *File) Get(o Origin) (Entry, bool, error) {
	d, err := f.read()
	e, ok := d.Registries[o]
	return e, ok, err
}

// Origins returns those for which something is kept.
func (f *File) Origins() ([]Origin, error) {
	d, err := f.read()
	return slices.Sorted(maps.Keys(d.Registries)), err
}

func (f *File) read() (document, error) {
	d, err := f.reader.read()
	switch {
	case errors.Is(err, fs.ErrNotExist), isClosed(err):
		return document{}, nil
	case errors.Is(err, ErrReadable):
		err = fmt.Errorf("credentials %s: %w: it is used after \"chmod 600\"", f.Path(), err)
	case err != nil:
		err = fmt.Errorf("credentials: %w", err)
	}
	return d, err
}

// isClosed tells a file in a folder that may not even be looked into: the home of
// another user, in which nothing is kept for this one.
func isClosed(err error) bool {
	failed, ok := errors.AsType[*fs.PathError](err)
	return ok && failed.Op == "stat" && errors.Is(err, fs.ErrPermission)
}

// Put keeps e for an origin, in place of what was kept.
func (f *File) Put(o Origin, e Entry) error {
	if err := Check(e.Token); err != nil {
		return err
	}
	d, err := f.read()
	if err != nil {
		return err
	}
	all := maps.Clone(d.Registries)
	if all == nil {
		all = map[Origin]Entry{}
	}
	all[o] = e
	return f.write(document{all})
}

// Remove keeps nothing for an origin any more, and tells whether there was anything.
func (f *File) Remove(o Origin) (bool, error) {
	d, err := f.read()
	if _, ok := d.Registries[o]; err != nil || !ok {
		return false, err
	}
	all := maps.Clone(d.Registries)
	delete(all, o)
	return true, f.write(document{all})
}

// write replaces the file at once.
func (f *File) write(d document) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("credentials: %w", err)
		}
	}()
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.Path())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".credentials-*") // which nobody else can read
	if err != nil {
		return err
	}
	_, err = temp.Write(append(text, '\n'))
	err = cmp.Or(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.Path())
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
