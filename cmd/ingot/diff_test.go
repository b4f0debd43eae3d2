package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// lettered builds a version of one file whose chunks of 10 bytes are named by the
// letters, with the tensors.
func lettered(t *testing.T, letters string, tensors ...manifest.Tensor) *manifest.Manifest {
	t.Helper()
	var refs []chunker.Ref
	for i := range tensors {
		tensors[i].DType, tensors[i].Shape = "U8", []uint64{tensors[i].Length}
	}
	for _, letter := range letters {
		refs = append(refs, chunker.Ref{Digest: chunker.Sum([]byte{byte(letter)}), Size: 10})
	}
	b := manifest.NewBuilder()
	b.Add(manifest.File{Path: "f", Size: uint64(10 * len(letters)), Format: "safetensors", Tensors: tensors}, refs)
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestNews has tensors that share chunks, cross their borders, overlap and are
// empty.
func TestNews(t *testing.T) {
	want := map[string]int64{"same": 0, "all": 20, "across": 5, "inside": 2, "empty": 0, "whole": 20, "end": 1}
	b := lettered(t, "aXbX",
		manifest.Tensor{Name: "same", Offset: 0, Length: 10},
		manifest.Tensor{Name: "whole", Offset: 0, Length: 40},
		manifest.Tensor{Name: "across", Offset: 5, Length: 10},
		manifest.Tensor{Name: "all", Offset: 10, Length: 30},
		manifest.Tensor{Name: "inside", Offset: 12, Length: 2},
		manifest.Tensor{Name: "empty", Offset: 15, Length: 0},
		manifest.Tensor{Name: "end", Offset: 39, Length: 1},
	)
	n := findNews(lettered(t, "cab"), b)
	for name, bytes := range want {
		if got := n.tensor("f", name); got != bytes {
			t.Errorf("%s has %d new bytes, want %d", name, got, bytes)
		}
	}
	if got := n.file("f"); got != 20 {
		t.Errorf("the file has %d new bytes, want 20", got)
	}
	if n.file("gone") != 0 || n.tensor("gone", "same") != 0 || n.tensor("f", "gone") != 0 {
		t.Error("what is not there has new bytes")
	}
}

// TestLongDiff reads the comparison of models with 3,000 tensors.
func TestLongDiff(t *testing.T) {
	var d difference
	for i := range 3000 {
		d.Tensors.Changed = append(d.Tensors.Changed, changedTensor{
			DiffTensor: openapi.DiffTensor{Name: fmt.Sprintf("layer.%d", i), Bytes: 1 << 20}, New: int64(i),
		})
	}
	var out bytes.Buffer
	p := &program{stdout: &out}
	p.printDiff(d, false)
	text := out.String()
	if lines := strings.Count(text, "\n"); lines > 40 {
		t.Errorf("%d lines", lines)
	}
	for _, want := range []string{"\nchanged  layer.2999  ", "\nchanged  layer.2980  ", "\n... and 2980 more, 4.23 MiB new (--all)\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	out.Reset()
	if p.printDiff(d, true); !strings.Contains(out.String(), "\nchanged  layer.0  ") {
		t.Error("with --all something is left out")
	}
}
