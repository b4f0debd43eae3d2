package xet

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestXorbHash compares with the hashes that the reference has for lists of chunks.
func TestXorbHash(t *testing.T) {
	raw, err := os.ReadFile("testdata/xorb_hashes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want string
	var chunks []Node
	lists := 0
	check := func() {
		if want != "" {
			lists++
			n := len(chunks)
			if got := XorbHash(chunks).String(); got != want {
				t.Errorf("%d chunks: %s, want %s", n, got, want)
			}
		}
		chunks = nil
	}
	for line := range strings.Lines(string(raw)) {
		if hash, ok := strings.CutPrefix(strings.TrimSpace(line), "= "); ok {
			check()
			want = hash
			continue
		}
		var text string
		var n Node
		if _, err := fmt.Sscan(line, &text, &n.Size); err != nil {
			t.Fatal(err)
		}
		if n.Hash, err = ParseHash(text); err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, n)
	}
	check()
	if lists < 10 {
		t.Errorf("%d lists", lists)
	}
}

func TestParseHash(t *testing.T) {
	const text = "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"
	h, err := ParseHash(text)
	if err != nil || h.String() != text {
		t.Fatalf("%s, %v", h, err)
	}
	for i, b := range h {
		if int(b) != i {
			t.Errorf("byte %d is %d", i, b)
		}
	}
	for _, bad := range []string{"", text[1:], text + "0", strings.ToUpper(text), "g" + text[1:]} {
		if _, err := ParseHash(bad); err == nil {
			t.Errorf("%q is a hash", bad)
		}
	}
}
