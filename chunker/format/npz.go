package format

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// parseNPZ reads what numpy.savez writes: a zip of .npy files. Other entries, and
// arrays of what is no number, are left to the gaps between the arrays.
func parseNPZ(r io.ReaderAt, size int64) (*File, error) {
	entries, err := readZip(r, size)
	if err != nil {
		return nil, err
	}
	var tensors []Tensor
	arrays := 0
	for _, e := range entries {
		name, isArray := strings.CutSuffix(e.name, suffixNumPy)
		if !isArray {
			continue
		}
		arrays++
		if e.compressed || len(name) > maxName {
			return nil, errBeyond
		}
		t, err := readArray(r, e.offset, e.length)
		switch {
		case err == nil:
			t.Name = name
			tensors = append(tensors, t)
		case !errors.Is(err, errBeyond):
			return nil, fmt.Errorf("array %.120q: %w", name, err)
		}
	}
	switch {
	case arrays == 0:
		return nil, malformedf("no entry ends in %s", suffixNumPy)
	case tensors == nil:
		return nil, errBeyond
	}
	return &File{Tensors: tensors, scattered: true}, nil
}
