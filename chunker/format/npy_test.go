package format_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

// npy makes a version 1 file of a header, as it is, and data.
func npy(header string, data []byte) []byte {
	b := []byte("\x93NUMPY\x01\x00")
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	return append(append(b, header...), data...)
}

// dict makes a header as NumPy writes it.
func dict(descr, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }     \n", descr, shape)
}

// array makes a file of a tensor as NumPy writes it, aligned to 64 bytes.
func array(w weight) []byte {
	header := dict(numpyWord(w.dtype), fmt.Sprintf("(%d,)", len(w.data)/w.width))
	header = strings.TrimRight(header, " \n")
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	return npy(header, w.data)
}

// numpyWord is what NumPy calls a type of safetensors.
func numpyWord(dtype string) string {
	switch dtype {
	case "BF16":
		return "<V2"
	case "F16":
		return "<f2"
	case "F32":
		return "<f4"
	case "C64":
		return "<c8"
	}
	return "|V1"
}

func TestNPY(t *testing.T) {
	header := dict("<f4", "(2, 3)")
	f := mustOpen(t, format.NumPy, npy(header, make([]byte, 24)))
	want := []format.Tensor{{
		Name: "array", DType: "<f4", Elem: chunker.F32, Shape: []uint64{2, 3},
		Offset: int64(10 + len(header)), Length: 24,
	}}
	if fmt.Sprint(f.Tensors) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", f.Tensors, want)
	}
}

func TestNPYTypes(t *testing.T) {
	for descr, tt := range map[string]struct {
		elem  chunker.DType
		width int
	}{
		"|b1":  {chunker.Bool, 1},
		"|i1":  {chunker.I8, 1},
		"<i1":  {chunker.I8, 1},
		">u1":  {chunker.U8, 1},
		"|u1":  {chunker.U8, 1},
		"<f1":  {chunker.Untyped, 1},
		"<f2":  {chunker.F16, 2},
		"<i2":  {chunker.I16, 2},
		"<u2":  {chunker.U16, 2},
		"<f4":  {chunker.F32, 4},
		"<i4":  {chunker.I32, 4},
		"<u4":  {chunker.U32, 4},
		"<f8":  {chunker.F64, 8},
		"<i8":  {chunker.I64, 8},
		"<u8":  {chunker.U64, 8},
		"<c8":  {chunker.F32, 8},
		"<c16": {chunker.F64, 16},
		"<f16": {chunker.Untyped, 16},
		"<c32": {chunker.Untyped, 32},
		"|V2":  {chunker.Untyped, 2},
		"<V1":  {chunker.Untyped, 1},
		">f4":  {chunker.Untyped, 4},
		">c16": {chunker.Untyped, 16},
	} {
		t.Run(descr, func(t *testing.T) {
			f := mustOpen(t, format.NumPy, npy(dict(descr, "(3,)"), make([]byte, 3*tt.width)))
			if got := f.Tensors[0]; got.Elem != tt.elem || got.DType != descr || got.Length != int64(3*tt.width) {
				t.Errorf("got %+v, want %s of %d bytes", got, tt.elem, 3*tt.width)
			}
			checkMalformed(t, "x.npy", npy(dict(descr, "(3,)"), make([]byte, 3*tt.width-1)), "takes")
		})
	}
}

func TestNPYLegal(t *testing.T) {
	body := dict("<f4", "(2,)")[1:]
	for name, tt := range map[string]struct {
		b     []byte
		shape string
	}{
		"scalar":            {npy(dict("<f8", "()"), make([]byte, 8)), "[]"},
		"one":               {npy(dict("<f4", "(2,)"), make([]byte, 8)), "[2]"},
		"no elements":       {npy(dict("<f4", "(0,)"), nil), "[0]"},
		"no elements, huge": {npy(dict("<f4", "(18446744073709551615, 0, 18446744073709551615)"), nil), "[18446744073709551615 0 18446744073709551615]"},
		"Fortran's order":   {npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1)}", make([]byte, 8)), "[2 1]"},
		"another order":     {npy("{'shape': (2, 1), 'descr': '<f4', 'fortran_order': False}", make([]byte, 8)), "[2 1]"},
		"double quotes":     {npy(`{"descr":"<f4","fortran_order":False,"shape":(2,1,)}`, make([]byte, 8)), "[2 1]"},
		"no space":          {npy(`{'descr':'<f4','fortran_order':False,'shape':(2,)}`, make([]byte, 8)), "[2]"},
		"space":             {npy("{ \n'descr'\t: '<f4' ,\r\n'fortran_order' : False , 'shape' : ( 2 , ) , } \n ", make([]byte, 8)), "[2]"},
		"long of Python 2":  {npy(dict("<f4", "(2L, 1L)"), make([]byte, 8)), "[2 1]"},
		"version 2":         {append([]byte("\x93NUMPY\x02\x00"), append([]byte{byte(len(body) + 1), 0, 0, 0, '{'}, body+"12345678"...)...), "[2]"},
		"version 3":         {append([]byte("\x93NUMPY\x03\x00"), append([]byte{byte(len(body) + 1), 0, 0, 0, '{'}, body+"12345678"...)...), "[2]"},
	} {
		t.Run(name, func(t *testing.T) {
			if f := mustOpen(t, format.NumPy, tt.b); fmt.Sprint(f.Tensors[0].Shape) != tt.shape {
				t.Errorf("shape %v, want %s", f.Tensors[0].Shape, tt.shape)
			}
		})
	}
}

func TestNPYMalformed(t *testing.T) {
	good := dict("<f4", "(2,)")
	shape := func(s string) []byte { return npy(dict("<f4", s), make([]byte, 8)) }
	for name, tt := range map[string]struct {
		b    []byte
		says string
	}{
		"one byte":            {[]byte("x"), "1 bytes, too short"},
		"text":                {[]byte("version https://git-lfs.github.com/spec/v1\n"), `starts with "versio"`},
		"header past the end": {append([]byte("\x93NUMPY\x01\x00\xff\xff"), good...), "header of 65535 bytes leaves"},
		"header of 4 GiB":     {append([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"), good...), "header of 4294967295 bytes leaves"},
		"no header":           {append([]byte("\x93NUMPY\x01\x00\x00\x00"), good...), "want {"},
		"space in front":      {npy(" "+good, make([]byte, 8)), "want {"},
		"a list":              {npy("['descr']", make([]byte, 8)), "want {"},
		"unclosed":            {npy(strings.TrimRight(good, "} \n"), make([]byte, 8)), "want"},
		"zeros as padding":    {npy(good+"\x00\x00", make([]byte, 8)), "goes on after its dict"},
		"code behind":         {npy(good+".update()", make([]byte, 8)), "goes on after its dict"},
		"a comment":           {npy(strings.Replace(good, "{", "{#\n", 1), make([]byte, 8)), "want a string"},
		"two commas":          {npy(strings.Replace(good, ",", ",,", 1), make([]byte, 8)), "want a string"},
		"no comma":            {npy(strings.Replace(good, ",", "", 1), make([]byte, 8)), "want ,"},
		"no colon":            {npy(strings.Replace(good, ":", "", 1), make([]byte, 8)), "want :"},
		"key twice":           {npy(strings.Replace(good, "{", "{'descr': '<f8', ", 1), make([]byte, 8)), `key "descr" is there twice`},
		"unknown key":         {npy(strings.Replace(good, "{", "{'x': 'y', ", 1), make([]byte, 8)), `key "x" is not known`},
		"no shape":            {npy("{'descr': '<f4', 'fortran_order': False}", make([]byte, 8)), "want descr, fortran_order and shape"},
		"nothing":             {npy("{}", make([]byte, 8)), "want descr, fortran_order and shape"},
		"key is no string":    {npy("{1: 2}", make([]byte, 8)), "want a string"},
		"descr is a number":   {npy(strings.Replace(good, "'<f4'", "4", 1), make([]byte, 8)), "want a string"},
		"string goes on":      {npy("{'descr': '<f4", make([]byte, 8)), "ends inside a string"},
		"string with escapes": {npy(strings.Replace(good, "<f4", `\x3cf4`, 1), make([]byte, 8)), "want a plain string"},
		"string of two lines": {npy(strings.Replace(good, "<f4", "<f4\n", 1), make([]byte, 8)), "want a plain string"},
		"order is a number":   {npy(strings.Replace(good, "False", "0", 1), make([]byte, 8)), "neither True nor False"},
		"order is a word":     {npy(strings.Replace(good, "False", "Falsetrue", 1), make([]byte, 8)), "neither True nor False"},
		"shape is a number":   {shape("2"), "want ("},
		"shape in brackets":   {shape("(2)"), "is a number, want a tuple"},
		"shape is a list":     {shape("[2]"), "want ("},
		"shape of a comma":    {shape("(,)"), `"" is not an integer`},
		"shape in shape":      {shape("((2,),)"), "is not an integer"},
		"shape of texts":      {shape("('2',)"), "is not an integer"},
		"shape unclosed":      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, ", make([]byte, 8)), "is not an integer"},
		"negative":            {shape("(-2,)"), `"-2" is not an integer`},
		"minus zero":          {shape("(-0,)"), "is not an integer"},
		"plus":                {shape("(+2,)"), "is not an integer"},
		"zeros in front":      {shape("(02,)"), "is not an integer"},
		"float":               {shape("(2.0,)"), "want ,"},
		"hex":                 {shape("(0x2,)"), "want ,"},
		"two longs":           {shape("(2LL,)"), "want ,"},
		"2^64":                {shape("(18446744073709551616,)"), "is not an integer"},
		"shape overflows":     {shape("(4294967296, 4294967296, 4294967296)"), "overflows"},
		"bytes overflow":      {shape("(4611686018427387904,)"), "overflows"},
		"2^63 bytes":          {npy(dict("|u1", "(9223372036854775808,)"), make([]byte, 8)), "takes 9223372036854775808 bytes"},
		"too few bytes":       {npy(good, make([]byte, 7)), "shape [2] of <f4 takes 8 bytes, there are 7"},
		"no bytes":            {npy(good, nil), "takes 8 bytes, there are 0"},
	} {
		t.Run(name, func(t *testing.T) {
			checkMalformed(t, "dir/x.npy", tt.b, tt.says)
		})
	}
}

func TestNPYOpaque(t *testing.T) {
	plain := dict("<f4", "(2,)")
	for name, b := range map[string][]byte{
		"a later version":   append([]byte("\x93NUMPY\x04\x00"), npy(plain, make([]byte, 8))[8:]...),
		"a minor version":   append([]byte("\x93NUMPY\x01\x01"), npy(plain, make([]byte, 8))[8:]...),
		"structures":        npy("{'descr': [('a', '<f4'), ('b', '<i8')], 'fortran_order': False, 'shape': (2,), }", make([]byte, 24)),
		"a subtype":         npy("{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (1,), }", make([]byte, 8)),
		"a pickle":          npy(dict("|O", "(2,)"), []byte("\x80\x04]\x94(K\x01K\x02e.")),
		"text":              npy(dict("<U2", "(1,)"), make([]byte, 8)),
		"bytes":             npy(dict("|S2", "(4,)"), make([]byte, 8)),
		"dates":             npy(dict("<M8[ns]", "(1,)"), make([]byte, 8)),
		"no type":           npy(dict("", "(2,)"), make([]byte, 8)),
		"no order":          npy(dict("f4", "(2,)"), make([]byte, 8)),
		"order unknown":     npy(dict("|f4", "(2,)"), make([]byte, 8)),
		"width unknown":     npy(dict("<f3", "(2,)"), make([]byte, 6)),
		"void of nothing":   npy(dict("|V0", "(2,)"), nil),
		"void of 2^64":      npy(dict("|V18446744073709551616", "(2,)"), make([]byte, 8)),
		"long type":         npy(dict(strings.Repeat("x", 100), "(2,)"), make([]byte, 8)),
		"33 dimensions":     npy(dict("<f4", "(2"+strings.Repeat(", 1", 32)+")"), make([]byte, 8)),
		"an array appended": bytes.Repeat(npy(plain, make([]byte, 8)), 2),
		"header of 1 MiB":   append([]byte("\x93NUMPY\x02\x00\x01\x00\x10\x00"), make([]byte, 1<<20+1)...),
	} {
		t.Run(name, func(t *testing.T) {
			checkOpaque(t, "x.npy", b)
		})
	}
}

func TestNPYTruncated(t *testing.T) {
	b := npy(dict("<f4", "(2, 3)"), make([]byte, 24))
	for n := 1; n < len(b); n++ {
		checkMalformed(t, "x.npy", b[:n], "")
	}
}

func TestNPYGolden(t *testing.T) {
	checkGolden(t, format.NumPy, array(weights()[0]))
}

// TestNPYReadsLittle makes sure that what a header claims costs nothing.
func TestNPYReadsLittle(t *testing.T) {
	b := npy(dict("<f4", "(1048576,)"), make([]byte, 4<<20))
	r := &countingReader{ReaderAt: bytes.NewReader(b)}
	f, err := format.Open("x.npy", r, int64(len(b)))
	if err != nil || f.Format != format.NumPy {
		t.Fatalf("Open = %+v, %v", f, err)
	}
	if r.asked > 1000 {
		t.Errorf("read %d bytes of an array of 4 MiB, want its header", r.asked)
	}
}

func FuzzNPY(f *testing.F) {
	f.Add(npy(dict("<f4", "(2, 3)"), make([]byte, 24)))
	f.Add(npy(dict("|V2", "()"), make([]byte, 2)))
	f.Add(npy(dict("|O", "(2,)"), make([]byte, 9)))
	f.Add(npy(`{"shape":(2L,1,),"fortran_order":True,"descr":">c16"}`, make([]byte, 32)))
	f.Add(npy(`{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }`, make([]byte, 8)))
	f.Add(append([]byte("\x93NUMPY\x03\x00\x3b\x00\x00\x00"), dict("<i8", "(1,)")+"12345678"...))
	f.Add(npy(dict("|u1", "(300000,)"), make([]byte, 300000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkAny(t, "x.npy", b)
	})
}
