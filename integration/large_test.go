package integration_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/integration/measure"
)

// large reports whether the tests below are to have their full size, as "make
// large" asks for.
func large() bool { return os.Getenv("INGOT_LARGE") != "" }

// servePlain is serve without the race detector.
func servePlain(t *testing.T) *registry {
	t.Helper()
	r := &registry{t: t, data: filepath.Join(t.TempDir(), "data"), addr: freeAddress(t), home: t.TempDir(), plain: true}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// tinyFiles makes n files of a few bytes, a thousand in a folder.
func tinyFiles(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		folder := filepath.Join(dir, strconv.Itoa(i/1000))
		if i%1000 == 0 {
			if err := os.MkdirAll(folder, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), []byte(fmt.Sprintf("tiny file %d\n", i)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// counted returns r behind a counter of requests.
func (r *registry) counted() (address string, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.addr})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		proxy.ServeHTTP(w, q)
	}))
	r.t.Cleanup(s.Close)
	return s.URL, asked
}

// TestTinyFiles pushes and pulls very many tiny files. What they cost in objects,
// which is in fsyncs too, and in requests must not be one each.
func TestTinyFiles(t *testing.T) {
	n := 10_000
	if large() {
		n = 100_000
	}
	r := servePlain(t)
	dir := filepath.Join(t.TempDir(), "tiny")
	tinyFiles(t, dir, n)
	address, asked := r.counted()
	got := r.push(dir, "tiny/files", "--registry", address)
	if got.ChunksNew != n {
		t.Errorf("%d chunks are new, want %d", got.ChunksNew, n)
	}
	objects, _ := fileBytes(t, filepath.Join(r.data, "blobs"))
	pushed := asked.Swap(0)
	_, _ = r.pull("tiny/files", dir, "--no-cache", "--registry", address)
	pulled := asked.Load()
	t.Logf("%d files: %d objects, %d requests to push and %d to pull", n, objects, pushed, pulled)
	if objects > n/100 || pushed > int64(n)/10 || pulled > int64(n)/100 {
		t.Error("too many for so many files")
	}
}

// TestSparseFile pushes and pulls a file that is nearly all holes. What both sides
// hold in memory does not grow with it, and holes come back as holes.
func TestSparseFile(t *testing.T) {
	size, most := int64(1)<<30, 256.0 // MiB
	if large() {
		size = 100 << 30
	}
	r := servePlain(t)
	dir := filepath.Join(t.TempDir(), "sparse")
	if err := sparseFile(dir, size); err != nil {
		t.Fatal(err)
	}
	pulled := filepath.Join(t.TempDir(), "pulled")
	for _, args := range [][]string{{"push", dir, "sparse/file"}, {"pull", "sparse/file", pulled, "--no-cache"}, {"verify", "sparse/file", pulled}} {
		used, err := measure.Run(r.command(args...))
		if err != nil {
			t.Fatalf("ingot %q: %v", args, err)
		}
		t.Logf("%s: at most %.0f MiB in memory, %.1f s of processor time", args[0], used.Peak, used.CPU.Seconds())
		if used.Peak > most {
			t.Errorf("%s held %.0f MiB in memory, want at most %.0f", args[0], used.Peak, most)
		}
	}
	served, err := measure.Running(r.cmd.Process.Pid)
	if err != nil || served.Peak > most {
		t.Errorf("the registry held %.0f MiB in memory, want at most %.0f: %v", served.Peak, most, err)
	}
	var was, is syscall.Stat_t
	if err := errors.Join(syscall.Stat(filepath.Join(dir, "huge"), &was), syscall.Stat(filepath.Join(pulled, "huge"), &is)); err != nil {
		t.Fatal(err)
	}
	const block, chunk = 512, 2 << 20
	if is.Size != was.Size || is.Blocks*block > was.Blocks*block+6*chunk {
		t.Errorf("%d bytes take %d on the disk, and %d before", is.Size, is.Blocks*block, was.Blocks*block)
	}
}

// sparseFile makes a file with bytes at its start, in its middle and at its end.
func sparseFile(dir string, size int64) error {
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil {
		return err
	}
	bytes := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(bytes) // it never fails
	for _, at := range []int64{0, size/2 - 1000, size - int64(len(bytes))} {
		if _, err := f.WriteAt(bytes, at); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}
