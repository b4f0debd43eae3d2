package format_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

// small is a file with a value of each kind and tensors that need padding.
func (f ggufForm) small() []byte {
	return f.file([]string{
		f.key("general.architecture", 8, f.text("test")),
		f.key("general.alignment", 4, f.u32(32)),
		f.key("scores", 9, f.list(6, "\x00\x00\x80\x3f", "\x00\x00\x80\xbf")),
		f.key("tokens", 9, f.list(8, f.text("<s>"), f.text(""), f.text("\xff"))),
	}, []string{
		f.info("a", 0, 0, 3, 2),
		f.info("b", 2, 32, 64, 1, 1, 2),
		f.info("c", 30, 128),
		f.info("d", 1, 160, 5, 0),
	}, 160)
}

func TestGGUF(t *testing.T) {
	for name, form := range map[string]ggufForm{"version 1": gguf1, "version 2": gguf2, "version 3": gguf3, "big-endian": gguf3BE} {
		t.Run(name, func(t *testing.T) {
			b := form.small()
			f := mustOpen(t, format.GGUF, b)
			f32, bf16, f16 := chunker.F32, chunker.BF16, chunker.F16
			if form == gguf3BE {
				f32, bf16, f16 = chunker.Untyped, chunker.Untyped, chunker.Untyped
			}
			start := int64(len(b)) - 160
			want := []format.Tensor{
				{Name: "a", DType: "F32", Elem: f32, Shape: []uint64{2, 3}, Offset: start, Length: 24},
				{Name: "b", DType: "Q4_0", Elem: chunker.Untyped, Shape: []uint64{2, 1, 1, 64}, Offset: start + 32, Length: 72},
				{Name: "c", DType: "BF16", Elem: bf16, Shape: []uint64{}, Offset: start + 128, Length: 2},
				{Name: "d", DType: "F16", Elem: f16, Shape: []uint64{0, 5}, Offset: start + 160, Length: 0},
			}
			if fmt.Sprint(f.Tensors) != fmt.Sprint(want) {
				t.Errorf("got  %+v\nwant %+v", f.Tensors, want)
			}
			checkTensors(t, f, cutAll(t, f, b))
		})
	}
}

// TestGGUFTypes has the table of types once more, by the bits of an element.
func TestGGUFTypes(t *testing.T) {
	for number, tt := range map[uint32]struct {
		word string
		elem chunker.DType
		bits float64
	}{
		0:  {"F32", chunker.F32, 32},
		1:  {"F16", chunker.F16, 16},
		2:  {"Q4_0", chunker.Untyped, 4.5},
		3:  {"Q4_1", chunker.Untyped, 5},
		6:  {"Q5_0", chunker.Untyped, 5.5},
		7:  {"Q5_1", chunker.Untyped, 6},
		8:  {"Q8_0", chunker.Untyped, 8.5},
		10: {"Q2_K", chunker.Untyped, 2.625},
		11: {"Q3_K", chunker.Untyped, 3.4375},
		12: {"Q4_K", chunker.Untyped, 4.5},
		13: {"Q5_K", chunker.Untyped, 5.5},
		14: {"Q6_K", chunker.Untyped, 6.5625},
		15: {"Q8_K", chunker.Untyped, 9.125},
		16: {"IQ2_XXS", chunker.Untyped, 2.0625},
		17: {"IQ2_XS", chunker.Untyped, 2.3125},
		18: {"IQ3_XXS", chunker.Untyped, 3.0625},
		19: {"IQ1_S", chunker.Untyped, 1.5625},
		20: {"IQ4_NL", chunker.Untyped, 4.5},
		21: {"IQ3_S", chunker.Untyped, 3.4375},
		22: {"IQ2_S", chunker.Untyped, 2.5625},
		23: {"IQ4_XS", chunker.Untyped, 4.25},
		24: {"I8", chunker.I8, 8},
		25: {"I16", chunker.I16, 16},
		26: {"I32", chunker.I32, 32},
		27: {"I64", chunker.I64, 64},
		28: {"F64", chunker.F64, 64},
		29: {"IQ1_M", chunker.Untyped, 1.75},
		30: {"BF16", chunker.BF16, 16},
		34: {"TQ1_0", chunker.Untyped, 1.6875},
		35: {"TQ2_0", chunker.Untyped, 2.0625},
		39: {"MXFP4", chunker.Untyped, 4.25},
		40: {"NVFP4", chunker.Untyped, 4.5},
		41: {"Q1_0", chunker.Untyped, 1.125},
		42: {"Q2_0", chunker.Untyped, 2.25},
	} {
		t.Run(tt.word, func(t *testing.T) {
			bytes := int(512 * 3 * tt.bits / 8)
			infos := []string{gguf3.info("a", number, 0, 512, 3)}
			got := mustOpen(t, format.GGUF, gguf3.file(nil, infos, bytes)).Tensors[0]
			if got.DType != tt.word || got.Elem != tt.elem || got.Length != int64(bytes) {
				t.Errorf("got %+v, want %s of %d bytes", got, tt.elem, bytes)
			}
			checkMalformed(t, "x.gguf", gguf3.file(nil, infos, bytes-1), `tensor "a": `)
			if tt.elem == chunker.Untyped {
				infos[0] = gguf3.info("a", number, 0, 8, 512)
				checkMalformed(t, "x.gguf", gguf3.file(nil, infos, 64), "rows of 8 elements, "+tt.word+" has blocks of")
			}
		})
	}
}

// TestGGUFUnknownTypes has types that do not tell how long a tensor is.
func TestGGUFUnknownTypes(t *testing.T) {
	for name, tt := range map[string]struct {
		infos []string
		want  string
	}{
		"alone":           {[]string{gguf3.info("a", 31, 0, 7)}, "[a Q4_0_4_4 untyped 0+100]"},
		"two sizes":       {[]string{gguf3.info("a", 9, 0, 7)}, "[a Q8_1 untyped 0+100]"},
		"of the future":   {[]string{gguf3.info("a", 43, 0, 7)}, "[a ggml_type_43 untyped 0+100]"},
		"the last number": {[]string{gguf3.info("a", math.MaxInt32, 0, 7)}, "[a ggml_type_2147483647 untyped 0+100]"},
		"up to the next":  {[]string{gguf3.info("a", 4, 32, 7), gguf3.info("b", 24, 64, 7), gguf3.info("c", 43, 0)}, "[c ggml_type_43 untyped 0+32] [a Q4_2 untyped 32+32] [b I8 I8 64+7]"},
		"up to no bytes":  {[]string{gguf3.info("a", 4, 0, 7), gguf3.info("b", 24, 64, 0)}, "[a Q4_2 untyped 0+64] [b I8 I8 64+0]"},
		"no bytes before": {[]string{gguf3.info("b", 4, 0, 7), gguf3.info("a", 24, 0, 0)}, "[a I8 I8 0+0] [b Q4_2 untyped 0+100]"},
		"no elements":     {[]string{gguf3.info("a", 43, 0, 7, 0)}, "[a ggml_type_43 untyped 0+0]"},
		"the same place":  {[]string{gguf3.info("b", 43, 0, 7), gguf3.info("a", 43, 0, 7), gguf3.info("c", 43, 64, 7)}, "[a ggml_type_43 untyped 0+64] [c ggml_type_43 untyped 64+36]"},
	} {
		t.Run(name, func(t *testing.T) {
			b := gguf3.file(nil, tt.infos, 100)
			f := mustOpen(t, format.GGUF, b)
			var got []string
			for _, x := range f.Tensors {
				got = append(got, fmt.Sprintf("[%s %s %s %d+%d]", x.Name, x.DType, x.Elem, x.Offset-int64(len(b)-100), x.Length))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
			checkTensors(t, f, cutAll(t, f, b))
		})
	}
}

func TestGGUFLegal(t *testing.T) {
	f := gguf3
	i8 := func(offsets ...uint64) (infos []string) {
		for i, offset := range offsets {
			infos = append(infos, f.info(fmt.Sprint(i), 24, offset, 32))
		}
		return infos
	}
	align := func(n uint32) []string { return []string{f.key("general.alignment", 4, f.u32(n))} }
	var values []string
	for kind, width := range []int{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8} {
		if width > 0 {
			v := strings.Repeat("x", width)
			values = append(values, f.key(fmt.Sprint("v", kind), uint32(kind), v), f.key(fmt.Sprint("a", kind), 9, f.list(uint32(kind), v, v, v)))
		}
	}
	nested := f.list(9, f.list(8, f.text("x"), f.text("y")), f.list(9, f.list(0)), f.list(12))
	for name, tt := range map[string]struct {
		b       []byte
		tensors int
	}{
		"nothing":                {f.file(nil, nil, 0), 0},
		"nothing, not padded":    {[]byte(f.start(0, 0)), 0},
		"metadata alone":         {f.file(values, nil, 0), 0},
		"metadata, not padded":   {[]byte(f.start(0, 1) + f.key("a", 0, "x")), 0},
		"data of no tensor":      {f.file(nil, nil, 100), 0},
		"no data at the end":     {f.file(nil, []string{f.info("a", 0, 0, 0)}, 0), 1},
		"values of all types":    {f.file(values, i8(0), 32), 1},
		"nested arrays":          {f.file([]string{f.key("n", 9, nested)}, i8(0), 32), 1},
		"64 arrays":              {f.file([]string{f.key("n", 9, deepList(64))}, i8(0), 32), 1},
		"another order":          {f.file(nil, i8(64, 0, 32), 96), 3},
		"holes":                  {f.file(nil, i8(32, 320), 400), 2},
		"alignment of 1":         {f.aligned(1, align(1), i8(33, 1), make([]byte, 65)), 2},
		"alignment of 8":         {f.aligned(8, align(8), i8(0, 40), make([]byte, 72)), 2},
		"alignment of 4096":      {f.aligned(4096, align(4096), i8(4096, 0), make([]byte, 8192)), 2},
		"name of nothing":        {f.file(nil, []string{f.info("", 24, 0, 4)}, 4), 1},
		"name of 1024 bytes":     {f.file(nil, []string{f.info(strings.Repeat("é", 512), 24, 0, 4)}, 4), 1},
		"name in another script": {f.file(nil, []string{f.info("重み", 24, 0, 4)}, 4), 1},
		"the same bytes":         {f.file(nil, i8(0, 0), 32), 1},
		"no elements anywhere":   {f.file(nil, []string{f.info("a", 24, 0, 32), f.info("b", 2, 0, 0, 1<<62), f.info("c", 0, 32, 1<<62, 1<<62, 0)}, 32), 3},
	} {
		t.Run(name, func(t *testing.T) {
			file := mustOpen(t, format.GGUF, tt.b)
			if len(file.Tensors) != tt.tensors {
				t.Errorf("%d tensors, want %d", len(file.Tensors), tt.tensors)
			}
			checkTensors(t, file, cutAll(t, file, tt.b))
		})
	}
}

// deepList is arrays in arrays, that many.
func deepList(depth int) string {
	list := gguf3.list(0)
	for range depth - 1 {
		list = gguf3.list(9, list)
	}
	return list
}

func TestGGUFMalformed(t *testing.T) {
	f := gguf3
	keys := func(keys ...string) []byte { return f.file(keys, nil, 0) }
	infos := func(infos ...string) []byte { return f.file(nil, infos, 64) }
	a := f.info("a", 24, 0, 32)
	const long, huge = 1 << 60, math.MaxUint64
	for name, tt := range map[string]struct {
		b    []byte
		says string
	}{
		"one byte":                {[]byte("G"), "1 bytes, too short"},
		"text":                    {[]byte("version https://git-lfs.github.com/spec/v1\n"), `starts with "vers", want GGUF`},
		"other byte order":        {[]byte("FUGG" + f.u32(3) + f.u64(0) + f.u64(0)), `starts with "FUGG"`},
		"version 0":               {[]byte("GGUF" + f.u32(0) + f.u64(0) + f.u64(0)), "version 0"},
		"2^60 tensors":            {[]byte(f.start(long, 0) + a), "tensors: 1152921504606846976 in the"},
		"2^60 keys":               {[]byte(f.start(0, long) + f.key("a", 0, "x")), "keys: 1152921504606846976 in the"},
		"2^64-1 tensors":          {[]byte(f.start(huge, 0) + a), "tensors: 18446744073709551615 in the"},
		"2^64-1 keys":             {[]byte(f.start(0, huge) + a), "keys: 18446744073709551615 in the"},
		"2^32-1 tensors":          {[]byte(gguf1.start(huge, 0) + gguf1.info("a", 24, 0, 32)), "tensors: 4294967295 in the"},
		"more tensors":            {[]byte(f.start(3, 0) + a), "tensors: 3 in the"},
		"more keys":               {[]byte(f.start(0, 3) + f.key("a", 0, "x") + f.key("b", 0, "x")), "keys: 3 in the"},
		"no second tensor":        {[]byte(f.start(2, 0) + a + strings.Repeat("\x00", 7)), "leave the file's"},
		"key twice":               {keys(f.key("a", 0, "x"), f.key("a", 8, f.text(""))), `key "a" is there twice`},
		"alignment twice":         {keys(f.key("general.alignment", 4, f.u32(32)), f.key("general.alignment", 4, f.u32(32))), "is there twice"},
		"key is empty":            {keys(f.key("", 0, "x")), "key 0: is empty"},
		"key is not UTF-8":        {keys(f.key("a", 0, "x"), f.key("\xff", 0, "x")), `key 1: "\xff" is not UTF-8`},
		"key past the end":        {keys(f.u64(1000) + f.u64(0)), "key 0: 1000 in the"},
		"key of 2^60 bytes":       {keys(f.u64(long) + f.u64(0)), "key 0: 1152921504606846976 in the"},
		"key of 2^64-1 bytes":     {keys(f.u64(huge) + f.u64(0)), "key 0: 18446744073709551615 in the"},
		"value of type 13":        {keys(f.key("a", 13, f.u64(0))), `key "a": has value type 13`},
		"value of type 2^32-1":    {keys(f.key("a", math.MaxUint32, f.u64(0))), `key "a": has value type 4294967295`},
		"value past the end":      {[]byte(f.start(0, 1) + f.key("abc", 12, "1234")), `key "abc": 1 values in the 4 bytes`},
		"string past the end":     {keys(f.key("a", 8, f.u64(1000))), `key "a": 1000 bytes at`},
		"string of 2^64-1":        {keys(f.key("a", 8, f.u64(huge))), `key "a": 18446744073709551615 bytes at`},
		"array of type 13":        {keys(f.key("a", 9, f.list(13, "x"))), `key "a": has value type 13`},
		"array of 2^60 numbers":   {keys(f.key("a", 9, f.u32(12)+f.u64(long))), `key "a": 1152921504606846976 in the`},
		"array of 2^61 numbers":   {keys(f.key("a", 9, f.u32(10)+f.u64(1<<61))), `key "a": 2305843009213693952 in the`},
		"array past the end":      {keys(f.key("a", 9, f.u32(12)+f.u64(5))), `key "a": 5 values in the`},
		"array of 2^64-1 strings": {keys(f.key("a", 9, f.u32(8)+f.u64(huge))), `key "a": 18446744073709551615 in the`},
		"strings past the end":    {[]byte(f.start(0, 1) + f.key("a", 9, f.u32(8)+f.u64(3)+f.text("x")+f.text("y"))), `key "a": 8 bytes at`},
		"array in array too long": {keys(f.key("a", 9, f.list(9, f.u32(0)+f.u64(long)))), `key "a": 1152921504606846976 in the`},
		"65 arrays":               {keys(f.key("a", 9, deepList(65))), `key "a": nested more than 64 deep`},
		"1000 arrays":             {keys(f.key("a", 9, deepList(1000))), `key "a": nested more than 64 deep`},
		"alignment of 0":          {keys(f.key("general.alignment", 4, f.u32(0))), `key "general.alignment": 0 is no power of two`},
		"alignment of 3":          {keys(f.key("general.alignment", 4, f.u32(3))), "3 is no power of two"},
		"alignment of 48":         {keys(f.key("general.alignment", 4, f.u32(48))), "48 is no power of two"},
		"alignment of 2^32-1":     {keys(f.key("general.alignment", 4, f.u32(math.MaxUint32))), "4294967295 is no power of two"},
		"alignment past the end":  {f.aligned(32, []string{f.key("general.alignment", 4, f.u32(1<<31))}, []string{a}, make([]byte, 64)), "data starts at 2147483648 of"},
		"alignment of 64 bits":    {keys(f.key("general.alignment", 10, f.u64(32))), "has value type 10, want 4"},
		"alignment is a text":     {keys(f.key("general.alignment", 8, f.text("32"))), "has value type 8, want 4"},
		"tensor twice":            {infos(a, f.info("a", 24, 32, 32)), `tensor "a" is there twice`},
		"name is not UTF-8":       {infos(f.info("\xc3(", 24, 0, 32)), `name of tensor 0: "\xc3(" is not UTF-8`},
		"zero in a name":          {infos(a, f.info("a\x00b", 24, 32, 32)), `name of tensor 1: "a\x00b" is not UTF-8 without zeros`},
		"name past the end":       {infos(a, f.u64(500)+f.u64(0)+f.u64(0)), "name of tensor 1: 500 in the"},
		"name of 2^64-1 bytes":    {infos(f.u64(huge) + f.u64(0) + f.u64(0)), "name of tensor 0: 18446744073709551615 in the"},
		"2^32-1 dimensions":       {infos(f.text("a") + f.u32(math.MaxUint32) + a), `tensor "a": 4294967295 dimensions in the`},
		"dimensions past the end": {[]byte(f.start(1, 0) + f.text("a") + f.u32(3) + f.u64(1) + f.u64(1)), `tensor "a": 3 dimensions in the 16 bytes`},
		"negative":                {infos(f.info("a", 24, 0, huge)), `tensor "a": dimension 0 of 18446744073709551615 elements`},
		"negative, and none":      {infos(f.info("a", 24, 0, 0, 1<<63)), "dimension 1 of 9223372036854775808 elements"},
		"negative, unknown type":  {infos(f.info("a", 99, 0, huge)), "dimension 0 of"},
		"2^64 elements":           {infos(f.info("a", 24, 0, 1<<32, 1<<32)), "overflows"},
		"2^66 bytes":              {infos(f.info("a", 28, 0, 1<<62, 2)), "overflows"},
		"2^63 bytes":              {infos(f.info("a", 27, 0, 1<<60)), `tensor "a": shape [1152921504606846976] overflows`},
		"blocks overflow":         {infos(f.info("a", 2, 0, 1<<62, 1<<6)), "overflows"},
		"part of a block":         {infos(f.info("a", 2, 0, 33)), `tensor "a": rows of 33 elements, Q4_0 has blocks of 32`},
		"one of a block":          {infos(f.info("a", 12, 0)), `rows of 1 elements, Q4_K has blocks of 256`},
		"negative type":           {infos(f.info("a", math.MaxUint32, 0, 32)), `tensor "a": element type -1`},
		"no offset":               {[]byte(f.start(1, 0) + f.text("a") + f.u32(1) + f.u64(32) + f.u32(24) + "1234"), `tensor "a": 8 bytes at`},
		"offset not aligned":      {infos(f.info("a", 24, 8, 32)), `tensor "a": offset 8 is no multiple of 32`},
		"offset of no bytes":      {infos(f.info("a", 24, 8, 0)), `tensor "a": offset 8 is no multiple of 32`},
		"offset of 2^63":          {infos(f.info("a", 24, 1<<63, 32)), `tensor "a": offset 9223372036854775808 leaves`},
		"offset of 2^64-32":       {infos(f.info("a", 24, huge-31, 32)), `tensor "a": offset 18446744073709551584 leaves`},
		"offset out of the data":  {infos(f.info("a", 24, 96, 32)), `tensor "a": 32 bytes at 160 leave the file's 128 bytes`},
		"none out of the data":    {infos(f.info("a", 24, 96, 0)), `tensor "a": 0 bytes at 160 leave`},
		"out of range":            {infos(f.info("a", 24, 32, 33)), `tensor "a": 33 bytes at 96 leave the file's 128 bytes`},
		"far out of range":        {infos(f.info("a", 24, 32, 1<<62)), `4611686018427387904 bytes at 96 leave`},
		"overlap":                 {infos(f.info("a", 24, 0, 33), f.info("b", 24, 32, 32)), `tensor "b": 32 bytes at 128 overlap tensor "a"`},
		"one in the other":        {infos(f.info("b", 24, 0, 64), f.info("a", 24, 32, 4)), `tensor "a": 4 bytes at 128 overlap tensor "b"`},
		"the same start":          {infos(f.info("a", 24, 0, 32), f.info("b", 24, 0, 31)), "overlap"},
		"overlap, unknown type":   {infos(f.info("a", 24, 0, 33), f.info("b", 99, 32, 32)), `tensor "b": 32 bytes at 128 overlap tensor "a"`},
		"unknown type at the end": {infos(f.info("a", 99, 64, 32)), `tensor "a": nothing at 128 of the file's 128 bytes`},
		"unknown type behind it":  {infos(f.info("a", 99, 96, 32)), `tensor "a": nothing at 160 of`},
		"no data":                 {[]byte(f.start(1, 0) + f.info("a", 24, 0, 0)), "data starts at 64 of 57 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			checkMalformed(t, "dir/x.gguf", tt.b, tt.says)
		})
	}
}

func TestGGUFOpaque(t *testing.T) {
	f := gguf3
	for name, b := range map[string][]byte{
		"version 4":           []byte("GGUF" + f.u32(4) + "anything"),
		"version 4, reversed": []byte("GGUF" + gguf3BE.u32(4) + "anything"),
		"version 2, reversed": []byte("GGUF" + gguf3BE.u32(2) + f.u64(0) + f.u64(0)),
		"version 2^32-1":      []byte("GGUF\xff\xff\xff\xff" + f.u64(0) + f.u64(0)),
		"long key":            f.file([]string{f.key(strings.Repeat("k", 4097), 0, "x")}, nil, 0),
		"long name":           f.file(nil, []string{f.info(strings.Repeat("n", 1025), 24, 0, 1)}, 1),
		"5 dimensions":        f.file(nil, []string{f.info("a", 24, 0, 1, 1, 1, 1, 1)}, 1),
	} {
		t.Run(name, func(t *testing.T) {
			checkOpaque(t, "x.gguf", b)
		})
	}
}

func TestGGUFTruncated(t *testing.T) {
	for _, form := range []ggufForm{gguf1, gguf3, gguf3BE} {
		b := form.small()
		for n := 1; n < len(b); n++ {
			checkMalformed(t, "x.gguf", b[:n], "")
			_, err := format.Open("x.gguf", bytes.NewReader(b[:n]), int64(len(b)))
			if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, format.ErrMalformed) {
				t.Fatalf("became %d bytes long: %v", n, err)
			}
		}
	}
}

func TestGGUFGolden(t *testing.T) {
	checkGolden(t, format.GGUF, gguf3.of(weights()))
}

func FuzzGGUF(f *testing.F) {
	for _, form := range []ggufForm{gguf1, gguf2, gguf3, gguf3BE} {
		f.Add(form.small())
	}
	f.Add(gguf3.file([]string{gguf3.key("n", 9, deepList(65))}, nil, 0))
	f.Add(gguf3.aligned(8, []string{gguf3.key("general.alignment", 4, gguf3.u32(8))},
		[]string{gguf3.info("b", 4, 8, 7), gguf3.info("a", 43, 0, 7), gguf3.info("c", 43, 0, 7)}, make([]byte, 40)))
	f.Add(gguf3.file(nil, []string{gguf3.info("a", 8, 0, 32, 3), gguf3.info("b", 99, 128, 1)}, 160))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkAny(t, "x.gguf", b)
	})
}
