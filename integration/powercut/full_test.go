package powercut_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestFullDisk fills a registry's disk with pushes, and then all that is left of it with
// something else. What was acknowledged stays readable; versions can be removed, and
// what they had can be collected, though nothing is free; and then there is room again.
func TestFullDisk(t *testing.T) {
	for kind, mib := range map[string]int64{"ext4": 160, "xfs": 320} {
		t.Run(kind, func(t *testing.T) {
			d := newDisk(t, kind, mib)
			leave(t, d.dir, 80<<20)
			s := newServer(t, program(t), filepath.Join(d.dir, "data"))
			s.start()
			f := &filler{t: t, server: s, registry: s.client(), dir: t.TempDir(), held: map[int]chunker.Digest{}}
			f.pushUntilFull()
			f.compare()
			fill(t, filepath.Join(d.dir, "other"))
			f.removeMost()
			f.collect()
			f.compare()
			f.pushUntilFull()
			fill(t, filepath.Join(d.dir, "more"))
			s.kill()
			s.start()
			f.compare()
			f.removeMost()
			f.collect()
			f.compare()
		})
	}
}

// leave takes room away until only so many bytes are free.
func leave(t *testing.T, dir string, bytes int64) {
	t.Helper()
	var st unix.Statfs_t
	f, err := os.Create(filepath.Join(dir, "room"))
	if err = errors.Join(err, unix.Statfs(dir, &st)); err == nil {
		err = unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-bytes)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// fill writes until nothing is free.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// filler pushes versions of one file that nothing else has.
type filler struct {
	t        *testing.T
	server   *server
	registry *client.Registry
	dir      string
	next     int
	held     map[int]chunker.Digest // what was acknowledged, by number
}

// fullSize is how long that file is.
const fullSize = 4 << 20

var fullRepo = name.Repo{Namespace: "full", Name: "disk"}

func (f *filler) content(number int) []byte { return random(uint64(number), 7, fullSize) }

// pushUntilFull pushes until the registry says that it is full. It has room for one at
// least.
func (f *filler) pushUntilFull() {
	f.t.Helper()
	held := len(f.held)
	for {
		f.next++
		path := filepath.Join(f.dir, "weights.bin")
		if err := os.WriteFile(path, f.content(f.next), 0o666); err != nil {
			f.t.Fatal(err)
		}
		got, err := f.registry.Push(f.t.Context(), path, name.Ref{Repo: fullRepo, Tag: fmt.Sprint("v", f.next)}, client.PushOptions{})
		if errors.Is(err, &openapi.Error{Code: openapi.CodeNoSpace}) {
			break
		}
		if err == nil {
			f.held[f.next], err = chunker.ParseDigest(got.Digest)
		}
		if err != nil {
			f.fatal("push %d: %v", f.next, err)
		}
	}
	if len(f.held) == held {
		f.fatal("there is no room for anything")
	}
	f.t.Logf("full with %d versions, %d of them new", len(f.held), len(f.held)-held)
}

// compare pulls everything that was acknowledged.
func (f *filler) compare() {
	f.t.Helper()
	for number, digest := range f.held {
		path := filepath.Join(f.t.TempDir(), "pulled")
		if _, err := f.registry.Pull(f.t.Context(), name.Ref{Repo: fullRepo, Digest: digest}, path, client.PullOptions{}); err != nil {
			f.fatal("pull %d: %v", number, err)
		}
		if got, err := os.ReadFile(filepath.Join(path, "weights.bin")); err != nil || !bytes.Equal(got, f.content(number)) {
			f.fatal("version %d has wrong bytes: %v", number, err)
		}
	}
}

// removeMost removes two of three versions, with their tags.
func (f *filler) removeMost() {
	f.t.Helper()
	for number, digest := range f.held {
		if number%3 == 0 {
			continue
		}
		err := f.registry.DeleteTag(f.t.Context(), fullRepo, fmt.Sprint("v", number), "")
		if err == nil {
			err = f.registry.DeleteVersion(f.t.Context(), fullRepo, digest)
		}
		if err != nil {
			f.fatal("remove %d from a full disk: %v", number, err)
		}
		delete(f.held, number)
	}
}

// collect frees what was removed.
func (f *filler) collect() {
	f.t.Helper()
	none := int64(0)
	report, err := f.registry.CollectGarbage(f.t.Context(), openapi.GCRequest{GraceSeconds: &none}, nil)
	if err != nil {
		f.fatal("collect on a full disk: %v", err)
	}
	if report.Freed.Bytes < fullSize {
		f.fatal("a collection freed %+v", report)
	}
}

func (f *filler) fatal(format string, args ...any) {
	f.t.Helper()
	f.server.kill()
	f.t.Fatalf(format+"\n%s", append(args, f.server.log)...)
}
