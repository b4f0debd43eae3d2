package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

const modelBytes = 4 << 20

// base is a small model that tests only read.
var base = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ingot-client-test")
	if err != nil {
		return "", err
	}
	return dir, synth.Write(context.Background(), dir, synth.ForSize(modelBytes))
})

func TestMain(m *testing.M) {
	code := m.Run()
	for _, made := range []func() (string, error){base, untrained, trained} {
		if dir, _ := made(); dir != "" {
			_ = os.RemoveAll(dir) // a temporary folder at worst
		}
	}
	os.Exit(code)
}

// model returns the base model, which must not be changed, or makes a variant of
// it in a new folder.
func model(t *testing.T, changes ...synth.Change) string {
	t.Helper()
	dir, err := base()
	if len(changes) > 0 {
		dir = filepath.Join(t.TempDir(), "model")
		err = synth.Write(t.Context(), dir, synth.ForSize(modelBytes), changes...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// ownModel returns a copy of the base model.
func ownModel(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS(model(t))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func ref(t *testing.T, s string) name.Ref {
	t.Helper()
	r, err := name.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func push(t *testing.T, r *client.Registry, path, to string, o client.PushOptions) client.Receipt {
	t.Helper()
	got, err := r.Push(t.Context(), path, ref(t, to), o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func pull(t *testing.T, r *client.Registry, from, dir string, o client.PullOptions) client.Receipt {
	t.Helper()
	got, err := r.Pull(t.Context(), ref(t, from), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// put writes a file and the folders above it.
func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tree maps everything below dir that is not a folder to what it holds.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			sums[rel] = "link to " + target
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		err = errors.Join(err, f.Close())
		sums[rel] = hex.EncodeToString(h.Sum(nil))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// sameTree fails the test unless both folders hold the same files.
func sameTree(t *testing.T, got, want string) {
	t.Helper()
	g, w := tree(t, got), tree(t, want)
	for path, sum := range w {
		if g[path] != sum {
			t.Errorf("%s: %q, want %q", path, g[path], sum)
		}
	}
	for path := range g {
		if _, ok := w[path]; !ok {
			t.Errorf("%s: not in the original", path)
		}
	}
}

// counter is a Progress that adds up.
type counter struct{ total, done atomic.Int64 }

func (c *counter) Total(n int64) { c.total.Add(n) }
func (c *counter) Add(n int64)   { c.done.Add(n) }

// noLeaks fails the test if, when it ends, functions of the client still run. It
// is called before anything else.
func noLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		buf := make([]byte, 1<<20)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "ingot/client.") && !strings.Contains(g, "client_test.") || strings.Contains(g, "ingot/client/internal") {
				t.Errorf("still running:\n%s", g)
			}
		}
	})
}
