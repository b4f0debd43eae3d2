package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/client/internal/folder"
)

func open(t *testing.T, dir string) *folder.Folder {
	t.Helper()
	f, err := folder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, path, content string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || string(b) != content {
		t.Errorf("%s holds %q, %v, want %q", path, b, err, content)
	}
}

// fill makes the file p with that content, through a Folder.
func fill(f *folder.Folder, p, content string) error {
	if err := f.Create(p, int64(len(content))); err != nil {
		return err
	}
	if err := f.Write(p, []byte(content), 0); err != nil {
		return err
	}
	return f.Replace(p, true)
}

func TestReplace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new/folder")
	f := open(t, dir)
	write(t, filepath.Join(dir, "a"), "old and longer")
	for p, content := range map[string]string{"a": "new", "b/c/d": "deep", "empty": ""} {
		if err := fill(f, p, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close(true)); err != nil {
		t.Fatal(err)
	}
	want(t, filepath.Join(dir, "a"), "new")
	want(t, filepath.Join(dir, "b/c/d"), "deep")
	want(t, filepath.Join(dir, "empty"), "")
	if _, err := os.Lstat(filepath.Join(dir, ".ingot")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the working folder is still there: %v", err)
	}
}

func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if _, err := folder.Open(dir); !errors.Is(err, folder.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	if err := f.Close(true); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Close(true); err != nil {
		t.Fatal(err)
	}
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if f.Resume("a/b") {
		t.Error("there is nothing to resume")
	}
	if err := errors.Join(f.Create("a/b", 4), f.Write("a/b", []byte("xy"), 1), f.Close(false)); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir)
	if !f.Resume("a/b") {
		t.Fatal("what was left is lost")
	}
	if err := f.Create("a/b", 3); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	if err := f.ReadPartial("a/b", b, 0); err != nil || string(b) != "\x00xy" {
		t.Errorf("%q, %v", b, err)
	}
	if err := f.Close(true); err != nil {
		t.Fatal(err)
	}
}

// TestPlantedLeftovers lets nothing be written through what somebody has put
// below .ingot.
func TestPlantedLeftovers(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	write(t, outside, "outside")
	write(t, filepath.Join(dir, "inside"), "inside")
	link(t, outside, filepath.Join(dir, ".ingot/partial/a"))
	link(t, "../../inside", filepath.Join(dir, ".ingot/partial/b"))
	if err := os.Link(outside, filepath.Join(dir, ".ingot/partial/c")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".ingot/partial/d/e"), "a folder where a file goes")
	write(t, filepath.Join(dir, ".ingot/partial/f"), "a file where a folder goes")
	link(t, filepath.Dir(outside), filepath.Join(dir, ".ingot/partial/g"))
	f := open(t, dir)
	for _, p := range []string{"a", "b", "c", "d", "f/x", "g/victim"} {
		if f.Resume(p) {
			t.Errorf("%s would be resumed", p)
		}
		if err := fill(f, p, "new "+p); err != nil {
			t.Error(err)
		}
		want(t, filepath.Join(dir, p), "new "+p)
	}
	if err := f.Close(true); err != nil {
		t.Fatal(err)
	}
	want(t, outside, "outside")
	want(t, filepath.Join(dir, "inside"), "inside")
}

// TestPlantedLinks has links in the target where files and folders must go.
func TestPlantedLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "victim"), "outside")
	write(t, filepath.Join(dir, "real/x"), "inside")
	link(t, filepath.Join(outside, "victim"), filepath.Join(dir, "a"))
	link(t, outside, filepath.Join(dir, "out"))
	link(t, "real", filepath.Join(dir, "in"))
	f := open(t, dir)
	if size, err := f.Find("a"); err != nil || size != -1 {
		t.Errorf("a link is a file of %d bytes, %v", size, err)
	}
	if err := fill(f, "a", "new"); err != nil {
		t.Error(err)
	}
	want(t, filepath.Join(dir, "a"), "new")
	for _, p := range []string{"out/victim", "in/x"} {
		if _, err := f.Find(p); !errors.Is(err, folder.ErrObstacle) {
			t.Errorf("find %s: %v, want ErrObstacle", p, err)
		}
		if err := fill(f, p, "new"); !errors.Is(err, folder.ErrObstacle) {
			t.Errorf("fill %s: %v, want ErrObstacle", p, err)
		}
	}
	if _, err := f.Find("real"); !errors.Is(err, folder.ErrObstacle) {
		t.Errorf("find a folder: %v, want ErrObstacle", err)
	}
	if err := f.Close(true); err != nil {
		t.Fatal(err)
	}
	want(t, filepath.Join(outside, "victim"), "outside")
	want(t, filepath.Join(dir, "real/x"), "inside")
}

func TestPlantedWorkingFolder(t *testing.T) {
	outside := t.TempDir()
	for name, plant := range map[string]func(dir string){
		"link for the folder": func(dir string) { link(t, outside, filepath.Join(dir, ".ingot")) },
		"file for the folder": func(dir string) { write(t, filepath.Join(dir, ".ingot"), "") },
		"link for the lock":   func(dir string) { link(t, filepath.Join(outside, "lock"), filepath.Join(dir, ".ingot/lock")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			plant(dir)
			if _, err := folder.Open(dir); !errors.Is(err, folder.ErrObstacle) {
				t.Errorf("got %v, want ErrObstacle", err)
			}
			if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
				t.Errorf("outside holds %v, %v", left, err)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "victim"), "outside")
	for _, p := range []string{"keep", "a/keep", "a/old", "b/c/old", "B/keep", ".ingot/other"} {
		write(t, filepath.Join(dir, p), p)
	}
	link(t, outside, filepath.Join(dir, "out"))
	if err := os.Mkdir(filepath.Join(dir, "was empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir)
	if err := f.Prune(func(p string) bool { return filepath.Base(p) == "keep" }); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := f.Files(func(p string, _ fs.DirEntry) error { left = append(left, p); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(left, []string{"B/keep", "a/keep", "keep"}) {
		t.Errorf("left are %q", left)
	}
	if err := f.Close(true); err != nil {
		t.Fatal(err)
	}
	want(t, filepath.Join(outside, "victim"), "outside")
	want(t, filepath.Join(dir, ".ingot/other"), ".ingot/other")
	for p, there := range map[string]bool{"b": false, "was empty": true, "out": false} {
		if _, err := os.Lstat(filepath.Join(dir, p)); (err == nil) != there {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestBeside(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"x.safetensors", "y.bin", "a/z.safetensors"} {
		write(t, filepath.Join(dir, p), p)
	}
	link(t, "x.safetensors", filepath.Join(dir, "l.safetensors"))
	f := open(t, dir)
	for in, want := range map[string][]string{".": {"x.safetensors"}, "a": {"a/z.safetensors"}, "none": nil} {
		if got, err := f.Beside(in, func(name string) bool { return filepath.Ext(name) == ".safetensors" }); err != nil || !slices.Equal(got, want) {
			t.Errorf("beside %s: %q, %v", in, got, err)
		}
	}
	if err := f.Close(true); err != nil {
		t.Fatal(err)
	}
}
