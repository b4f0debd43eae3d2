package chunker_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
)

// empty is the published BLAKE3 of no bytes.
const empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"

func TestSum(t *testing.T) {
	d := chunker.Sum(nil)
	if d.String() != empty {
		t.Errorf("Sum(nil) = %s, want %s", d, empty)
	}
	if d.Short() != empty[:12] {
		t.Errorf("Short() = %s, want %s", d.Short(), empty[:12])
	}
	if chunker.Sum([]byte("a")) == d {
		t.Error("other bytes have the same digest")
	}
}

func TestParseDigest(t *testing.T) {
	d, err := chunker.ParseDigest(empty)
	if err != nil || d != chunker.Sum(nil) {
		t.Fatalf("ParseDigest(%s) = %s, %v", empty, d, err)
	}
	for name, s := range map[string]string{
		"empty":      "",
		"short":      empty[1:],
		"long":       empty + "0",
		"upper case": strings.ToUpper(empty),
		"no hex":     strings.Repeat("g", 64),
		"non-ASCII":  strings.Repeat("é", 32),
		"space":      " " + empty[1:],
		"zero":       strings.Repeat("0", 64),
	} {
		t.Run(name, func(t *testing.T) {
			d, err := chunker.ParseDigest(s)
			if !errors.Is(err, chunker.ErrDigest) || !d.IsZero() {
				t.Errorf("ParseDigest(%q) = %s, %v", s, d, err)
			}
		})
	}
}

func TestDigestText(t *testing.T) {
	want := map[chunker.Digest]int{chunker.Sum(nil): 1, chunker.Sum([]byte("b")): 2}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got map[chunker.Digest]int
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[chunker.Sum(nil)] != 1 || got[chunker.Sum([]byte("b"))] != 2 {
		t.Errorf("%s came back as %v", b, got)
	}
	if _, err := json.Marshal(chunker.Digest{}); !errors.Is(err, chunker.ErrDigest) {
		t.Errorf("the zero digest was written: %v", err)
	}
	d := chunker.Sum(nil)
	if err := d.UnmarshalText([]byte("x")); !errors.Is(err, chunker.ErrDigest) || d != chunker.Sum(nil) {
		t.Errorf("a bad text changed the digest to %s, %v", d, err)
	}
}
