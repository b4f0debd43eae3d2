package client

import (
	"io"

	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/client/internal/source"
)

// LocalFile is a file as a push sees it.
type LocalFile struct {
	*format.File
	Path string // below the folder that was looked at, or the file itself

	source *source.File
}

// Look returns the files that a push of the folder or file at path would store,
// in their order, and where their tensors lie. It reads no weights and asks no
// registry. Links that leave the folder are followed. Errors are ErrInput.
func Look(path string) ([]*LocalFile, error) {
	found, err := source.Scan(path, true)
	if err != nil {
		return nil, err
	}
	models, err := askModels(found)
	if err != nil {
		return nil, err
	}
	files := make([]*LocalFile, len(found))
	for i, s := range found {
		f := &LocalFile{Path: s.Place(), source: s}
		err := f.Read(func(r io.ReaderAt) (err error) {
			f.File, err = models.structure(s, r, false)
			return err
		})
		if err != nil {
			return nil, err
		}
		files[i] = f
	}
	return files, nil
}

// Read opens f for use, which may read it in several goroutines and returns when
// they are done. A file that is not what it was when Look found it is ErrInput,
// and so is every error of use.
func (f *LocalFile) Read(use func(r io.ReaderAt) error) error {
	r, err := f.source.Open()
	if err != nil {
		return err
	}
	err = use(r)
	if rerr := r.Release(); err == nil {
		err = rerr
	}
	if err != nil {
		return asInput(err)
	}
	return nil
}
