package powercut_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// disk is a file system in a file.
type disk struct {
	t       *testing.T
	kind    string // xfs or ext4
	image   string
	dir     string // where it is mounted
	mounted bool
}

// newDisk makes and mounts a file system of that many MiB.
func newDisk(t *testing.T, kind string, mib int64) *disk {
	t.Helper()
	d := &disk{t: t, kind: kind, image: filepath.Join(t.TempDir(), "disk.img"), dir: filepath.Join(t.TempDir(), "disk")}
	if os.Getuid() != 0 {
		needtest.Skip(t, "mount", "run as root")
	}
	if _, err := exec.LookPath("mkfs." + kind); err != nil {
		needtest.Skip(t, "mount", fmt.Errorf("run make tools: %w", err))
	}
	if err := errors.Join(os.Mkdir(d.dir, 0o777), os.WriteFile(d.image, nil, 0o666), os.Truncate(d.image, mib<<20)); err != nil {
		t.Fatal(err)
	}
	quiet := map[string][]string{"xfs": {"-q", "-f"}, "ext4": {"-q", "-F"}}
	run(t, "mkfs."+kind, append(quiet[kind], d.image)...)
	if out, err := d.mount(); err != nil {
		needtest.Skip(t, "mount", fmt.Errorf("mount a loop device: %w: %s", err, out))
	}
	t.Cleanup(d.unmount)
	return d
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}

func (d *disk) mount() (string, error) {
	out, err := exec.Command("mount", "-o", "loop", "-t", d.kind, d.image, d.dir).CombinedOutput()
	d.mounted = err == nil
	return strings.TrimSpace(string(out)), err
}

func (d *disk) unmount() {
	if !d.mounted {
		return
	}
	if err := syscall.Unmount(d.dir, 0); err != nil {
		d.t.Errorf("unmount %s: %v", d.dir, err)
		return
	}
	d.mounted = false
}

// FS_IOC_SHUTDOWN of linux/fs.h, which XFS and ext4 have under names of their own, and
// its flag for what happens when the power goes: the log in memory is lost too.
const (
	iocShutdown = 0x8004587d
	noLogFlush  = 2
)

// cut takes the power away. Whatever uses the disk gets errors from now on.
func (d *disk) cut() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), iocShutdown, noLogFlush); err != nil {
		return errors.Join(fmt.Errorf("cut the power of %s: %w", d.dir, err), f.Close())
	}
	return f.Close()
}

// remount is the machine coming up again. The log is read while mounting.
func (d *disk) remount() {
	d.t.Helper()
	d.unmount()
	if out, err := d.mount(); err != nil {
		d.t.Fatalf("mount %s after the power was cut: %v: %s", d.kind, err, out)
	}
}
