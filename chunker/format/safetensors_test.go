package format_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

// file makes a safetensors file of a header and n bytes of data.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

const small = `{"__metadata__":{"format":"pt"},` +
	`"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},` +
	`"a":{"shape":[2],"data_offsets":[12,20],"dtype":"F32"}}   `

func TestSafetensors(t *testing.T) {
	f := mustOpen(t, format.Safetensors, file(small, 20))
	start := int64(8 + len(small))
	want := []format.Tensor{
		{Name: "b", DType: "BF16", Elem: chunker.BF16, Shape: []uint64{2, 3}, Offset: start, Length: 12},
		{Name: "a", DType: "F32", Elem: chunker.F32, Shape: []uint64{2}, Offset: start + 12, Length: 8},
	}
	if f.Size != start+20 || fmt.Sprint(f.Tensors) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", f, want)
	}
}

// one makes a header of one tensor "a".
func one(dtype, shape, offsets string) string {
	return fmt.Sprintf(`{"a":{"dtype":"%s","shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
}

func TestSafetensorsLegal(t *testing.T) {
	for name, tt := range map[string]struct {
		header string
		data   int
		elem   chunker.DType // of the first tensor
	}{
		"no tensors":            {`{}`, 0, 0},
		"no tensors, padded":    {"{} \n\t  ", 0, 0},
		"metadata alone":        {`{"__metadata__":{}}`, 0, 0},
		"scalar":                {one("F64", `[]`, `[0,8]`), 8, chunker.F64},
		"no elements":           {one("F32", `[0]`, `[0,0]`), 0, chunker.F32},
		"no elements, huge":     {one("F32", `[18446744073709551615,0,18446744073709551615]`, `[0,0]`), 0, chunker.F32},
		"unknown dtype":         {one("F3_NEW", `[7]`, `[0,3]`), 3, chunker.Untyped},
		"unknown dtype, huge":   {one("X", `[18446744073709551615,18446744073709551615]`, `[0,3]`), 3, chunker.Untyped},
		"F4":                    {one("F4", `[3,2]`, `[0,3]`), 3, chunker.U8},
		"F6_E2M3":               {one("F6_E2M3", `[4]`, `[0,3]`), 3, chunker.U8},
		"F6_E3M2":               {one("F6_E3M2", `[8]`, `[0,6]`), 6, chunker.U8},
		"F8_E8M0":               {one("F8_E8M0", `[3]`, `[0,3]`), 3, chunker.U8},
		"F8_E4M3FNUZ":           {one("F8_E4M3FNUZ", `[3]`, `[0,3]`), 3, chunker.U8},
		"F8_E5M2FNUZ":           {one("F8_E5M2FNUZ", `[3]`, `[0,3]`), 3, chunker.U8},
		"C64":                   {one("C64", `[2]`, `[0,16]`), 16, chunker.F32},
		"F8_E4M3":               {one("F8_E4M3", `[2]`, `[0,2]`), 2, chunker.F8E4M3},
		"BOOL":                  {one("BOOL", `[2]`, `[0,2]`), 2, chunker.Bool},
		"extra field":           {`{"a":{"dtype":"U8","extra":{"x":[1,{"y":null}],"z":-1.5e3},"shape":[1],"data_offsets":[0,1]}}`, 1, chunker.U8},
		"empty name":            {`{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1, chunker.U8},
		"escaped name":          {`{"\u00e9\n\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1, chunker.U8},
		"nothing between":       {`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"n":{"dtype":"F32","shape":[0],"data_offsets":[1,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2, chunker.U8},
		"same key in two names": {`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"dtype":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2, chunker.U8},
	} {
		t.Run(name, func(t *testing.T) {
			f := mustOpen(t, format.Safetensors, file(tt.header, tt.data))
			if len(f.Tensors) > 0 && f.Tensors[0].Elem != tt.elem {
				t.Errorf("element type %s, want %s", f.Tensors[0].Elem, tt.elem)
			}
		})
	}
}

func TestSafetensorsMalformed(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	pair := func(a, b string) string {
		return `{"a":{"dtype":"U8","shape":[4],"data_offsets":` + a + `},"b":{"dtype":"U8","shape":[4],"data_offsets":` + b + `}}`
	}
	for name, tt := range map[string]struct {
		b    []byte
		says string
	}{
		"one byte":               {[]byte("x"), "1 bytes, too short"},
		"text":                   {[]byte("version https://git-lfs.github.com/spec/v1\n"), "header of"},
		"header of 1":            {[]byte("\x01\x00\x00\x00\x00\x00\x00\x00{}"), "header of 1 bytes"},
		"header past the end":    {[]byte("\x03\x00\x00\x00\x00\x00\x00\x00{}"), "header of 3 bytes leaves the file's 10 bytes"},
		"huge header":            {binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "too short"},
		"huge header in a file":  {append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), small...), "header of 18446744073709551615 bytes"},
		"header past its limit":  {append(binary.LittleEndian.AppendUint64(nil, 100_000_001), small...), "at most 100000000"},
		"header is an array":     {file(`[{}]`, 0), `starts with "[", want {`},
		"header is a string":     {file(`"{}"`, 0), "want {"},
		"space before header":    {file(` {}`, 0), "want {"},
		"not UTF-8":              {file("{\"\xff\":{}}", 0), "not UTF-8"},
		"not JSON":               {file(`{]`, 0), "header at byte"},
		"unclosed":               {file(`{"a":{"dtype":"U8"`, 0), "ends inside its JSON"},
		"comma at the end":       {file(`{"__metadata__":{},}`, 0), "header at byte"},
		"two objects":            {file(`{}{}`, 0), "goes on after its object"},
		"zeros as padding":       {file("{}\x00\x00", 0), "goes on after its object"},
		"name twice":             {file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), `key "a" is there twice`},
		"metadata twice":         {file(`{"__metadata__":{},"__metadata__":{}}`, 0), `key "__metadata__" is there twice`},
		"metadata key twice":     {file(`{"__metadata__":{"k":"1","k":"2"}}`, 0), `__metadata__: key "k" is there twice`},
		"metadata of numbers":    {file(`{"__metadata__":{"k":1}}`, 0), "__metadata__: header at byte"},
		"metadata is a string":   {file(`{"__metadata__":"x"}`, 0), "__metadata__: header at byte"},
		"field twice":            {file(`{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, 1), `tensor "a": key "dtype" is there twice`},
		"extra field twice":      {file(`{"a":{"x":1,"x":2,"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), `tensor "a": key "x" is there twice`},
		"tensor is a number":     {file(`{"a":1}`, 0), `tensor "a": header at byte`},
		"no dtype":               {file(`{"a":{"shape":[1],"data_offsets":[0,1]}}`, 1), `tensor "a": want dtype, shape and data_offsets`},
		"no shape":               {file(`{"a":{"dtype":"U8","data_offsets":[0,1]}}`, 1), `tensor "a": want dtype`},
		"no offsets":             {file(`{"a":{"dtype":"U8","shape":[1]}}`, 1), `tensor "a": want dtype`},
		"dtype is a number":      {file(`{"a":{"dtype":1,"shape":[1],"data_offsets":[0,1]}}`, 1), `tensor "a": "dtype": header at byte`},
		"dtype is empty":         {file(one("", `[1]`, `[0,1]`), 1), `tensor "a": dtype is empty`},
		"shape is a number":      {file(one("U8", `1`, `[0,1]`), 1), `tensor "a": "shape": header at byte`},
		"shape in shape":         {file(one("U8", `[[1]]`, `[0,1]`), 1), `tensor "a": "shape"`},
		"shape of texts":         {file(one("U8", `["1"]`, `[0,1]`), 1), `"1" is not an integer`},
		"shape of null":          {file(one("U8", `[null]`, `[0,1]`), 1), `is not an integer`},
		"negative":               {file(one("U8", `[-1]`, `[0,1]`), 1), `"-1" is not an integer`},
		"minus zero":             {file(one("U8", `[-0]`, `[0,0]`), 0), `"-0" is not an integer`},
		"float":                  {file(one("U8", `[1.0]`, `[0,1]`), 1), `"1.0" is not an integer`},
		"exponent":               {file(one("U8", `[1e0]`, `[0,1]`), 1), `"1e0" is not an integer`},
		"2^64":                   {file(one("U8", `[18446744073709551616]`, `[0,1]`), 1), `"18446744073709551616" is not an integer`},
		"shape overflows":        {file(one("U8", `[4294967296,4294967296,4294967296]`, `[0,1]`), 1), `tensor "a": shape [4294967296 4294967296 4294967296] overflows`},
		"bits overflow":          {file(one("F64", `[4611686018427387904]`, `[0,1]`), 1), "overflows"},
		"shape against offsets":  {file(one("F32", `[2]`, `[0,4]`), 4), `tensor "a": shape [2] takes 8 bytes, its offsets 4`},
		"elements, no bytes":     {file(one("F32", `[2]`, `[0,0]`), 0), "takes 8 bytes, its offsets 0"},
		"no elements, bytes":     {file(one("F32", `[0]`, `[0,4]`), 4), "takes 0 bytes, its offsets 4"},
		"half a byte":            {file(one("F4", `[3]`, `[0,2]`), 2), "takes 12 bits"},
		"one offset":             {file(one("U8", `[1]`, `[0]`), 1), `tensor "a": data_offsets of 1 numbers, want 2`},
		"three offsets":          {file(one("U8", `[1]`, `[0,1,1]`), 1), `data_offsets of 3 numbers`},
		"offsets backwards":      {file(one("X", `[1]`, `[1,0]`), 1), `tensor "a": data_offsets 1..0`},
		"offset of 2^63":         {file(one("X", `[1]`, `[0,9223372036854775808]`), 1), "data_offsets 0..9223372036854775808"},
		"out of range":           {file(one("U8", `[9]`, `[0,9]`), 8), `tensor "a": bytes 0..9 leave the file's 8 bytes of data`},
		"far out of range":       {file(one("X", `[9]`, `[0,9223372036854775807]`), 8), `tensor "a": bytes 0..9223372036854775807 leave`},
		"overlap":                {file(pair(`[0,4]`, `[2,6]`), 6), `tensor "b": bytes 2..6 overlap tensor "a"`},
		"same place":             {file(pair(`[0,4]`, `[0,4]`), 4), `tensor "b": bytes 0..4 overlap tensor "a"`},
		"hole":                   {file(pair(`[5,9]`, `[0,4]`), 9), `tensor "a": bytes 5..9 leave a hole from 4`},
		"hole at the start":      {file(one("U8", `[4]`, `[1,5]`), 5), `tensor "a": bytes 1..5 leave a hole from 0`},
		"no elements past end":   {file(one("U8", `[0]`, `[1,1]`), 0), `leave a hole from 0`},
		"garbage after the data": {file(one("U8", `[4]`, `[0,4]`), 7), "3 bytes after the last tensor"},
		"data without tensors":   {file(`{}`, 7), "7 bytes after the last tensor"},
		"nested":                 {file(`{"a":{"x":`+deep+`}}`, 0), `tensor "a": "x": nested more than 64 deep`},
		"nested tensor":          {file(`{"a":`+deep+`}`, 0), `tensor "a": header at byte`},
	} {
		t.Run(name, func(t *testing.T) {
			checkMalformed(t, "dir/model.safetensors", tt.b, tt.says)
		})
	}
}

func TestSafetensorsTruncated(t *testing.T) {
	b := file(small, 20)
	for n := 1; n < len(b); n++ {
		checkMalformed(t, "dir/model.safetensors", b[:n], "")
	}
}

func TestSafetensorsBeyondManifest(t *testing.T) {
	long := strings.Repeat("x", 1025)
	for name, header := range map[string]string{
		"name":        `{"` + long + `":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`,
		"dtype":       one(long, `[1]`, `[0,1]`),
		"rank":        one("U8", `[1`+strings.Repeat(",1", 32)+`]`, `[0,1]`),
		"long header": one("U8", `[1]`, `[0,1]`) + strings.Repeat(" ", 16<<20),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := open("model.safetensors", file(header, 1))
			if err != nil || f.Format != format.Opaque {
				t.Errorf("Open = %+v, %v, want opaque", f, err)
			}
		})
	}
}

func TestOpenOpaque(t *testing.T) {
	for _, name := range []string{"model.safetensors", "empty", "model.safetensors.index.json"} {
		f, err := open(name, nil)
		if err != nil || f.Format != format.Opaque || f.Size != 0 {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		for c, err := range f.Cuts(bytes.NewReader(nil)) {
			t.Errorf("a cut of nothing: %v, %v", c, err)
		}
	}
	f, err := format.Open("sparse.safetensors", bytes.NewReader(nil), 4<<40+1)
	if err != nil || f.Format != format.Opaque {
		t.Errorf("file of more than 4 TiB: %+v, %v", f, err)
	}
}

func TestOpenIsCheap(t *testing.T) {
	r := &countingReader{ReaderAt: bytes.NewReader(make([]byte, 1<<20))}
	if _, err := format.Open("x.bin", r, 1<<20); err != nil {
		t.Fatal(err)
	}
	if r.asked > 64 {
		t.Errorf("read %d bytes to see that a file is of no format, want at most 64", r.asked)
	}
}

// readerAt reads from a reader, whatever the offset.
type readerAt struct{ io.Reader }

func (r readerAt) ReadAt(p []byte, _ int64) (int, error) { return io.ReadFull(r.Reader, p) }

func TestOpenReadErrors(t *testing.T) {
	broken := errors.New("broken disk")
	for _, name := range []string{"model.safetensors", "model.bin"} {
		_, err := format.Open(name, readerAt{iotest.ErrReader(broken)}, 100)
		if !errors.Is(err, broken) || errors.Is(err, format.ErrMalformed) {
			t.Errorf("%s: %v, want %v", name, err, broken)
		}
		b := file(small, 20)
		for _, n := range []int{0, 5, 8, 20} {
			_, err = format.Open(name, bytes.NewReader(b[:n]), int64(len(b)))
			if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, format.ErrMalformed) {
				t.Errorf("%s became %d bytes long: %v", name, n, err)
			}
		}
	}
}

func FuzzSafetensors(f *testing.F) {
	f.Add(file(small, 20))
	f.Add(file(`{}`, 0))
	f.Add(file(one("F4", `[3,2]`, `[0,3]`), 3))
	f.Add(file(one("X", `[]`, `[0,300000]`), 300000))
	f.Add(file(`{"a":{"x":[{"y":null}],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkAny(t, "x.safetensors", b)
	})
}
