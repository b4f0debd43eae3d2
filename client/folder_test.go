package client_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

func TestPullGoesOnWhereItStopped(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	dir := model(t)
	whole := push(t, f.client(), dir, "acme/llama", client.PushOptions{})
	var n atomic.Int64
	var alive atomic.Bool
	f.front = func(w http.ResponseWriter, q *http.Request) bool {
		if alive.Load() || !strings.Contains(q.URL.Path, "/chunks") || n.Add(1) <= 5 {
			return false
		}
		hangUp(w)
		return true
	}
	r := dial(t, f.URL, client.Options{Patience: time.Millisecond, Parallel: 1})
	target := filepath.Join(t.TempDir(), "pulled")
	if _, err := r.Pull(t.Context(), ref(t, "acme/llama"), target, client.PullOptions{}); !errors.Is(err, client.ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	if _, err := os.Stat(filepath.Join(target, "model.safetensors")); err == nil {
		t.Error("half a model has its name already")
	}
	alive.Store(true)
	got := pull(t, r, "acme/llama", target, client.PullOptions{})
	sameTree(t, target, dir)
	if got.BytesReused == 0 || got.ChunksNew == 0 || got.ChunksNew > whole.ChunksTotal-4 {
		t.Errorf("the second pull began anew: %+v", got)
	}
}

func TestCancelledPull(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	dir, target := model(t), t.TempDir()
	push(t, f.client(), dir, "acme/llama", client.PushOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	f.front = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.Contains(q.URL.Path, "/chunks") {
			cancel()
			<-q.Context().Done() // only the client can end this
		}
		return false
	}
	if _, err := f.client().Pull(ctx, ref(t, "acme/llama"), target, client.PullOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	for path := range tree(t, target) {
		if !strings.HasPrefix(path, ".ingot/partial/") {
			t.Errorf("%s is there, and nothing is whole", path)
		}
	}
}

func TestPullOverDamagedLeftovers(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	target, outside := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	put(t, outside, "outside")
	weights, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	weights[len(weights)/2] ^= 1
	put(t, filepath.Join(target, ".ingot/partial/model.safetensors"), string(weights)+"and more")
	put(t, filepath.Join(target, ".ingot/partial/old/file"), "of another version")
	if err := os.Symlink(outside, filepath.Join(target, ".ingot/partial/config.json")); err != nil {
		t.Fatal(err)
	}
	got := pull(t, r, "acme/llama", target, client.PullOptions{})
	sameTree(t, target, dir)
	if got.ChunksNew == 0 || got.BytesReused < got.BytesTotal/2 {
		t.Errorf("one chunk of the weights was damaged: %+v", got)
	}
	if read(t, outside) != "outside" {
		t.Error("a file outside was written")
	}
}

// TestPullIntoStrangeFolder has links, folders and other files where the version
// goes.
func TestPullIntoStrangeFolder(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), ownModel(t)
	put(t, filepath.Join(dir, "deep/file"), "deep")
	push(t, r, dir, "acme/llama", client.PushOptions{})
	outside := t.TempDir()
	put(t, filepath.Join(outside, "file"), "outside")
	from := ref(t, "acme/llama")

	target := t.TempDir()
	if err := os.Symlink(filepath.Join(outside, "file"), filepath.Join(target, "config.json")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(target, "mine"), "mine")
	pull(t, r, from.String(), target, client.PullOptions{})
	if read(t, filepath.Join(target, "mine")) != "mine" {
		t.Error("a file that is not the version's is gone")
	}
	if err := os.Remove(filepath.Join(target, "mine")); err != nil {
		t.Fatal(err)
	}
	sameTree(t, target, dir)

	for name, plant := range map[string]func(dir string) error{
		"link to a folder": func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "deep")) },
		"file as a folder": func(dir string) error { return os.WriteFile(filepath.Join(dir, "deep"), nil, 0o666) },
		"folder as a file": func(dir string) error { return os.MkdirAll(filepath.Join(dir, "config.json/x"), 0o777) },
	} {
		target := t.TempDir()
		if err := plant(target); err != nil {
			t.Fatal(err)
		}
		_, err := r.Pull(t.Context(), from, target, client.PullOptions{Delete: true})
		if err == nil || !strings.Contains(err.Error(), "in the way") {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := r.VerifyDir(t.Context(), from, target, client.VerifyOptions{}); err != nil || len(got.Differing) != 1 {
			t.Errorf("%s: verify: %+v, %v", name, got, err)
		}
	}
	if read(t, filepath.Join(outside, "file")) != "outside" {
		t.Error("a file outside was written")
	}
}

func TestPullDeletes(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	target := t.TempDir()
	put(t, filepath.Join(target, "old/deep/file"), "old")
	put(t, filepath.Join(target, "model.safetensors"), "old")
	pull(t, r, "acme/llama", target, client.PullOptions{Delete: true})
	sameTree(t, target, dir)
	if _, err := os.Stat(filepath.Join(target, "old")); err == nil {
		t.Error("an emptied folder is still there")
	}
}

func TestSiblingsAreSources(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	target := t.TempDir()
	put(t, filepath.Join(target, "renamed.safetensors"), read(t, filepath.Join(dir, "model.safetensors")))
	if err := synth.Write(t.Context(), filepath.Join(target, "unused"), synth.ForSize(2<<20)); err != nil {
		t.Fatal(err)
	}
	if got := pull(t, r, "acme/llama", target, client.PullOptions{}); got.ChunksNew != 2 {
		t.Errorf("only the two small files had to come: %+v", got)
	}
}

// TestChunkInManyPlaces has the same chunk in kept, replaced and new files.
func TestChunkInManyPlaces(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), t.TempDir()
	for _, p := range []string{"a", "b", "c/d"} {
		put(t, filepath.Join(dir, p), "the same")
	}
	put(t, filepath.Join(dir, "other"), "another")
	push(t, r, dir, "acme/x", client.PushOptions{})
	target := t.TempDir()
	put(t, filepath.Join(target, "b"), "the same")
	put(t, filepath.Join(target, "a"), "not it!!")
	put(t, filepath.Join(target, "c/d"), "another") // what belongs elsewhere
	got := pull(t, r, "acme/x", target, client.PullOptions{})
	sameTree(t, target, dir)
	if got.BytesReceived != 0 || got.BytesReused != got.BytesTotal {
		t.Errorf("everything was there: %+v", got)
	}
}

func TestBusyFolder(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	target := t.TempDir()
	second := make(chan error, 1)
	var once atomic.Bool
	f.front = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.Contains(q.URL.Path, "/chunks") && !once.Swap(true) {
			_, err := r.Pull(t.Context(), ref(t, "acme/llama"), target, client.PullOptions{})
			second <- err
		}
		return false
	}
	pull(t, r, "acme/llama", target, client.PullOptions{})
	if err := <-second; !errors.Is(err, client.ErrBusyFolder) {
		t.Errorf("got %v, want ErrBusyFolder", err)
	}
	sameTree(t, target, dir)
}

// TestEscapingManifest has the registry send documents whose paths lead out of
// any folder.
func TestEscapingManifest(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "XXXXXXXXX"), "1")
	r := f.client()
	push(t, r, dir, "acme/x", client.PushOptions{})
	for _, path := range []string{"../escape", "/absolute", ".ingot/abc", "a/../../b", "c:\\windo"} {
		var doc []byte
		for _, sound := range f.manifests {
			doc = []byte(strings.Replace(string(sound), "XXXXXXXXX", (path + "xxxxxxxxx")[:9], 1))
		}
		name := manifest.Name(doc)
		f.front = func(w http.ResponseWriter, q *http.Request) bool {
			if strings.Contains(q.URL.Path, "/tags/") {
				answer(w, openapi.Tag{Name: "main", Digest: name})
				return true
			}
			_, _ = w.Write(doc)
			return true
		}
		target := filepath.Join(t.TempDir(), "deep/target")
		if _, err := r.Pull(t.Context(), ref(t, "acme/x"), target, client.PullOptions{}); !errors.Is(err, client.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", path, err)
		}
	}
}

func TestBadInput(t *testing.T) {
	f := newFake(t)
	r := f.client()
	for name, make := range map[string]func(dir string) error{
		"bad.safetensors": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "bad.safetensors"), []byte("not a model"), 0o666)
		},
		"broken": func(dir string) error { return os.Symlink("nothing", filepath.Join(dir, "broken")) },
		"Name": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "name"), nil, 0o666), os.WriteFile(filepath.Join(dir, "Name"), nil, 0o666))
		},
	} {
		dir := t.TempDir()
		if err := make(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Push(t.Context(), dir, ref(t, "acme/x"), client.PushOptions{}); !errors.Is(err, client.ErrInput) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want ErrInput and %q", err, name)
		}
	}
}

// TestChangesWhilePushed changes a file between its reading and the last answer.
func TestChangesWhilePushed(t *testing.T) {
	f := newFake(t)
	dir := ownModel(t)
	path := filepath.Join(dir, "model.safetensors")
	var changed atomic.Bool
	f.front = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.HasSuffix(q.URL.Path, "/missing") && !changed.Swap(true) {
			if err := os.Truncate(path, 2<<20); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	weights, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "a"), "first") // so that something is asked for before
	for i := range 40 {                      // more than a push holds at a time
		put(t, filepath.Join(dir, "b", strconv.Itoa(i)), string(weights[i*100:][:300<<10]))
	}
	_, err = f.client().Push(t.Context(), dir, ref(t, "acme/llama"), client.PushOptions{})
	if !errors.Is(err, client.ErrInput) || !strings.Contains(err.Error(), path+": changed while it was pushed") {
		t.Errorf("got %v, want ErrInput for %s", err, path)
	}
}

func TestTagsComeInPages(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), t.TempDir()
	put(t, filepath.Join(dir, "a"), "1")
	for _, tag := range []string{"tag0", "tag1", "tag2", "tag3", "tag4"} {
		push(t, r, dir, "acme/x:"+tag, client.PushOptions{})
	}
	var got []string
	for tag, err := range r.Tags(t.Context(), ref(t, "acme/x").Repo) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tag.Name)
	}
	if strings.Join(got, " ") != "tag0 tag1 tag2 tag3 tag4" || f.requests("GET /v1/repos/{ns}/{m}/tags") != 3 {
		t.Errorf("got %q", got)
	}
	for _, err := range r.Tags(t.Context(), ref(t, "acme/x").Repo) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if n := f.requests("GET /v1/repos/{ns}/{m}/tags"); n != 1 {
		t.Errorf("%d pages for one tag, want 1", n)
	}
}

func TestNotFound(t *testing.T) {
	f := newFake(t)
	r := f.client()
	for _, err := range []error{
		func() error { _, err := r.Resolve(t.Context(), ref(t, "acme/x")); return err }(),
		func() error {
			_, err := r.Pull(t.Context(), ref(t, "acme/x@"+chunker.Sum(nil).String()), t.TempDir(), client.PullOptions{})
			return err
		}(),
		func() error { _, err := r.Verify(t.Context(), ref(t, "acme/x"), client.VerifyOptions{}); return err }(),
	} {
		if !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
			t.Errorf("got %v, want not_found", err)
		}
	}
}
