package artifact

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// FuzzPlan: whatever a manifest says, each file has a harmless path of its own.
func FuzzPlan(f *testing.F) {
	const digest = `"digest":"sha256:559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd","size":1`
	f.Add([]byte(`{"layers":[{"mediaType":"a",` + digest + `,"annotations":{"org.opencontainers.image.title":"a/b"}}]}`))
	f.Add([]byte(`{"layers":[{"mediaType":"application/vnd.ollama.image.license",` + digest + `},{"mediaType":"application/vnd.ollama.image.license",` + digest + `}]}`))
	f.Add([]byte(`{"layers":[{"mediaType":"application/vnd.cncf.model.weight.v1.tar+gzip",` + digest + `}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m ocispec.Manifest
		if json.Unmarshal(b, &m) != nil {
			return
		}
		layers, err := plan(m, registry.Reference{})
		if err != nil {
			if !errors.Is(err, client.ErrInput) {
				t.Errorf("%v", err)
			}
			return
		}
		var paths []string
		for _, l := range layers {
			if l.packed == raw {
				paths = append(paths, l.path)
			}
			if err := l.Digest.Validate(); err != nil || l.Size < 0 {
				t.Errorf("digest %q of %d bytes: %v", l.Digest, l.Size, err)
			}
		}
		for i, p := range paths {
			if err := manifest.CheckPath(p); err != nil {
				t.Errorf("%v", err)
			}
			for _, other := range paths[:i] {
				if p == other {
					t.Errorf("two layers for %q", p)
				}
			}
		}
	})
}

// FuzzUnpack: whatever a layer holds, it makes files and folders in its folder, and
// nothing else.
func FuzzUnpack(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: "a/b", Size: 1, Typeflag: tar.TypeReg, Mode: 0o777})
	_, werr := w.Write([]byte("x"))
	if err := errors.Join(err, werr, w.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), false)
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00"), true)
	f.Fuzz(func(t *testing.T, content []byte, zipped bool) {
		dir := t.TempDir()
		part := filepath.Join(dir, "part")
		if err := os.WriteFile(part, content, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "files"), 0o777); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(filepath.Join(dir, "files"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = root.Close() }() // nothing is open in it
		l := layer{Descriptor: ocispec.Descriptor{Size: int64(len(content))}, packed: tarred}
		if zipped {
			l.packed = gzipped
		}
		if err := l.unpack(t.Context(), part, root); err != nil && !errors.Is(err, client.ErrInput) {
			t.Errorf("%v", err)
		}
		top, err := os.ReadDir(dir)
		if err != nil || len(top) != 2 {
			t.Errorf("%d entries beside the folder, %v", len(top)-1, err)
		}
		err = filepath.WalkDir(filepath.Join(dir, "files"), func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !d.Type().IsRegular() {
				t.Errorf("%s is %v", p, d.Type())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
