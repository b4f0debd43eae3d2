package disk_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// golden is a folder of version 1, byte by byte. docs/formats/node.md describes it.
var golden = map[string]string{
	"FORMAT": hex.EncodeToString([]byte("ingot node 1\n")),
	"chunks/ea/ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f.p5": "68656c6c6f" + "49477031" + "4cbb719a",
	"clean":            hex.EncodeToString([]byte("IGclean1")) + "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f" + "a61f4ebf",
	"state/state.json": hex.EncodeToString([]byte("{}")),
	"manifests/" + manifest.Name([]byte("document")).String(): hex.EncodeToString([]byte("document")),
}

func TestGoldenWritten(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	hello := []byte("hello")
	put(t, s, sample{ref: chunker.Ref{Digest: chunker.Sum(hello), Size: 5}, plain: hello})
	if err := s.SaveState("state.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.PutManifest(manifest.Name([]byte("document")), []byte("document")); err != nil {
		t.Fatal(err)
	}
	if err := s.Crash(); err != nil { // so that the chunk is one that a seal names
		t.Fatal(err)
	}
	if err := open(t, c).Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range golden {
		b, err := os.ReadFile(filepath.Join(c.Dir, name))
		if err != nil || hex.EncodeToString(b) != text {
			t.Errorf("%s is %x, %v, want %s", name, b, err, text)
		}
	}
}

func TestGoldenRead(t *testing.T) {
	c := config(t.TempDir())
	for name, text := range golden {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(c.Dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, c)
	hello := []byte("hello")
	if n := s.Stats(); n.Chunks != 1 || n.Suspect != 1 {
		t.Errorf("%+v", n)
	}
	want(t, s, sample{ref: chunker.Ref{Digest: chunker.Sum(hello), Size: 5}, plain: hello})
	if v, err := s.State("state.json"); string(v) != "{}" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if doc, err := s.Manifest(manifest.Name([]byte("document"))); string(doc) != "document" || err != nil {
		t.Errorf("%q, %v", doc, err)
	}
}
