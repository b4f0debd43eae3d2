package format_test

import (
	"testing"

	"github.com/ingot-ml/ingot/chunker/format"
)

func TestHoldsWeights(t *testing.T) {
	for name, want := range map[string]bool{
		"model-00001-of-00002.safetensors": true, "model.onnx": true, "model.onnx_data": true, "model.onnx.data": true,
		"pytorch_model.bin": true, "epoch.ckpt": true, "a.pt": true, "a.pth": true, "a.npz": true,
		"model.safetensors.index.json": false, "README": false, "": false, "bin": false,
	} {
		if got := format.HoldsWeights(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}
