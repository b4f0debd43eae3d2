package format

import (
	"cmp"
	"slices"
	"strings"
)

// ONNXData is the format of a file that has no structure of its own, and holds
// tensors of ONNX models beside it.
const ONNXData = "onnx-data"

// Along describes a file of size bytes by the tensors that others say lie in it,
// as File.External has them, and keeps none of them. Of several with exactly the
// same bytes the first by name counts. Tensors that leave the file, or overlap,
// are an error that wraps ErrMalformed and names one.
func Along(size int64, tensors []Tensor) (*File, error) {
	opaque := &File{Format: Opaque, Size: size}
	if size <= 0 || size > maxSize {
		return opaque, nil
	}
	sorted := slices.Clone(tensors)
	slices.SortFunc(sorted, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length), strings.Compare(a.Name, b.Name),
			strings.Compare(a.DType, b.DType), slices.Compare(a.Shape, b.Shape))
	})
	sorted = slices.CompactFunc(sorted, func(a, b Tensor) bool { return a.Offset == b.Offset && a.Length == b.Length })
	if err := checkApart(size, sorted); err != nil {
		return nil, err
	}
	sortTensors(sorted)
	if distinguish(sorted) != nil {
		return opaque, nil
	}
	return &File{Format: ONNXData, Size: size, Tensors: sorted}, nil
}

// checkApart makes sure that sorted tensors lie inside size and do not overlap.
func checkApart(size int64, tensors []Tensor) error {
	var end int64
	var last string
	for _, t := range tensors {
		switch {
		case t.Offset < 0 || t.Length < 0 || t.Offset > size || t.Length > size-t.Offset:
			return malformedf("tensor %.120q: %d bytes at %d leave the file's %d bytes", t.Name, t.Length, t.Offset, size)
		case t.Length > 0 && t.Offset < end:
			return malformedf("tensor %.120q: %d bytes at %d overlap tensor %.120q", t.Name, t.Length, t.Offset, last)
		case t.Length > 0:
			end, last = t.Offset+t.Length, t.Name
		}
	}
	return nil
}
