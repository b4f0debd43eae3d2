package disk_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/registry/manifest"
)

func documentBytes(t *testing.T, s *disk.Store, dir string) {
	t.Helper()
	if on := taken(t, dir, "manifests", "state"); s.DocumentBytes() != on || s.Used() != on {
		t.Errorf("%d bytes are of documents and %d used, %d are taken", s.DocumentBytes(), s.Used(), on)
	}
}

func TestManifests(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	one, two := []byte("one document"), bytes.Repeat([]byte("another "), 1000)
	for _, doc := range [][]byte{one, two, one} {
		if err := s.PutManifest(manifest.Name(doc), doc); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutManifest(manifest.Name(one), two); err != nil { // what is there stays
		t.Fatal(err)
	}
	if err := s.PutManifest(chunker.Sum([]byte("x")), two); err == nil {
		t.Error("a document is kept under another name")
	}
	documentBytes(t, s, c.Dir)
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	documentBytes(t, s, c.Dir)
	for _, doc := range [][]byte{one, two} {
		if got, err := s.Manifest(manifest.Name(doc)); err != nil || !bytes.Equal(got, doc) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if n := len(slices.Collect(s.Manifests())); n != 2 {
		t.Errorf("%d manifests, want 2", n)
	}
	s.DropManifest(manifest.Name(one))
	s.DropManifest(manifest.Name(one))
	if _, err := s.Manifest(manifest.Name(one)); !errors.Is(err, tier.ErrAbsent) {
		t.Errorf("%v, want ErrAbsent", err)
	}
	documentBytes(t, s, c.Dir)
}

func TestManifestDamaged(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	doc := []byte("one document")
	d := manifest.Name(doc)
	if err := s.PutManifest(d, doc); err != nil {
		t.Fatal(err)
	}
	damage(t, filepath.Join(c.Dir, "manifests", d.String()), damages["middle"])
	if _, err := s.Manifest(d); !errors.Is(err, tier.ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
	if err := s.PutManifest(d, doc); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Manifest(d); err != nil || !bytes.Equal(got, doc) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestManifestFull(t *testing.T) {
	c := config(t.TempDir())
	c.Budget = 8192
	s := open(t, c)
	one := newSample(1, 4000)
	put(t, s, one)
	doc := make([]byte, 4097)
	if err := s.PutManifest(manifest.Name(doc), doc); !errors.Is(err, tier.ErrFull) || s.Used() != 4096 {
		t.Errorf("%v, %d bytes are used", err, s.Used())
	}
	if err := s.PutManifest(manifest.Name(doc[1:]), doc[1:]); err != nil || s.Used() != 8192 {
		t.Errorf("%v, %d bytes are used", err, s.Used())
	}
	two := newSample(2, 1)
	if err := s.Put(t.Context(), two.ref, two.plain, nil); !errors.Is(err, tier.ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if err := s.SaveState("full.json", []byte("{}")); err != nil {
		t.Errorf("the state is not kept on a full disk: %v", err)
	}
}

func TestState(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	if v, err := s.State("models.json"); v != nil || err != nil {
		t.Errorf("%q, %v of nothing", v, err)
	}
	for _, v := range [][]byte{make([]byte, 9000), []byte("{}")} {
		if err := s.SaveState("models.json", v); err != nil {
			t.Fatal(err)
		}
		documentBytes(t, s, c.Dir)
	}
	// A process that was killed while it wrote leaves the document that was there.
	if err := errors.Join(os.WriteFile(filepath.Join(c.Dir, "state", "models.json.new"), []byte("{"), 0o666), s.Crash()); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	documentBytes(t, s, c.Dir)
	if v, err := s.State("models.json"); string(v) != "{}" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	for _, name := range []string{"", "..", ".hidden", "a/b", "../lock", "a.new", "Ä"} {
		if err := s.SaveState(name, nil); err == nil {
			t.Errorf("state %q is kept", name)
		}
		if _, err := s.State(name); err == nil {
			t.Errorf("state %q is read", name)
		}
	}
}

// Hashes live with their manifest, and damaged ones are none.
func TestHashes(t *testing.T) {
	c := config(t.TempDir())
	s := open(t, c)
	doc := []byte("one document")
	d, sums := manifest.Name(doc), map[string]string{"a": "1", "b/c": "2"}
	if err := s.PutHashes(d, sums); err != nil || s.Hashes(d) != nil {
		t.Errorf("%v, hashes without a manifest: %v", err, s.Hashes(d))
	}
	if err := errors.Join(s.PutManifest(d, doc), s.PutHashes(d, sums)); err != nil {
		t.Fatal(err)
	}
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	if got := s.Hashes(d); !maps.Equal(got, sums) {
		t.Errorf("%v", got)
	}
	if on := taken(t, c.Dir, "manifests", "hashes"); s.DocumentBytes() != on || on != 8192 {
		t.Errorf("%d bytes are of documents, %d are taken", s.DocumentBytes(), on)
	}
	damage(t, filepath.Join(c.Dir, "hashes", d.String()), damages["middle"])
	if got := s.Hashes(d); got != nil {
		t.Errorf("%v of what is damaged", got)
	}
	if err := s.PutHashes(d, sums); err != nil || !maps.Equal(s.Hashes(d), sums) {
		t.Errorf("%v, %v", s.Hashes(d), err)
	}
	s.DropManifest(d)
	if s.Hashes(d) != nil || s.DocumentBytes() != 0 {
		t.Errorf("%v, %d bytes are left", s.Hashes(d), s.DocumentBytes())
	}
}
