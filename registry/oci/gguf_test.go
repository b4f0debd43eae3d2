package oci

import (
	"strings"
	"testing"
)

func TestReadGGUF(t *testing.T) {
	none := aboutGGUF{unknown, unknown, unknown}
	for _, head := range []string{"", "GGUF", "GGUF\x01\x00\x00\x00", "GGML\x03\x00\x00\x00", "GGUF\x03\x00\x00\x00" + strings.Repeat("\xff", 64)} {
		if got := readGGUF([]byte(head)); got != none {
			t.Errorf("%q: %+v", head, got)
		}
	}
}

func FuzzReadGGUF(f *testing.F) {
	f.Add([]byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
		"\x14\x00\x00\x00\x00\x00\x00\x00general.architecture\x08\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00llama"))
	f.Fuzz(func(t *testing.T, head []byte) {
		about := readGGUF(head)
		for _, s := range []string{about.architecture, about.size, about.fileType} {
			if s == "" || len(s) > 64 || strings.ContainsAny(s, "\"\n <") {
				t.Errorf("it is said to be %q", s)
			}
		}
	})
}
