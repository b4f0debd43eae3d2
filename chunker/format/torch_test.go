package format_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

func TestTorch(t *testing.T) {
	f := mustOpen(t, format.Torch, torchFile(t, []weight{
		{name: "a", data: make([]byte, 12), width: 4},
		{name: "b", data: nil, width: 4},
		{name: "c", data: make([]byte, 6), width: 2},
	}))
	for i, length := range []int64{12, 0, 6} {
		got := f.Tensors[i]
		want := format.Tensor{
			Name: fmt.Sprintf("data/%d", i), DType: "storage", Elem: chunker.Untyped,
			Shape: []uint64{uint64(length)}, Offset: got.Offset, Length: length,
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || got.Offset%64 != 0 {
			t.Errorf("got %+v, want %+v at a multiple of 64", got, want)
		}
	}
	if len(f.Tensors) != 3 {
		t.Errorf("%d tensors, want 3", len(f.Tensors))
	}
}

// TestTorchScript has what torch.jit.save writes, its code compressed.
func TestTorchScript(t *testing.T) {
	code := deflated(t, bytes.Repeat([]byte("def forward(self):\n"), 100))
	f := mustOpen(t, format.Torch, pack(t,
		member{name: "net/data/0", data: []byte("weights")},
		member{name: "net/data.pkl", data: []byte("\x80\x02.")},
		member{name: "net/code/__torch__.py", data: code, method: zip.Deflate, size: 1900},
		member{name: "net/constants/0", data: []byte("constant")},
		member{name: "net/constants/", data: nil},
		member{name: "net/constants.pkl", data: []byte("\x80\x02.")},
		member{name: "net/tensors/1", data: []byte("older")},
		member{name: "net/extra/data/0", data: []byte("no storage")},
	))
	var got []string
	for _, tensor := range f.Tensors {
		got = append(got, fmt.Sprintf("%s:%d", tensor.Name, tensor.Length))
	}
	if want := "[data/0:7 constants/0:8 tensors/1:5]"; fmt.Sprint(got) != want {
		t.Errorf("tensors %v, want %s", got, want)
	}
}

// deflated returns b as a zip has it compressed.
func deflated(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	w, err := zw.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()[31 : recordAt(buf.Bytes(), 0)-16]
}

// TestTorchOpaque has zips that are no checkpoint, or none to be cut.
func TestTorchOpaque(t *testing.T) {
	storage := member{name: "net/data/0", data: []byte("weights")}
	pickle := member{name: "net/data.pkl", data: []byte("\x80\x02.")}
	for name, members := range map[string][]member{
		"no pickle":            {storage},
		"no storage":           {pickle},
		"a folder alone":       {pickle, {name: "net/data/"}},
		"no folder":            {{name: "data.pkl"}, {name: "data/0"}},
		"two folders":          {storage, pickle, {name: "other/data/1"}},
		"a file beside":        {storage, pickle, {name: "net"}},
		"folder that starts":   {storage, pickle, {name: "network/data/1"}},
		"a compressed storage": {pickle, {name: "net/data/0", data: []byte("\x03\x00"), method: zip.Deflate, size: 9}},
		"a long name":          {pickle, {name: "net/data/" + string(bytes.Repeat([]byte("x"), 1025)), data: []byte("x")}},
	} {
		t.Run(name, func(t *testing.T) {
			checkOpaque(t, "pytorch_model.bin", pack(t, members...))
		})
	}
	mustOpen(t, format.Torch, pack(t, storage, pickle)) // which all of those miss by little
}

func TestTorchTruncated(t *testing.T) {
	b := torchFile(t, []weight{{name: "a", data: make([]byte, 12), width: 4}})
	for n := range b {
		checkOpaque(t, "model.pt", b[:n])
	}
}

func TestTorchGolden(t *testing.T) {
	checkGolden(t, format.Torch, torchFile(t, weights()))
}
