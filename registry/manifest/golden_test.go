package manifest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

var update = flag.Bool("update", false, "write the golden files of the version in use")

// goldens are the Manifests whose documents and views testdata holds. Files of
// a released version are never changed: they show that its documents parse.
func goldens(t *testing.T) map[string]*manifest.Manifest {
	full := newModel()
	full.header("model-00001-of-00002.safetensors")
	full.tensor("model.embed_tokens.weight", 1<<40, 1000, 2048)
	full.tensor("model.norm.weight", 2<<40, 2048)
	full.tensor("scale", 3<<40)
	full.close()
	full.header("model-00002-of-00002.safetensors")
	full.tensor("lm_head.weight", 1<<40, 1000, 2048)
	full.close()
	full.file = manifest.File{Path: "1_Pooling/café.json", Format: "opaque"}
	full.refs = nil
	full.bytes(5<<40, 77)
	full.close()
	full.file = manifest.File{Path: "empty", Format: "opaque"}
	full.refs = nil
	full.close()
	return map[string]*manifest.Manifest{
		"v1-empty": newModel().build(t, chunker.Digest{}, nil),
		"v1-full":  full.build(t, digestOf(99), map[string]string{"license": "apache-2.0", "loss": "1.75", "note": "two\nlines"}),
	}
}

func TestGolden(t *testing.T) {
	for name, m := range goldens(t) {
		golden(t, filepath.Join("testdata", name+".manifest"), encode(t, m))
		golden(t, filepath.Join("testdata", name+".json"), viewJSON(t, m))
	}
}

// TestOldGoldens parses every document that a version of the format has left
// in testdata.
func TestOldGoldens(t *testing.T) {
	docs, err := filepath.Glob("testdata/*.manifest")
	if err != nil || len(docs) < 2 {
		t.Fatalf("golden documents: %v, %v; want at least 2", docs, err)
	}
	for _, path := range docs {
		doc, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Parse(doc)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		golden(t, strings.TrimSuffix(path, ".manifest")+".json", viewJSON(t, m))
		if want := goldens(t)[strings.TrimSuffix(filepath.Base(path), ".manifest")]; want != nil && !reflect.DeepEqual(m, want) {
			t.Errorf("%s: parsed %+v, want %+v", path, m, want)
		}
	}
}

func viewJSON(t *testing.T, m *manifest.Manifest) []byte {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// golden compares got with the file at path, or writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n%q\nwant\n%q", path, got, want)
	}
}
