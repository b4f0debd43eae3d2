package xet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// TestGoldenShards reads what clients have sent.
func TestGoldenShards(t *testing.T) {
	floats := sha256.Sum256(load(t, "floats"))
	for _, tt := range []struct {
		file, xorb string
		files      int
	}{
		{"hf_xet.shard", "3e7f583607229a635221fc25fad485226f9f315fddffe6bad5fabda29e6c9c59", 3},
		{"js.shard", "1e180d5dd0eecf9c2603c7a837a6920af2cd2a6d7543d5986f25289d2cf490c7", 1},
	} {
		s, err := ParseShard(load(t, tt.file))
		if err != nil || len(s.Files) != tt.files {
			t.Fatalf("%s: %v", tt.file, err)
		}
		found := false
		for _, f := range s.Files {
			if f.SHA256 != hex.EncodeToString(floats[:]) {
				continue
			}
			found = true
			if f.Size != 10003 || len(f.Terms) != 1 || f.Terms[0].Xorb.String() != tt.xorb || f.Terms[0].End-f.Terms[0].First != 1 {
				t.Errorf("%s: %+v", tt.file, f)
			}
		}
		if !found {
			t.Errorf("%s: the file is not in it", tt.file)
		}
	}
}

func TestMalformedShards(t *testing.T) {
	whole := load(t, "hf_xet.shard")
	for n := range whole {
		if _, err := ParseShard(whole[:n]); !errors.Is(err, ErrShard) {
			t.Fatalf("%d bytes of it: %v", n, err)
		}
	}
	change := func(at int, b byte) []byte {
		c := bytes.Clone(whole)
		c[at] = b
		return c
	}
	for what, b := range map[string][]byte{
		"other magic":       change(0, 'X'),
		"other version":     change(32, 3),
		"many terms":        change(record+39, 0xff),
		"behind the last":   append(bytes.Clone(whole), 0),
		"no chunks":         change(2*record+40, 0xff),
		"too many of bytes": change(2*record+39, 0xff),
	} {
		if _, err := ParseShard(b); !errors.Is(err, ErrShard) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ParseShard(append([]byte(magic), make([]byte, 16)...)); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("nothing but a magic: %v", err)
	}
}

func FuzzShard(f *testing.F) {
	f.Add(load(f, "hf_xet.shard"))
	f.Add(load(f, "js.shard"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseShard(b)
		if err != nil {
			if !errors.Is(err, ErrShard) {
				t.Fatal(err)
			}
			return
		}
		terms := 0
		for _, f := range s.Files {
			terms += len(f.Terms)
			if f.Size < 0 || f.SHA256 != "" && len(f.SHA256) != 64 {
				t.Fatalf("%+v", f)
			}
		}
		if (terms+len(s.Files))*record > len(b) {
			t.Fatalf("%d files and %d terms of %d bytes", len(s.Files), terms, len(b))
		}
	})
}
