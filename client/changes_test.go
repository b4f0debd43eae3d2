package client_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client"
)

// manyChunks returns a file of more chunks than a push has buffers: at the first
// question to the registry it has not read the file to its end, and what is behind
// it not at all.
func manyChunks() []byte {
	const tensors, size = 48, 256 << 10
	var header []string
	for i := range tensors {
		header = append(header, fmt.Sprintf(`"t%d":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}`, i, size, i*size, (i+1)*size))
	}
	text := "{" + strings.Join(header, ",") + "}"
	b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for i := range tensors {
		b = append(b, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	return b
}

// replaced puts a file in the place of another, as an editor does.
func replaced(path string) error {
	return errors.Join(os.WriteFile(path+".new", []byte("other bytes"), 0o666), os.Rename(path+".new", path))
}

// overwritten changes bytes in the middle, and leaves the size. The time is set,
// because that of the disk is not as fine as this test is fast.
func overwritten(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("changed"), 1)
	return errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, time.Unix(1, 0)))
}

func grown(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("more")
	return errors.Join(err, f.Close())
}

func shrunk(path string) error { return os.Truncate(path, 1) }

// piped has a pipe in the file's place, from which nothing ever comes.
func piped(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o666)) }

// TestFileChangesWhilePushed changes a file when the first chunks are on their
// way: the one that is being read, which is held open, or one that is not yet.
func TestFileChangesWhilePushed(t *testing.T) {
	tests := []struct {
		name   string
		change func(path string) error
		held   bool // whether it does not matter to a file that is held open
	}{
		{"grown", grown, false},
		{"shrunk", shrunk, false},
		{"overwritten", overwritten, false},
		{"replaced", replaced, true},
		{"vanished", os.Remove, true},
		{"a pipe", piped, true},
	}
	dir := t.TempDir()
	weights := manyChunks()
	for _, tt := range tests {
		for _, name := range []string{"held.safetensors", "later"} {
			t.Run(name+" file "+tt.name, func(t *testing.T) {
				noLeaks(t)
				if err := os.WriteFile(filepath.Join(dir, "held.safetensors"), weights, 0o666); err != nil {
					t.Fatal(err)
				}
				put(t, filepath.Join(dir, "later"), "small")
				changesWhilePushed(t, dir, name, tt.change, tt.held && name == "held.safetensors")
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// changesWhilePushed pushes dir and changes the file name in it meanwhile. It
// fails the test unless the push is refused, or stores the old file whole.
func changesWhilePushed(t *testing.T, dir, name string, change func(string) error, whole bool) {
	t.Helper()
	f := newFake(t)
	path := filepath.Join(dir, name)
	before := tree(t, dir)[name]
	var changed atomic.Bool
	f.front = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.HasSuffix(q.URL.Path, "/missing") && !changed.Swap(true) {
			if err := change(path); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	_, err := f.client().Push(t.Context(), dir, ref(t, "acme/x"), client.PushOptions{})
	if whole {
		if err != nil {
			t.Fatalf("the bytes of the old file are all there: %v", err)
		}
		target := t.TempDir()
		pull(t, f.client(), "acme/x", target, client.PullOptions{})
		if tree(t, target)[name] != before {
			t.Error("neither the old file nor a refusal")
		}
		return
	}
	if !errors.Is(err, client.ErrInput) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want ErrInput for %s", err, path)
	}
	if len(f.committed) > 0 {
		t.Error("a version of a file that changed is visible")
	}
}
