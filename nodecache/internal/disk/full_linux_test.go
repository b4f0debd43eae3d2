package disk_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// mountTmpfs returns a file system of 1 MiB. Mounting takes rights that few test
// runs have; those that do say so by INGOT_TEST_REQUIRE=mount.
func mountTmpfs(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=1m"); err != nil {
		needtest.Skip(t, "mount", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return path
}

// A disk that is full before its budget is used up leaves what was there, and
// takes again when there is room.
func TestDiskFull(t *testing.T) {
	c := config(filepath.Join(mountTmpfs(t), "node"))
	s := open(t, c)
	one, two := newSample(1, 600<<10), newSample(2, 601<<10)
	put(t, s, one)
	used := s.Used()
	if err := s.SaveState("state.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), two.ref, two.plain, nil); !errors.Is(err, tier.ErrFull) || s.Has(two.ref.Digest) {
		t.Errorf("put: %v, want ErrFull", err)
	}
	large := make([]byte, 600<<10)
	if err := s.PutManifest(manifest.Name(large), large); !errors.Is(err, tier.ErrFull) {
		t.Errorf("put manifest: %v, want ErrFull", err)
	}
	if err := s.SaveState("state.json", large); !errors.Is(err, tier.ErrFull) {
		t.Errorf("save state: %v, want ErrFull", err)
	}
	if v, err := s.State("state.json"); string(v) != "{}" || err != nil {
		t.Errorf("state %.9q, %v", v, err)
	}
	if s.Used() != used+4096 || taken(t, c.Dir, "chunks", "manifests", "state") != used+4096 {
		t.Errorf("%d bytes are used, %d are taken, want %d", s.Used(), taken(t, c.Dir, "chunks", "manifests", "state"), used+4096)
	}
	want(t, s, one)
	s.Drop(one.ref.Digest)
	put(t, s, two)
	want(t, s, two)
}
