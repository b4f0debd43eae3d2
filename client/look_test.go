package client_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// TestLookSeesWhatPushStores compares the files and cuts of Look with the
// manifest of a push.
func TestLookSeesWhatPushStores(t *testing.T) {
	r, dir := real(t, nil), model(t)
	push(t, r, dir, "acme/x", client.PushOptions{})
	m, _, err := r.Manifest(t.Context(), ref(t, "acme/x"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := client.Look(dir)
	if err != nil || len(files) != len(m.Files) {
		t.Fatalf("%d files, %v, want %d", len(files), err, len(m.Files))
	}
	for i, f := range files {
		stored := &m.Files[i]
		if f.Path != filepath.Join(dir, stored.Path) || f.Format != stored.Format || len(f.Tensors) != len(stored.Tensors) {
			t.Errorf("%s: %s with %d tensors, stored as %s: %s with %d", f.Path, f.Format, len(f.Tensors), stored.Path, stored.Format, len(stored.Tensors))
		}
		err := f.Read(func(in io.ReaderAt) error {
			n := 0
			for c, err := range f.Cuts(in) {
				plain := make([]byte, c.Length)
				if _, rerr := in.ReadAt(plain, c.Offset); err != nil || rerr != nil {
					return errors.Join(err, rerr)
				}
				if want := m.Chunks[stored.Chunks[n]].Digest; chunker.Sum(plain) != want {
					t.Errorf("%s: chunk %d is not %s", f.Path, n, want.Short())
				}
				n++
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestLookRefuses(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "bad.safetensors"), "not one")
	if _, err := client.Look(dir); !errors.Is(err, client.ErrInput) || !errors.Is(err, format.ErrMalformed) {
		t.Errorf("a malformed file: %v", err)
	}
	if _, err := client.Look(filepath.Join(dir, "none")); !errors.Is(err, client.ErrInput) {
		t.Errorf("what is not there: %v", err)
	}
	put(t, filepath.Join(dir, "fine"), "fine")
	files, err := client.Look(filepath.Join(dir, "fine"))
	if err != nil {
		t.Fatal(err)
	}
	err = files[0].Read(func(io.ReaderAt) error { return os.WriteFile(files[0].Path, []byte("changed"), 0o666) })
	if !errors.Is(err, client.ErrInput) {
		t.Errorf("a file that changed: %v", err)
	}
}

func TestChunk(t *testing.T) {
	r := real(t, nil)
	file := filepath.Join(t.TempDir(), "a")
	put(t, file, "weights")
	push(t, r, file, "acme/x", client.PushOptions{})
	_, digest, err := r.Manifest(t.Context(), ref(t, "acme/x"))
	if err != nil {
		t.Fatal(err)
	}
	repo := ref(t, "acme/x").Repo
	enc, err := r.Chunk(t.Context(), repo, digest, 0)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := codec.Decode(nil, enc); err != nil || !bytes.Equal(plain, []byte("weights")) {
		t.Errorf("%q, %v", plain, err)
	}
	if _, err := r.Chunk(t.Context(), repo, digest, 1); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Errorf("a chunk too far: %v", err)
	}
}
