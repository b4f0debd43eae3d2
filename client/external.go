package client

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/client/internal/source"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// external is what the ONNX models of a folder keep in its other files: that
// follows from no byte of those.
type external struct {
	files   map[string]*keeping // by their paths in the folder
	tensors int                 // of all files
}

// keeping is what models keep in one file.
type keeping struct {
	models  []string // the first of them
	tensors []format.Tensor
}

// maxModels is how many models a message names.
const maxModels = 3

// isONNX reports whether a file of that name is asked what it keeps in others.
func isONNX(name string) bool { return strings.HasSuffix(name, ".onnx") }

// add notes what the model at a path of the folder keeps in others. As for every
// reader of ONNX, those lie in the model's own folder or below: what leads out of
// it is passed over. So are models with more tensors than a manifest holds.
func (e *external) add(model string, f *format.File) {
	n := 0
	for _, tensors := range f.External {
		n += len(tensors)
	}
	if n > manifest.MaxTensors-e.tensors {
		return
	}
	e.tensors += n
	for location, tensors := range f.External {
		if at := path.Clean(location); fs.ValidPath(at) {
			e.keep(path.Join(path.Dir(model), at), model, tensors)
		}
	}
}

func (e *external) keep(file, model string, tensors []format.Tensor) {
	if e.files == nil {
		e.files = map[string]*keeping{}
	}
	k := e.files[file]
	if k == nil {
		k = &keeping{}
		e.files[file] = k
	}
	if len(k.models) < maxModels && !slices.Contains(k.models, model) {
		k.models = append(k.models, model)
	}
	k.tensors = append(k.tensors, tensors...)
}

// along returns f, which is at a path of the folder, or the same file along what
// models keep in it if it has no structure of its own. They may be wrong: then
// the error wraps format.ErrMalformed and names them.
func (e *external) along(path string, f *format.File) (*format.File, error) {
	k := e.files[path]
	if k == nil || f.Format != format.Opaque {
		return f, nil
	}
	got, err := format.Along(f.Size, k.tensors)
	if err != nil {
		return nil, fmt.Errorf("not what %s wants there: %w", strings.Join(k.models, ", "), err)
	}
	return got, nil
}

// askModels asks the models among files what they keep in others. Those that are
// malformed say nothing here. Errors are ErrInput.
func askModels(files []*source.File) (e external, err error) {
	for _, f := range files {
		if !isONNX(f.Path) {
			continue
		}
		reader, err := f.Open()
		if err != nil {
			return e, err
		}
		got, err := format.Open(f.Place(), reader, f.Size)
		if err == nil {
			e.add(f.Path, got)
		}
		if errors.Is(err, format.ErrMalformed) {
			err = nil
		}
		if err := errors.Join(err, reader.Release()); err != nil {
			return e, asInput(err)
		}
	}
	return e, nil
}

// structure finds out where the tensors of f, whose bytes are r, lie. With lenient
// a file that is not what its name or a model claims is opaque.
func (e *external) structure(f *source.File, r io.ReaderAt, lenient bool) (*format.File, error) {
	got, err := format.Open(f.Place(), r, f.Size)
	if errors.Is(err, format.ErrMalformed) && lenient {
		got, err = format.Open("", r, f.Size)
	}
	if err != nil {
		return nil, err
	}
	along, err := e.along(f.Path, got)
	if err != nil && lenient {
		return got, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Place(), err)
	}
	return along, nil
}
