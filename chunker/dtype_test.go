package chunker_test

import (
	"testing"

	"github.com/ingot-ml/ingot/chunker"
)

func TestDTypes(t *testing.T) {
	widths := map[string]int{
		"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
		"F16": 2, "BF16": 2, "I16": 2, "U16": 2,
		"F32": 4, "I32": 4, "U32": 4, "F64": 8, "I64": 8, "U64": 8,
	}
	seen := map[chunker.DType]bool{chunker.Opaque: true}
	for name, width := range widths {
		d, ok := chunker.ParseDType(name)
		if !ok || d.String() != name || d.Width() != width || seen[d] {
			t.Errorf("ParseDType(%s) = %d (%s, %d bytes), %t", name, d, d, d.Width(), ok)
		}
		seen[d] = true
	}
	if last := chunker.U64; len(seen) != int(last)+1 {
		t.Errorf("%d types tested, %d exist", len(seen), last+1)
	}
}

func TestUnknownDType(t *testing.T) {
	for _, name := range []string{"", "opaque", "bf16", "F4", "BF16 "} {
		if d, ok := chunker.ParseDType(name); ok || d != chunker.Opaque {
			t.Errorf("ParseDType(%q) = %s, %t", name, d, ok)
		}
	}
	for _, d := range []chunker.DType{chunker.Opaque, 200} {
		if d.String() != "opaque" || d.Width() != 1 {
			t.Errorf("DType(%d) is %s with %d bytes", d, d, d.Width())
		}
	}
}
