package chunkdir_test

import (
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/chunker/chunkdir"
	"github.com/ingot-ml/ingot/integration/needtest"
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

func TestNoSpace(t *testing.T) {
	path := filepath.Join(mountTmpfs(t), "dir")
	d, err := chunkdir.Open(path, chunkdir.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	half := make([]byte, 600<<10)
	put(t, d, "a/first", string(half))
	if err := d.Put(t.Context(), "a/second", half); !errors.Is(err, chunkdir.ErrNoSpace) {
		t.Fatalf("Put on a full disk: %v, want ErrNoSpace", err)
	}
	if got := list(t, d, "", ""); !slices.Equal(got, []string{"a/first"}) || len(temps(t, path)) != 0 {
		t.Errorf("the failed Put left something: %q", got)
	}
	if err := d.Remove("a/first"); err != nil {
		t.Fatal(err)
	}
	put(t, d, "a/second", string(half)) // once there is room, it is as ever
}
