package folder_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// room returns the bytes that a file takes on the disk.
func room(t *testing.T, path string) int64 {
	t.Helper()
	var s syscall.Stat_t
	if err := syscall.Stat(path, &s); err != nil {
		t.Fatal(err)
	}
	return s.Blocks * 512
}

// TestHoles writes zeros into a new file and over what an earlier pull has left,
// which must not show through.
func TestHoles(t *testing.T) {
	const size = 1 << 20
	zeros := make([]byte, size)
	almost := make([]byte, size)
	almost[size-1] = 1
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".ingot/partial/over"), string(bytes.Repeat([]byte("x"), size)))
	f := open(t, dir)
	for p, content := range map[string][]byte{"over": zeros, "new": zeros, "almost": almost, "small": zeros[:4096]} {
		if err := fill(f, p, string(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, p)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s does not hold what was written: %v", p, err)
		}
		takes := room(t, filepath.Join(dir, p))
		if hole := len(content) == size && p != "almost"; hole == (takes >= int64(len(content))) {
			t.Errorf("%s of %d bytes takes %d, a hole: %v", p, len(content), takes, hole)
		}
	}
	if err := errors.Join(f.Sync(), f.Close(true)); err != nil {
		t.Fatal(err)
	}
}
