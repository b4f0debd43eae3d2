package format

import "strings"

// otherSuffixes mark files that may hold weights and claim no format.
var otherSuffixes = []string{".bin", ".ckpt", ".data", ".onnx_data", ".pt", ".pth"}

// HoldsWeights reports whether a file of that name may hold weights, which makes
// it worth reading in search of chunks. It says nothing of what the file is.
func HoldsWeights(name string) bool {
	for _, f := range formats {
		if f.suffix != "" && strings.HasSuffix(name, f.suffix) {
			return true
		}
	}
	for _, suffix := range otherSuffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
