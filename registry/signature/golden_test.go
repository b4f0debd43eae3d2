package signature_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/signature"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

// golden returns the content of a golden file, which text is what it should be.
func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(was, text) {
		t.Errorf("%s: %v; is %s, want %s", name, err, text, was)
	}
}

// TestGolden makes the signature of docs/formats/signature.md: a version that is signed
// today is verified by later programs, and by those of others.
func TestGolden(t *testing.T) {
	raw := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	key, err := signature.ParsePrivateKey(pkcs8(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public().PEM()
	if err != nil {
		t.Fatal(err)
	}
	text := sign(t, key, doc)
	golden(t, "v1.bundle.json", text)
	golden(t, "v1.pub", public)
	golden(t, "v1.manifest", doc)
	var b bundle
	unmarshal(t, text, &b)
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(b.payload(t)), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "v1.statement.json", append(indented.Bytes(), '\n'))
	keys, err := signature.ParsePublicKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signature.Verify(chunker.Sum(doc), [][]byte{text}, keys...); err != nil {
		t.Error(err)
	}
}
