package integration_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

const exitInput = 7

// plant makes an empty file.
func plant(dir, name string) error { return os.WriteFile(filepath.Join(dir, name), nil, 0o666) }

// nullDevice is one that reads as nothing for ever, and zeroDevice as zeros.
const nullDevice, zeroDevice = 1<<8 | 3, 1<<8 | 5

// badFolders are folders that cannot be pushed, whatever else is in them.
var badFolders = []struct {
	name string
	add  func(dir string) error
	says string
	args []string
}{
	{"pipe", func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "odd"), 0o666) }, "odd: neither a file nor a folder", nil},
	{"socket", func(dir string) error { return syscall.Mknod(filepath.Join(dir, "odd"), syscall.S_IFSOCK|0o666, 0) }, "odd: neither a file nor a folder", nil},
	{"link to a device", func(dir string) error { return os.Symlink("/dev/zero", filepath.Join(dir, "odd")) }, "odd: neither a file nor a folder", []string{"--follow-links"}},
	{"link to a file outside", func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "odd")) }, "--follow-links", nil},
	{"broken link", func(dir string) error { return os.Symlink("nowhere", filepath.Join(dir, "odd")) }, "odd: broken symbolic link", []string{"--follow-links"}},
	{"links that lead to each other", func(dir string) error {
		return errors.Join(os.Symlink("odd", filepath.Join(dir, "even")), os.Symlink("even", filepath.Join(dir, "odd")))
	}, "broken symbolic link", []string{"--follow-links"}},
	{"folder in itself", func(dir string) error { return os.Symlink(".", filepath.Join(dir, "odd")) }, "odd: symbolic link to a folder that contains it", []string{"--follow-links"}},
	{"files that differ in case", func(dir string) error { return errors.Join(plant(dir, "A.txt"), plant(dir, "a.TXT")) }, "differ only in case", nil},
	{"folders that differ in case", func(dir string) error {
		return errors.Join(os.Mkdir(filepath.Join(dir, "B"), 0o777), plant(dir, "B/x"), os.Mkdir(filepath.Join(dir, "b"), 0o777), plant(dir, "b/y"))
	}, "folders differ only in case", nil},
	{"reserved name", func(dir string) error { return plant(dir, ".INGOT") }, "is reserved", nil},
	{"name of a Windows device", func(dir string) error { return plant(dir, "aux.txt") }, `"aux.txt" is a Windows device`, nil},
	{"name with a colon", func(dir string) error { return plant(dir, "c:x") }, "contains a colon", nil},
	{"name with a backslash", func(dir string) error { return plant(dir, `a\b`) }, `"a\\b": contains a backslash`, nil},
	{"name that ends in a dot", func(dir string) error { return plant(dir, "a.") }, "ends in a dot or space", nil},
	{"name that is not UTF-8", func(dir string) error { return plant(dir, "a\xffb") }, `"a\xffb": not valid UTF-8`, nil},
	{"name that is not composed", func(dir string) error { return plant(dir, "e\u0301") }, "normal form C", nil},
	{"name with a line break", func(dir string) error { return plant(dir, "a\nb") }, `"a\nb": contains a control character`, nil},
	{"name that moves the cursor", func(dir string) error { return plant(dir, "a\x1b[2Kb") }, `"a\x1b[2Kb": contains a control character`, nil},
	{"folder with a line break", func(dir string) error {
		return errors.Join(os.Mkdir(filepath.Join(dir, "a\nb"), 0o777), plant(dir, "a\nb/c"))
	}, `"a\nb/c": contains a control character`, nil},
	{"nothing in it", func(dir string) error { return os.Remove(filepath.Join(dir, "good")) }, "no files in it", nil},
	{"folders only", func(dir string) error {
		return errors.Join(os.Remove(filepath.Join(dir, "good")), os.MkdirAll(filepath.Join(dir, "a/b"), 0o777))
	}, "no files in it", nil},
}

// TestBadFolders pushes what cannot be stored. Each is refused in one line that
// names it, nothing becomes visible, and nothing was sent.
func TestBadFolders(t *testing.T) {
	r := serve(t)
	for _, tt := range badFolders {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			if err := errors.Join(os.Mkdir(dir, 0o777), plant(dir, "good"), tt.add(dir)); err != nil {
				t.Fatal(err)
			}
			r := r.with(t)
			r.fails(exitInput, tt.says, append([]string{"push", dir, "bad/model"}, tt.args...)...)
		})
	}
	r.untouched()
}

// with returns r for a part of the test.
func (r *registry) with(t *testing.T) *registry {
	part := *r
	part.t = t
	return &part
}

// untouched fails the test if the registry holds anything.
func (r *registry) untouched() {
	r.t.Helper()
	var list struct {
		Repos []struct{} `json:"repos"`
	}
	r.json(&list, "ls")
	if files, _ := fileBytes(r.t, filepath.Join(r.data, "blobs")); len(list.Repos) > 0 || files > 0 {
		r.t.Errorf("the registry holds %d models and %d blobs of what it refused", len(list.Repos), files)
	}
}

// TestDevices pushes device files. They must not be opened, which for some is
// all that it takes.
func TestDevices(t *testing.T) {
	r := serve(t)
	for name, device := range map[string]int{"null": nullDevice, "zero": zeroDevice} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, device); err != nil {
			needtest.Skip(t, "mknod", fmt.Errorf("run as root: %w", err))
		}
		for _, what := range []string{dir, path} {
			r.fails(exitInput, name+": neither a file nor a folder", "push", what, "bad/device")
		}
	}
	r.untouched()
}

// TestUnreadable pushes a file and a folder that the user may not read. Root may
// read everything, so that root becomes nobody for this.
func TestUnreadable(t *testing.T) {
	r := serve(t)
	for name, add := range map[string]func(path string) error{
		"secret": func(path string) error { return os.WriteFile(path, []byte("secret"), 0) },
		"closed": func(path string) error { return os.Mkdir(path, 0) },
	} {
		dir := openFolder(t)
		path := filepath.Join(dir, name)
		if err := errors.Join(plant(dir, "good"), add(path)); err != nil {
			t.Fatal(err)
		}
		push := r.command("push", dir, "bad/model", "--no-resume")
		asNobody(t, push)
		out, err := push.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitInput || !strings.Contains(string(out), path+": permission denied") {
			t.Errorf("push with %s: %v, want exit code %d and the reason\n%s", name, err, exitInput, out)
		}
	}
	r.fails(3, "bad/model", "show", "bad/model")
}

// openFolder returns a new folder that every user can reach.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ingot-open")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a temporary folder at worst
	return dir
}

// asNobody makes the command run without the rights of root. The program is copied
// to where everybody can reach it.
func asNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	path := filepath.Join(openFolder(t), "ingot")
	if err := copyFile(path, cmd.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	cmd.Path = path
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

func copyFile(to, from string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err == nil {
		_, err = io.Copy(out, in)
		err = errors.Join(err, out.Close())
	}
	return errors.Join(err, in.Close())
}

// TestEmptyFolders pushes folders with nothing in them beside files. They are not
// part of a version, and do not come back.
func TestEmptyFolders(t *testing.T) {
	r := serve(t)
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o666), os.MkdirAll(filepath.Join(dir, "empty/deep"), 0o777)); err != nil {
		t.Fatal(err)
	}
	r.push(dir, "empty/folders")
	_, pulled := r.pull("empty/folders", dir)
	if entries, err := os.ReadDir(pulled); err != nil || len(entries) != 1 {
		t.Errorf("pulled are %v, %v, want the one file", entries, err)
	}
}

// TestReadOnlyTarget pulls onto a disk that cannot be written. A folder that has
// everything is not changed by it, and says why it could not be pulled into.
func TestReadOnlyTarget(t *testing.T) {
	r := serve(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("new"), 0o666); err != nil {
		t.Fatal(err)
	}
	r.push(dir, "read/only")
	disk := smallDisk(t, "1")
	if err := os.WriteFile(filepath.Join(disk, "file"), []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{disk, filepath.Join(disk, "new")} {
		r.fails(1, "read-only file system", "pull", "read/only", target, "--no-cache")
	}
	if b, err := os.ReadFile(filepath.Join(disk, "file")); err != nil || string(b) != "old" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}
