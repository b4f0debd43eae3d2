package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/needtest"
)

// smallDisk mounts a file system of that many MiB and returns its folder.
func smallDisk(t *testing.T, mib string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+mib+"m"); err != nil {
		needtest.Skip(t, "mount", fmt.Errorf("run as root: %w", err))
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return dir
}

// growDisk makes a small disk larger while it is in use.
func growDisk(t *testing.T, dir, mib string) {
	t.Helper()
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size="+mib+"m"); err != nil {
		t.Fatal(err)
	}
}

// fails runs the program, which must end with that exit code and say what it says
// in one line.
func (r *registry) fails(code int, says string, args ...string) {
	r.t.Helper()
	out, err := r.command(args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		r.t.Errorf("ingot %q: %v, want exit code %d\n%s", args, err, code, out)
	}
	if line := strings.TrimSuffix(string(out), "\n"); strings.Contains(line, "\n") || !strings.Contains(line, says) {
		r.t.Errorf("ingot %q says\n%s\nwant one line with %q", args, line, says)
	}
}

const exitNoSpace = 8

// TestFullRegistryDisk fills the registry's disk in the middle of a push. What is
// there stays readable, the push becomes visible only once there is room.
func TestFullRegistryDisk(t *testing.T) {
	disk := smallDisk(t, "32")
	r := &registry{t: t, data: filepath.Join(disk, "data"), addr: freeAddress(t), home: t.TempDir()}
	r.start()
	t.Cleanup(r.kill) // before the disk is unmounted
	small, large := filepath.Join(t.TempDir(), "small"), filepath.Join(t.TempDir(), "large")
	for dir, size := range map[string]int64{small: 4 << 20, large: 48 << 20} {
		if err := synth.Write(t.Context(), dir, synth.ForSize(size)); err != nil {
			t.Fatal(err)
		}
	}
	r.push(small, "full/small")
	r.fails(exitNoSpace, "full/large", "push", large, "full/large")
	r.fails(3, "full/large", "show", "full/large")
	r.pull("full/small", small, "--no-cache")
	r.kill()
	r.start() // on a disk that is still full
	r.pull("full/small", small, "--no-cache")

	growDisk(t, disk, "256")
	got := r.push(large, "full/large")
	if got.BytesSent >= got.BytesTotal/2 {
		t.Errorf("the push that had room sent %d bytes of %d: what had arrived was sent again", got.BytesSent, got.BytesTotal)
	}
	r.pull("full/large", large, "--no-cache")
}

// TestFullTargetDisk fills the disk that a pull writes to. The folder keeps the
// version it had, and the pull goes on where it stopped.
func TestFullTargetDisk(t *testing.T) {
	r := serve(t)
	dir := t.TempDir()
	old, large := filepath.Join(dir, "old"), filepath.Join(dir, "large")
	if err := synth.Write(t.Context(), old, synth.ForSize(8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := synth.Write(t.Context(), large, synth.ForSize(48<<20)); err != nil {
		t.Fatal(err)
	}
	r.push(old, "full/model:old")
	r.push(large, "full/model:large")
	disk := smallDisk(t, "32")
	target := filepath.Join(disk, "model")
	if out, err := r.command("pull", "full/model:old", target, "--no-cache").CombinedOutput(); err != nil {
		t.Fatalf("pull the old version: %v\n%s", err, out)
	}
	r.fails(exitNoSpace, "model.safetensors", "pull", "full/model:large", target, "--no-cache")
	if got, want := tree(t, target)["model.safetensors"], tree(t, old)["model.safetensors"]; got != want {
		t.Errorf("the full disk cost the folder its old version: sha256 %s, want %s", got, want)
	}
	growDisk(t, disk, "256")
	var got receipt
	r.json(&got, "pull", "full/model:large", target, "--no-cache")
	if got.BytesReused == 0 {
		t.Error("the pull that had room started from the beginning")
	}
	compareTrees(t, target, large)
	if _, err := os.Stat(filepath.Join(target, ".ingot")); err == nil {
		t.Error("a finished pull left its working folder")
	}
}
