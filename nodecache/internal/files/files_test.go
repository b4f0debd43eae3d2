package files_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/files"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// world is a node of one version, acme/tiny:main, where its bytes come from, and the
// account and documents of the node.
type world struct {
	t       *testing.T
	version chunker.Digest
	text    []byte
	broken  atomic.Bool // bytes break off in the middle
	full    atomic.Bool
	opened  atomic.Int64

	mu   sync.Mutex
	held map[ledger.Key]bool
	docs map[string][]byte
}

var tiny = name.Ref{Repo: name.Repo{Namespace: "acme", Name: "tiny"}, Tag: "main"}

func newWorld(t *testing.T) *world {
	text := bytes.Repeat([]byte("weights "), 1000)
	return &world{t: t, version: chunker.Sum(text), text: text, held: map[ledger.Key]bool{}, docs: map[string][]byte{}}
}

func (w *world) open(dir string, models ...files.Model) *files.Keeper {
	w.t.Helper()
	k, err := files.Open(files.Config{
		Dir: dir, Node: w, Source: w, Store: w, Models: models, Now: time.Now,
		Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = k.Close() }) // it may be closed
	return k
}

// What follows implements files.Node, Source and Store.

func (w *world) Where(context.Context, name.Ref) (chunker.Digest, error) { return w.version, nil }
func (w *world) KeepHashes(chunker.Digest, map[string]string)            {}
func (w *world) ReleaseFiles(ledger.Key)                                 {}

func (w *world) AdmitFiles(_ context.Context, k ledger.Key, parts []chunker.Ref) error {
	return w.KeepFiles(k, parts)
}

func (w *world) KeepFiles(k ledger.Key, parts []chunker.Ref) error {
	if w.full.Load() {
		return openapi.Errorf(openapi.CodeBusy, "no room")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[k] = true
	if len(parts) != 1 || int(parts[0].Size) != len(w.text) {
		w.t.Errorf("parts %v", parts)
	}
	return nil
}

func (w *world) RemoveFiles(ledger.Key) (int64, error) { return 0, nil }

func (w *world) Revision(_ context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	if revision != w.version.String() {
		return nil, catalog.ErrNoRevision
	}
	h := sha256.Sum256(w.text)
	sum := hex.EncodeToString(h[:])
	f := catalog.File{Size: int64(len(w.text)), SHA256: sum, ETag: sum}
	one, two := f, f
	one.Path, two.Path = "a", "b"
	return &catalog.Revision{Repo: repo, Commit: catalog.CommitOf(w.version), Digest: w.version, Files: []catalog.File{one, two}}, nil
}

func (w *world) Open(context.Context, *catalog.Revision, *catalog.File) (stream.Content, error) {
	w.opened.Add(1)
	return w, nil
}

var errBroken = errors.New("it broke off")

func (w *world) Size() int64  { return int64(len(w.text)) }
func (w *world) Close() error { return nil }
func (w *world) Send(_ context.Context, to io.Writer, offset, n int64) error {
	if w.broken.Load() {
		_, err := to.Write(w.text[offset : offset+n/2])
		return errors.Join(err, errBroken)
	}
	_, err := to.Write(w.text[offset : offset+n])
	return err
}

func (w *world) State(name string) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.docs[name], nil
}

func (w *world) SaveState(name string, doc []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.docs[name] = doc
	return nil
}

// left is what is in a folder, in files.
func left(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// Of many who want the files of a version one writes them, and equal files are one.
func TestTogether(t *testing.T) {
	w := newWorld(t)
	k := w.open(t.TempDir())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := k.Materialize(t.Context(), tiny); err != nil || got.Files != 2 || got.Bytes != 16000 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	all.Wait()
	if w.opened.Load() != 1 {
		t.Errorf("%d files were opened", w.opened.Load())
	}
}

// What a process that was killed has left is accounted for, or goes.
func TestKilled(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	k := w.open(dir)
	w.broken.Store(true)
	if _, err := k.Materialize(t.Context(), tiny); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	if left(t, dir) == 0 {
		t.Error("nothing is left to go on from")
	}
	k = w.open(dir) // the former one never closed
	if n := left(t, dir); n != 0 {
		t.Errorf("%d files are left that nobody accounts for", n)
	}
	w.broken.Store(false)
	got, err := k.Materialize(t.Context(), tiny)
	if err != nil {
		t.Fatal(err)
	}
	clear(w.held)
	k = w.open(dir)
	if len(w.held) != 1 || len(k.Versions()) != 1 {
		t.Errorf("held %v, kept %v", w.held, k.Versions())
	}
	if err := os.Remove(filepath.Join(got.Path, "a")); err != nil {
		t.Fatal(err)
	}
	if k = w.open(dir); len(k.Versions()) != 0 || left(t, dir) != 0 {
		t.Errorf("kept %v of what is not whole, %d files are left", k.Versions(), left(t, dir))
	}
}

// A folder that shrank keeps what it has room for, and another folder is another.
func TestRoom(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	if _, err := w.open(dir).Materialize(t.Context(), tiny); err != nil {
		t.Fatal(err)
	}
	if k := w.open(t.TempDir()); len(k.Versions()) != 0 || left(t, dir) == 0 {
		t.Errorf("kept %v, %d files are left in the former folder", k.Versions(), left(t, dir))
	}
	w.docs = map[string][]byte{}
	w.open(dir)
	if left(t, dir) == 0 {
		t.Error("what others have left in the folder is gone")
	}
	if _, err := w.open(dir).Materialize(t.Context(), tiny); err != nil {
		t.Fatal(err)
	}
	w.full.Store(true)
	if k := w.open(dir); len(k.Versions()) != 0 || left(t, dir) != 0 {
		t.Errorf("kept %v without room, %d files are left", k.Versions(), left(t, dir))
	}
}
