package nodeapi_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// TestNoCopies reads a mapped tensor to its end and asks the kernel whose pages
// those are: all are the node's, and none is the client's own.
func TestNoCopies(t *testing.T) {
	m := newModel(t, true)
	_, a := start(t, newFakeNode(t, m))
	l := lease(t, a, openapi.LeaseWhole)
	big, err := l.Tensor("", "big")
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, b := range big.Bytes {
		sum += int(b)
	}
	from := uintptr(unsafe.Pointer(&big.Bytes[0]))
	resident, own := pagesOf(t, from, from+uintptr(len(big.Bytes)))
	if resident < len(big.Bytes)>>10 || own != 0 {
		t.Errorf("%d KiB of %d are resident, %d of them the client's own (sum %d)", resident, len(big.Bytes)>>10, own, sum)
	}
}

// pagesOf returns how many KiB of mappings between two addresses are resident, and
// how many of those are private copies.
func pagesOf(t *testing.T, from, to uintptr) (resident, own int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		needtest.Skip(t, "proc", err)
	}
	inside := false
	for line := range strings.Lines(string(maps)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if start, _, ok := strings.Cut(name, "-"); ok && !strings.HasSuffix(name, ":") {
			at, err := strconv.ParseUint(start, 16, 64)
			inside = err == nil && uintptr(at) >= from&^(pageSize-1) && uintptr(at) < to
			continue
		}
		var n int
		// Pages of a memfd that one process maps are "private" to the kernel too; a
		// copy of one is anonymous.
		if inside && (name == "Rss:" || name == "Anonymous:") {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
		}
		if name == "Rss:" {
			resident += n
		} else {
			own += n
		}
	}
	return resident, own
}

// BenchmarkLease is the time from asking for a model of 1 GiB in RAM to the first
// byte of its first tensor, and back.
func BenchmarkLease(b *testing.B) {
	const tensors = 256
	m := &model{ref: modelRef, files: map[string][]byte{}, chunks: map[chunker.Digest][]byte{}}
	build := manifest.NewBuilder()
	var list []manifest.Tensor
	var refs []chunker.Ref
	for i := range uint64(tensors) {
		list = append(list, manifest.Tensor{
			Name: fmt.Sprintf("model.layers.%d.weight", i), DType: "BF16", Shape: []uint64{1024, 2048}, Offset: i * 4 << 20, Length: 4 << 20,
		})
		for j := range 2 {
			d := chunker.Sum(fmt.Appendf(nil, "%d %d", i, j))
			refs = append(refs, chunker.Ref{Digest: d, Size: 2 << 20})
		}
	}
	build.Add(manifest.File{Path: "model.safetensors", Size: tensors * 4 << 20, Format: "safetensors", Tensors: list}, refs)
	m.build(b, build)
	_, a := start(b, newFakeNode(b, m))
	for b.Loop() {
		l, err := a.Lease(b.Context(), openapi.LeaseRequest{Ref: modelRef}, agent.LeaseOptions{})
		if err != nil {
			b.Fatal(err)
		}
		first, err := l.Tensor("", "model.layers.0.weight")
		if err != nil || first.Bytes[0] != 0 {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
