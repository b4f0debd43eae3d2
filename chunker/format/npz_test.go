package format_test

import (
	"archive/zip"
	"fmt"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

func TestNPZ(t *testing.T) {
	a, b := array(weight{dtype: "F32", width: 4, data: make([]byte, 24)}), npy(dict("<U1", "(2,)"), make([]byte, 8))
	f := mustOpen(t, format.NPZ, pack(t,
		member{name: "x/w.npy", data: a},
		member{name: "names.npy", data: b},
		member{name: "two.npy", data: append(a, a...)},
		member{name: "README", data: []byte("text")},
		member{name: "folder/"},
		member{name: "é.npy", data: a},
	))
	if len(f.Tensors) != 2 {
		t.Fatalf("got %+v, want 2 tensors", f.Tensors)
	}
	for i, name := range []string{"x/w", "é"} {
		got := f.Tensors[i]
		want := format.Tensor{Name: name, DType: "<f4", Elem: chunker.F32, Shape: []uint64{6}, Offset: got.Offset, Length: 24}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestNPZMalformed(t *testing.T) {
	good := member{name: "a.npy", data: npy(dict("<f4", "(2,)"), make([]byte, 8))}
	for name, tt := range map[string]struct {
		b    []byte
		says string
	}{
		"no array":             {pack(t, member{name: "README", data: []byte("text")}), "no entry ends in .npy"},
		"text as an array":     {pack(t, good, member{name: "b.npy", data: []byte("this is some text")}), `array "b": starts with "this i"`},
		"an empty array":       {pack(t, good, member{name: "b.npy"}), `array "b": 0 bytes, too short`},
		"array that goes on":   {pack(t, good, member{name: "b.npy", data: good.data[:len(good.data)-1]}), `array "b": shape [2] of <f4 takes 8 bytes, there are 7`},
		"header that goes on":  {pack(t, member{name: "b.npy", data: good.data[:20]}, good), `array "b": header of`},
		"text":                 {[]byte("version https://git-lfs.github.com/spec/v1\n"), `starts with "vers", want a zip entry`},
		"a short text":         {[]byte("PK\x03\x04"), "4 bytes, too short"},
		"an entry and no more": {pack(t, good)[:100], "no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			checkMalformed(t, "dir/x.npz", tt.b, tt.says)
		})
	}
}

func TestNPZOpaque(t *testing.T) {
	good := member{name: "a.npy", data: npy(dict("<f4", "(2,)"), make([]byte, 8))}
	for name, members := range map[string][]member{
		"nothing":           nil,
		"compressed":        {good, {name: "b.npy", data: deflated(t, good.data), method: zip.Deflate, size: uint64(len(good.data))}},
		"a pickle alone":    {{name: "b.npy", data: npy(dict("|O", "(2,)"), []byte("\x80\x04."))}},
		"a long name":       {good, {name: strings.Repeat("x", 1025) + ".npy", data: good.data}},
		"encrypted":         {good, {name: "b.npy", data: good.data, flags: 1}},
		"encrypted, masked": {good, {name: "b.npy", data: good.data, flags: 1 << 13}},
		"code page 437":     {good, {name: "caf\x82.npy", data: good.data}},
	} {
		t.Run(name, func(t *testing.T) {
			checkOpaque(t, "x.npz", pack(t, members...))
		})
	}
}

func TestNPZTruncated(t *testing.T) {
	b := npzFile(t, []weight{{name: "a", dtype: "F32", data: make([]byte, 12), width: 4}})
	for n := 1; n < len(b); n++ {
		checkMalformed(t, "x.npz", b[:n], "")
	}
}

func TestNPZGolden(t *testing.T) {
	checkGolden(t, format.NPZ, npzFile(t, weights()))
}
