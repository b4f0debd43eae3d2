package format_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

func open(name string, b []byte) (*format.File, error) {
	return format.Open(name, bytes.NewReader(b), int64(len(b)))
}

// mustOpen opens b, which must be of that format under any name.
func mustOpen(t testing.TB, word string, b []byte) *format.File {
	t.Helper()
	f, err := open("model."+word, b)
	if err != nil || f.Format != word || f.Size != int64(len(b)) {
		t.Fatalf("Open = %+v, %v, want %s", f, err, word)
	}
	other, err := open("README", b)
	if err != nil || other.Format != word || len(other.Tensors) != len(f.Tensors) {
		t.Fatalf("under another name: %+v, %v", other, err)
	}
	return f
}

// checkMalformed fails unless b is malformed under that name, which one line with
// says in it tells, and opaque under another.
func checkMalformed(t *testing.T, name string, b []byte, says string) {
	t.Helper()
	f, err := open(name, b)
	if !errors.Is(err, format.ErrMalformed) || f != nil {
		t.Fatalf("Open = %+v, %v, want a malformed file", f, err)
	}
	text := err.Error()
	if !strings.HasPrefix(text, name+": ") || !strings.Contains(text, says) || strings.Contains(text, "\n") {
		t.Errorf("%q does not say %q", text, says)
	}
	checkOpaque(t, "model.bin", b)
}

// checkOpaque fails unless b is of no format under that name.
func checkOpaque(t *testing.T, name string, b []byte) {
	t.Helper()
	f, err := open(name, b)
	if err != nil || f.Format != format.Opaque || f.Size != int64(len(b)) || len(f.Tensors) > 0 {
		t.Fatalf("%s: %+v, %v, want opaque", name, f, err)
	}
}

// checkAny fails unless b, which may be anything, is cut into what covers it. It may
// be malformed under that name if it is of another format, or opaque, under another.
func checkAny(t *testing.T, name string, b []byte) *format.File {
	t.Helper()
	file, err := open(name, b)
	if err != nil {
		if !errors.Is(err, format.ErrMalformed) {
			t.Fatalf("unknown error: %v", err)
		}
		if file, err = open("x", b); err != nil || name == "x."+file.Format {
			t.Fatalf("under another name: %+v, %v", file, err)
		}
	}
	cuts := cutAll(t, file, b)
	if file.Format != format.Opaque {
		checkTensors(t, file, cuts)
	}
	return file
}

// checkGolden compares the cuts of b, a file of that format, with those kept.
func checkGolden(t *testing.T, word string, b []byte) {
	t.Helper()
	var got strings.Builder
	for _, c := range cutAll(t, mustOpen(t, word, b), b) {
		fmt.Fprintf(&got, "%d %d %s %s\n", c.Offset, c.Length, c.DType, chunker.Sum(b[c.Offset:c.Offset+int64(c.Length)]))
	}
	path := filepath.Join("testdata", word+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("boundaries changed: nothing stored before would be found again\n%s\nwant\n%s", got.String(), want)
	}
}

// countingReader counts the bytes asked for.
type countingReader struct {
	io.ReaderAt
	asked int
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	r.asked += len(p)
	return r.ReaderAt.ReadAt(p, off)
}

// cutAll returns the cuts of f after it made sure that they cover b.
func cutAll(t testing.TB, f *format.File, b []byte) []chunker.Cut {
	t.Helper()
	var cuts []chunker.Cut
	var pos int64
	for c, err := range f.Cuts(bytes.NewReader(b)) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Offset != pos || c.Length < 1 || c.Length > chunker.MaxSize {
			t.Fatalf("cut %v, want 1 to 2 MiB from %d", c, pos)
		}
		pos += int64(c.Length)
		cuts = append(cuts, c)
	}
	if pos != int64(len(b)) || pos != f.Size {
		t.Fatalf("cuts end at %d of %d bytes", pos, len(b))
	}
	return cuts
}

// checkTensors fails unless the tensors are sorted, none lies on another, and each
// starts or lies whole in a cut.
func checkTensors(t testing.TB, f *format.File, cuts []chunker.Cut) {
	t.Helper()
	last, end := int64(0), int64(0)
	for _, tensor := range f.Tensors {
		if tensor.Offset < last || tensor.Length < 0 || tensor.Length > f.Size-tensor.Offset {
			t.Fatalf("tensor %+v out of order or range", tensor)
		}
		last = tensor.Offset
		if tensor.Length == 0 {
			continue
		}
		if tensor.Offset < end {
			t.Fatalf("tensor %+v lies on another, which ends at %d", tensor, end)
		}
		end = tensor.Offset + tensor.Length
		i, starts := slices.BinarySearchFunc(cuts, tensor.Offset, func(c chunker.Cut, at int64) int { return int(c.Offset - at) })
		if !starts {
			c := cuts[i-1]
			if tensor.Offset+tensor.Length > c.Offset+int64(c.Length) {
				t.Fatalf("tensor %+v neither starts nor lies in cut %v", tensor, c)
			}
		}
	}
}
