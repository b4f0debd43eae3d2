package format_test

import (
	"fmt"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
)

// TestContainersShareChunks is the law: the same tensors have the same chunks in
// every container.
func TestContainersShareChunks(t *testing.T) {
	base := map[chunker.Digest]bool{}
	ownChunks(t, build("base", weights()), base)
	var arrays [][]byte
	for _, w := range weights() {
		arrays = append(arrays, array(w))
	}
	for name, files := range map[string][][]byte{
		format.Torch: {torchFile(t, weights())},
		format.NPZ:   {npzFile(t, weights())},
		format.NumPy: arrays,
		format.ONNX:  {onnxOf(weights())},
		format.GGUF:  {gguf3.of(weights())},
	} {
		got := map[chunker.Digest]bool{}
		for _, b := range files {
			mustOpen(t, name, b)
			ownChunks(t, b, got)
		}
		if fmt.Sprint(got) != fmt.Sprint(base) {
			t.Errorf("%s has %d chunks of long tensors, want the %d of safetensors", name, len(got), len(base))
		}
	}
}
