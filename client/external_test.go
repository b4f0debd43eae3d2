package client_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// kept is a tensor of bytes that a model keeps in another file.
type kept struct {
	name, location string
	offset, length int
}

// onnxModel makes a model that keeps tensors elsewhere.
func onnxModel(tensors ...kept) string {
	field := func(number byte, body string) string {
		return string(binary.AppendUvarint([]byte{number<<3 | 2}, uint64(len(body)))) + body
	}
	number := func(field byte, n int) string {
		return string(binary.AppendUvarint([]byte{field << 3}, uint64(n)))
	}
	var graph string
	for _, k := range tensors {
		b := number(1, k.length) + number(2, 2) + field(8, k.name)
		for _, e := range [][2]string{{"location", k.location}, {"offset", strconv.Itoa(k.offset)}, {"length", strconv.Itoa(k.length)}} {
			b += field(13, field(1, e[0])+field(2, e[1]))
		}
		graph += field(5, b+number(14, 1))
	}
	return number(1, 10) + field(7, graph)
}

// noise is n bytes that follow from a seed.
func noise(seed uint64, n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint64() >> 24)
	}
	return string(b)
}

const (
	lengthA = 300_000
	lengthB = 270_000
)

// twoTensors is what a file holds: a, padding, and b from placeB on.
func twoTensors() (data string, placeB int) {
	data = noise(1, lengthA) + strings.Repeat("\x00", 4096-lengthA%4096)
	return data + noise(2, lengthB), len(data)
}

// pushed pushes a folder of files and returns its manifest.
func pushed(t *testing.T, files map[string]string, o client.PushOptions) *manifest.Manifest {
	t.Helper()
	f := newFake(t)
	r, dir := f.client(), folderOf(t, files)
	push(t, r, dir, "acme/x", o)
	m, _, err := r.Manifest(t.Context(), ref(t, "acme/x"))
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	pull(t, r, "acme/x", target, client.PullOptions{})
	sameTree(t, target, dir)
	return m
}

func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for p, content := range files {
		put(t, filepath.Join(dir, p), content)
	}
	return dir
}

// described says how a file was cut: its format, tensors and chunks.
func described(t *testing.T, m *manifest.Manifest, path string) string {
	t.Helper()
	f := m.File(path)
	if f == nil {
		t.Fatalf("no file %s", path)
	}
	var b strings.Builder
	fmt.Fprint(&b, f.Format)
	for _, tensor := range f.Tensors {
		fmt.Fprintf(&b, " %s@%d", tensor.Name, tensor.Offset)
	}
	for _, c := range f.Chunks {
		fmt.Fprintf(&b, " %d", m.Chunks[c].Size)
	}
	return b.String()
}

func TestPushExternalData(t *testing.T) {
	data, b := twoTensors()
	both := onnxModel(kept{"a", "w.data", 0, lengthA}, kept{"b", "w.data", b, lengthB})
	whole := fmt.Sprintf("onnx-data a@0 b@%d %d %d %d", b, lengthA, b-lengthA, lengthB)
	onlyB := onnxModel(kept{"b", "w.data", b, lengthB})
	opaque := described(t, pushed(t, map[string]string{"w.data": data}, client.PushOptions{}), "w.data")
	if !strings.HasPrefix(opaque, "opaque ") {
		t.Fatalf("data alone is %s", opaque)
	}
	for name, tt := range map[string]struct {
		file  string // the data
		files map[string]string
		want  string
	}{
		"model before":     {"w.data", map[string]string{"a.onnx": both}, whole},
		"model behind":     {"w.data", map[string]string{"z.onnx": both}, whole},
		"in a folder":      {"m/w.data", map[string]string{"m/a.onnx": both}, whole},
		"below the model":  {"m/w/w", map[string]string{"m/a.onnx": onnxModel(kept{"a", "w/w", 0, lengthA}, kept{"b", "./w//w", b, lengthB})}, whole},
		"no model by name": {"w.data", map[string]string{"a.pb": both}, opaque},
		"no model":         {"w.data", map[string]string{"a.json": "{}"}, opaque},
		"model elsewhere":  {"w.data", map[string]string{"m/a.onnx": both}, opaque},
		"two models":       {"w.data", map[string]string{"a.onnx": onlyB, "z.onnx": onnxModel(kept{"a", "w.data", 0, lengthA})}, whole},
		"shared":           {"w.data", map[string]string{"a.onnx": both, "b.onnx": onlyB, "z.onnx": both}, whole},
		"shared, renamed":  {"w.data", map[string]string{"a.onnx": onnxModel(kept{"z", "w.data", b, lengthB}), "b.onnx": both}, whole},
		"one of two":       {"w.data", map[string]string{"a.onnx": onlyB}, fmt.Sprintf("onnx-data b@%d %d %d", b, b, lengthB)},

		"above":         {"w.data", map[string]string{"m/a.onnx": onnxModel(kept{"a", "../w.data", 0, lengthA})}, opaque},
		"out and back":  {"m/w.data", map[string]string{"m/a.onnx": onnxModel(kept{"a", "../m/w.data", 0, lengthA})}, opaque},
		"outside":       {"w.data", map[string]string{"a.onnx": onnxModel(kept{"a", "../../w.data", 0, lengthA})}, opaque},
		"absolute":      {"w.data", map[string]string{"a.onnx": onnxModel(kept{"a", "/w.data", 0, lengthA})}, opaque},
		"not there":     {"w.data", map[string]string{"a.onnx": onnxModel(kept{"a", "x.data", 0, lengthA})}, opaque},
		"the folder":    {"w.data", map[string]string{"a.onnx": onnxModel(kept{"a", ".", 0, lengthA})}, opaque},
		"a zero byte":   {"w.data", map[string]string{"a.onnx": onnxModel(kept{"a", "w.data\x00", 0, lengthA})}, opaque},
		"model in data": {"w.data", map[string]string{"a.onnx": onnxModel(kept{"a", "a.onnx", 0, 1 << 40})}, opaque},
	} {
		t.Run(name, func(t *testing.T) {
			tt.files[tt.file] = data
			m := pushed(t, tt.files, client.PushOptions{})
			if got := described(t, m, tt.file); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLookSeesExternalData(t *testing.T) {
	data, b := twoTensors()
	files, err := client.Look(folderOf(t, map[string]string{"m.onnx": onnxModel(kept{"b", "w.data", b, lengthB}), "w.data": data}))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].Format != format.ONNX || files[1].Format != format.ONNXData || len(files[1].Tensors) != 1 {
		t.Errorf("got %+v", files)
	}
}

// TestExternalDataIsShared pushes the same tensors in two containers.
func TestExternalDataIsShared(t *testing.T) {
	f := newFake(t)
	r := f.client()
	data, b := twoTensors()
	model := onnxModel(kept{"a", "w.data", 0, lengthA}, kept{"b", "w.data", b, lengthB})
	push(t, r, folderOf(t, map[string]string{"m.onnx": model, "w.data": data}), "acme/onnx", client.PushOptions{})
	header := fmt.Sprintf(`{"b":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]},"a":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}`,
		lengthB, lengthB, lengthA, lengthB, lengthA+lengthB)
	weights := string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + data[b:] + data[:lengthA]
	got := push(t, r, folderOf(t, map[string]string{"m.safetensors": weights}), "acme/safetensors", client.PushOptions{})
	if got.ChunksNew != 1 || got.ChunksTotal != 3 {
		t.Errorf("only the header is new: %+v", got)
	}
}

// TestExternalDataThroughLinks has the data be a link.
func TestExternalDataThroughLinks(t *testing.T) {
	data, b := twoTensors()
	model := onnxModel(kept{"a", "w.data", 0, lengthA}, kept{"b", "w.data", b, lengthB})
	f := newFake(t)
	r := f.client()
	for name, target := range map[string]string{
		"inside":  "store/blob",
		"outside": filepath.Join(folderOf(t, map[string]string{"blob": data}), "blob"),
	} {
		dir := folderOf(t, map[string]string{"m.onnx": model, "store/blob": data})
		if err := os.Symlink(target, filepath.Join(dir, "w.data")); err != nil {
			t.Fatal(err)
		}
		_, err := r.Push(t.Context(), dir, ref(t, "acme/"+name), client.PushOptions{})
		if name == "outside" {
			if !errors.Is(err, client.ErrLeaves) {
				t.Errorf("got %v, want ErrLeaves", err)
			}
			_, err = r.Push(t.Context(), dir, ref(t, "acme/"+name), client.PushOptions{FollowLinks: true})
		}
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := r.Manifest(t.Context(), ref(t, "acme/"+name))
		if err != nil {
			t.Fatal(err)
		}
		if got := described(t, m, "w.data"); !strings.HasPrefix(got, "onnx-data a@0 ") {
			t.Errorf("%s: the link is %s", name, got)
		}
		if got := described(t, m, "store/blob"); !strings.HasPrefix(got, "opaque ") {
			t.Errorf("%s: the blob is %s", name, got)
		}
	}
}

// TestPushWrongModels has models that say of a file what cannot be.
func TestPushWrongModels(t *testing.T) {
	data := noise(3, 1000)
	for name, tt := range map[string]struct {
		files map[string]string
		says  []string
	}{
		"past the end": {map[string]string{"m.onnx": onnxModel(kept{"a", "w.data", 990, 11})},
			[]string{"not what m.onnx wants there", `tensor "a": 11 bytes at 990 leave the file's 1000 bytes`}},
		"far past it": {map[string]string{"m.onnx": onnxModel(kept{"a", "w.data", 1 << 62, 1})}, []string{"m.onnx", "leave the file's"}},
		"overlap": {map[string]string{"m.onnx": onnxModel(kept{"a", "w.data", 0, 10}, kept{"b", "w.data", 9, 10})},
			[]string{"m.onnx", `tensor "b": 10 bytes at 9 overlap tensor "a"`}},
		"two models": {map[string]string{"m.onnx": onnxModel(kept{"a", "w.data", 0, 10}), "x.onnx": onnxModel(kept{"b", "w.data", 5, 10})},
			[]string{"m.onnx, x.onnx", `tensor "b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.files["w.data"] = data
			dir := folderOf(t, tt.files)
			f := newFake(t)
			_, err := f.client().Push(t.Context(), dir, ref(t, "acme/x"), client.PushOptions{})
			if !errors.Is(err, client.ErrInput) || !errors.Is(err, format.ErrMalformed) {
				t.Fatalf("got %v, want ErrInput", err)
			}
			for _, says := range append(tt.says, filepath.Join(dir, "w.data")) {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
			m := pushed(t, tt.files, client.PushOptions{AllowMalformed: true})
			if got := described(t, m, "w.data"); got != "opaque 1000" {
				t.Errorf("with AllowMalformed it is %s", got)
			}
		})
	}
}

// TestOwnStructureWins has a model keep tensors in a file that knows better.
func TestOwnStructureWins(t *testing.T) {
	header := `{"t":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`
	m := pushed(t, map[string]string{
		"m.onnx":        onnxModel(kept{"a", "w.safetensors", 3, 1 << 30}),
		"w.safetensors": string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + "12345678",
	}, client.PushOptions{})
	if got := described(t, m, "w.safetensors"); !strings.HasPrefix(got, "safetensors t@") {
		t.Errorf("it is %s", got)
	}
}

func TestAllowMalformed(t *testing.T) {
	files := map[string]string{"bad.safetensors": "not a model", "bad.onnx": "version https://git-lfs.github.com/spec/v1\n"}
	for p, content := range files {
		f := newFake(t)
		_, err := f.client().Push(t.Context(), folderOf(t, map[string]string{p: content}), ref(t, "acme/x"), client.PushOptions{})
		if !errors.Is(err, client.ErrInput) || !errors.Is(err, format.ErrMalformed) || !strings.Contains(err.Error(), p) {
			t.Errorf("got %v, want ErrInput and %s", err, p)
		}
	}
	m := pushed(t, files, client.PushOptions{AllowMalformed: true})
	for p, content := range files {
		if got, want := described(t, m, p), fmt.Sprintf("opaque %d", len(content)); got != want {
			t.Errorf("%s is %s, want %s", p, got, want)
		}
	}
}

// TestPullReusesExternalData pulls a version whose data has moved.
func TestPullReusesExternalData(t *testing.T) {
	f := newFake(t)
	r := f.client()
	data, b := twoTensors()
	first := folderOf(t, map[string]string{
		"m.onnx": onnxModel(kept{"a", "w", 0, lengthA}, kept{"b", "w", b, lengthB}), "w": data,
	})
	moved := noise(4, 5000) + data
	second := folderOf(t, map[string]string{
		"m.onnx": onnxModel(kept{"new", "w", 0, 5000}, kept{"a", "w", 5000, lengthA}, kept{"b", "w", 5000 + b, lengthB}), "w": moved,
	})
	push(t, r, first, "acme/x:1", client.PushOptions{})
	push(t, r, second, "acme/x:2", client.PushOptions{})
	target := t.TempDir()
	pull(t, r, "acme/x:1", target, client.PullOptions{})
	got := pull(t, r, "acme/x:2", target, client.PullOptions{})
	sameTree(t, target, second)
	if got.ChunksNew != 2 { // the model, and the new tensor
		t.Errorf("got %+v, want 2 new chunks", got)
	}
}

func TestSiblingsOfAllKinds(t *testing.T) {
	f := newFake(t)
	r := f.client()
	data := noise(5, 500_000)
	push(t, r, folderOf(t, map[string]string{"model.weights": data}), "acme/x", client.PushOptions{})
	for _, name := range []string{"old.bin", "old.pt", "old.pth", "old.ckpt", "old.data", "old.onnx_data"} {
		target := folderOf(t, map[string]string{name: data})
		if got := pull(t, r, "acme/x", target, client.PullOptions{}); got.ChunksNew != 0 {
			t.Errorf("%s was there: %+v", name, got)
		}
	}
	if got := pull(t, r, "acme/x", folderOf(t, map[string]string{"old.txt": data}), client.PullOptions{}); got.ChunksNew == 0 {
		t.Error("a text was taken for weights")
	}
}
