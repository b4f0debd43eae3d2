package format

import (
	"encoding/binary"
	"io"
	"strconv"

	"github.com/ingot-ml/ingot/chunker"
)

const (
	suffixNumPy = ".npy"
	magicNumPy  = "\x93NUMPY"

	// maxNumPyHeader is far beyond what an array of numbers needs; NumPy itself
	// asks for leave from 10,000 bytes on.
	maxNumPyHeader = 1 << 20
)

// parseNPY reads what numpy.save writes: one array, with a header in front. It
// has no name there.
func parseNPY(r io.ReaderAt, size int64) (*File, error) {
	t, err := readArray(r, 0, size)
	if err != nil {
		return nil, err
	}
	t.Name = "array"
	return &File{Tensors: []Tensor{t}}, nil
}

// readArray reads the header of the array in the size bytes of r from offset. It
// returns the tensor without a name.
func readArray(r io.ReaderAt, offset, size int64) (Tensor, error) {
	header, start, err := readNumPyHeader(r, offset, size)
	if err != nil {
		return Tensor{}, err
	}
	a, err := parseNumPyHeader(header)
	if err != nil {
		return Tensor{}, err
	}
	elem, width, ok := numpyElement(a.descr)
	if !ok || len(a.shape) > maxRank || len(a.descr) > maxDType {
		return Tensor{}, errBeyond
	}
	length, err := arraySize(a.shape, width)
	if err != nil {
		return Tensor{}, err
	}
	switch have := uint64(size - start); {
	case length > have:
		return Tensor{}, malformedf("shape %v of %s takes %d bytes, there are %d", a.shape, a.descr, length, have)
	case length < have:
		return Tensor{}, errBeyond // numpy.save may append any number of arrays
	}
	return Tensor{DType: a.descr, Elem: elem, Shape: a.shape, Offset: offset + start, Length: int64(length)}, nil
}

// readNumPyHeader returns the text of a header, and where the data starts.
func readNumPyHeader(r io.ReaderAt, offset, size int64) (header []byte, start int64, err error) {
	var head [12]byte
	if size < int64(len(head)) {
		return nil, 0, malformedf("%d bytes, too short for an array", size)
	}
	if err := readFull(r, head[:], offset); err != nil {
		return nil, 0, err
	}
	if string(head[:6]) != magicNumPy {
		return nil, 0, malformedf("starts with %q, want %q", head[:6], magicNumPy)
	}
	var n int64
	switch string(head[6:8]) {
	case "\x01\x00":
		n, start = int64(binary.LittleEndian.Uint16(head[8:])), 10
	case "\x02\x00", "\x03\x00":
		n, start = int64(binary.LittleEndian.Uint32(head[8:])), 12
	default:
		return nil, 0, errBeyond
	}
	switch {
	case n > size-start:
		return nil, 0, malformedf("header of %d bytes leaves the %d that are there", n, size)
	case n > maxNumPyHeader:
		return nil, 0, errBeyond
	}
	header = make([]byte, n)
	return header, start + n, readFull(r, header, offset+start)
}

// numpyTypes has the element type and the bytes of one element for what follows
// the byte order in a NumPy type. A complex number is two floats.
var numpyTypes = map[string]struct {
	elem  chunker.DType
	width uint64
}{
	"b1": {chunker.Bool, 1},
	"i1": {chunker.I8, 1}, "i2": {chunker.I16, 2}, "i4": {chunker.I32, 4}, "i8": {chunker.I64, 8},
	"u1": {chunker.U8, 1}, "u2": {chunker.U16, 2}, "u4": {chunker.U32, 4}, "u8": {chunker.U64, 8},
	"f1": {chunker.Untyped, 1}, // one of the kinds of float8
	"f2": {chunker.F16, 2}, "f4": {chunker.F32, 4}, "f8": {chunker.F64, 8},
	"c8": {chunker.F32, 8}, "c16": {chunker.F64, 16},
	"f16": {chunker.Untyped, 16}, "c32": {chunker.Untyped, 32}, // long double
}

// numpyElement returns what a NumPy type means and the bytes of one element; ok
// is false for types that are no numbers, or not known here.
func numpyElement(descr string) (elem chunker.DType, width uint64, ok bool) {
	if len(descr) < 3 {
		return 0, 0, false
	}
	order, code := descr[0], descr[1:]
	if code[0] == 'V' { // raw bytes: how bfloat16 and float8, which NumPy does not know, are saved
		n, err := strconv.ParseUint(code[1:], 10, 16)
		return chunker.Untyped, n, err == nil && n > 0 && (order == '|' || order == '<' || order == '>')
	}
	t, known := numpyTypes[code]
	switch {
	case t.width == 1 && (order == '|' || order == '<' || order == '>'), order == '<':
		return t.elem, t.width, known
	case order == '>':
		return chunker.Untyped, t.width, known
	}
	return 0, 0, false
}
