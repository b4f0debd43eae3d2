package chunkdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/chunkdir"
)

// TestPlantedFolder has a link where a folder of the directory belongs: nothing
// may be read, written or removed where it leads.
func TestPlantedFolder(t *testing.T) {
	for name, durable := range map[string]bool{"cache": false, "durable": true} {
		t.Run(name, func(t *testing.T) {
			d, path := open(t, durable)
			outside := t.TempDir()
			victim := filepath.Join(outside, "victim")
			if err := errors.Join(os.WriteFile(victim, []byte("mine"), 0o666),
				os.Symlink(outside, filepath.Join(path, "a")),
				os.Mkdir(filepath.Join(path, "b"), 0o777), os.Symlink(outside, filepath.Join(path, "b", "c"))); err != nil {
				t.Fatal(err)
			}
			for _, folder := range []string{"a", "b/c"} {
				if err := d.Put(t.Context(), folder+"/new", []byte("x")); err == nil || errors.Is(err, chunkdir.ErrExists) {
					t.Errorf("put into %s: %v, want a refusal", folder, err)
				}
				_, stat := d.Stat(folder + "/victim")
				f, open := d.Open(folder + "/victim")
				if open == nil {
					_ = f.Close() // it failed already
				}
				for did, err := range map[string]error{
					"stat": stat, "open": open, "touch": d.Touch(folder+"/victim", time.Now()), "remove": d.Remove(folder + "/victim"),
				} {
					if !errors.Is(err, chunkdir.ErrNotFound) {
						t.Errorf("%s in %s: %v, want ErrNotFound", did, folder, err)
					}
				}
			}
			if b, err := os.ReadFile(victim); err != nil || string(b) != "mine" {
				t.Errorf("the file outside holds %q, %v", b, err)
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
				t.Errorf("outside are %v, %v", entries, err)
			}
		})
	}
}

// TestLinkToDirectory reaches the directory itself through a link, as somebody
// does who has moved it to another disk.
func TestLinkToDirectory(t *testing.T) {
	_, path := open(t, true)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	d, err := chunkdir.Open(link, chunkdir.Options{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "a/b", "x")
	if read(t, d, "a/b") != "x" {
		t.Error("what was put through the link is not there")
	}
}
