package format

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
)

const (
	// maxHeader is where the reference implementation of safetensors stops.
	maxHeader = 100_000_000
	// maxParsedHeader bounds the memory for one file, some ten times this. A header
	// for 100,000 tensors has 12 MB.
	maxParsedHeader = 16 << 20
)

// What a manifest can say of a tensor. Beyond it a file is opaque.
const (
	maxName  = 1024 // bytes
	maxDType = 64   // bytes
	maxRank  = 32
)

// parseSafetensors reads a file of: the header's length n as 8 little-endian
// bytes, n bytes of JSON, and the data, which the tensors cover without a hole.
func parseSafetensors(r io.ReaderAt, size int64) (*File, error) {
	header, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	tensors, err := parseHeader(header)
	if err != nil {
		return nil, err
	}
	start := 8 + int64(len(header))
	if err := checkLayout(tensors, size-start); err != nil {
		return nil, err
	}
	for i := range tensors {
		tensors[i].Offset += start
	}
	return &File{Tensors: tensors}, nil
}

func readHeader(r io.ReaderAt, size int64) ([]byte, error) {
	if size < 10 {
		return nil, malformedf("%d bytes, too short for a header", size)
	}
	var head [9]byte
	if err := readFull(r, head[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(head[:])
	switch {
	case n > maxHeader:
		return nil, malformedf("header of %d bytes, at most %d allowed", n, maxHeader)
	case n < 2:
		return nil, malformedf("header of %d bytes, too short for {}", n)
	case n > uint64(size-8):
		return nil, malformedf("header of %d bytes leaves the file's %d bytes", n, size)
	case head[8] != '{':
		return nil, malformedf("header starts with %q, want {", head[8:])
	case n > maxParsedHeader:
		return nil, errBeyond
	}
	header := make([]byte, n)
	return header, readFull(r, header, 8)
}

// readFull fills p from offset, where the caller knows the file to have bytes.
func readFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read header: %w", err)
}

// checkLayout sorts the tensors by place and makes sure that they cover the data
// section, of size bytes, each byte once. Their offsets count from its start.
func checkLayout(tensors []Tensor, size int64) error {
	slices.SortFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length), cmp.Compare(a.Name, b.Name))
	})
	var end int64
	for i := range tensors {
		t := &tensors[i]
		next := t.Offset + t.Length
		switch {
		case t.Offset < end:
			return malformedf("tensor %.120q: bytes %d..%d overlap tensor %.120q", t.Name, t.Offset, next, tensors[i-1].Name)
		case t.Offset > end:
			return malformedf("tensor %.120q: bytes %d..%d leave a hole from %d", t.Name, t.Offset, next, end)
		case next > size:
			return malformedf("tensor %.120q: bytes %d..%d leave the file's %d bytes of data", t.Name, t.Offset, next, size)
		}
		end = next
	}
	if end < size {
		return malformedf("%d bytes after the last tensor", size-end)
	}
	return nil
}

// element returns what a safetensors word for an element type means, and its
// width in bits: 0 when the word is unknown.
func element(dtype string) (chunker.DType, uint64) {
	if t, ok := chunker.ParseDType(dtype); ok {
		return t, 8 * uint64(t.Width())
	}
	switch dtype {
	case "F4":
		return chunker.U8, 4
	case "F6_E2M3", "F6_E3M2":
		return chunker.U8, 6
	case "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ":
		return chunker.U8, 8
	case "C64":
		return chunker.F32, 64 // two of them
	}
	return chunker.Untyped, 0
}

// checkShape makes sure that a tensor of that shape, with elements of width
// bits, takes length bytes.
func checkShape(shape []uint64, width, length uint64) error {
	total, err := arraySize(shape, width)
	if err != nil {
		return err
	}
	if total%8 != 0 {
		return malformedf("shape %v takes %d bits, which is no number of bytes", shape, total)
	}
	if total/8 != length {
		return malformedf("shape %v takes %d bytes, its offsets %d", shape, total/8, length)
	}
	return nil
}
