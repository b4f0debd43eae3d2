package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
)

func TestPushAndPull(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	r, dir := f.client(), ownModel(t)
	put(t, filepath.Join(dir, "empty"), "")
	put(t, filepath.Join(dir, "deep/er/notes.txt"), "notes")
	var sent, got counter
	first := push(t, r, dir, "acme/llama:v1", client.PushOptions{Progress: &sent})
	if first.BytesStored == 0 || first.BytesStored != first.BytesSent || first.ChunksNew != first.ChunksTotal {
		t.Errorf("first push: %+v", first)
	}
	if n := sent.total.Load(); n != first.BytesTotal || n != sent.done.Load() {
		t.Errorf("progress of %d of %d bytes, want %d", sent.done.Load(), n, first.BytesTotal)
	}
	target := filepath.Join(t.TempDir(), "pulled")
	pulled := pull(t, r, "acme/llama:v1", target, client.PullOptions{Progress: &got, Sync: true})
	sameTree(t, target, dir)
	if pulled.BytesReused != 0 || pulled.BytesReceived != first.BytesSent || pulled.Digest != first.Digest || pulled.Files != first.Files {
		t.Errorf("pull: %+v after push: %+v", pulled, first)
	}
	if n := got.total.Load(); n != first.BytesTotal || n != got.done.Load() {
		t.Errorf("progress of %d of %d bytes, want %d", got.done.Load(), n, first.BytesTotal)
	}
}

func TestSecondPushSendsNothing(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	first := push(t, r, dir, "acme/llama", client.PushOptions{})
	again := push(t, r, dir, "acme/llama", client.PushOptions{})
	if again.BytesSent != 0 || again.BytesStored != 0 || again.ChunksNew != 0 || again.Digest != first.Digest {
		t.Errorf("second push: %+v", again)
	}
}

// TestVariants pushes variants of a model and pulls them over it.
func TestVariants(t *testing.T) {
	f := newFake(t)
	r, base := f.client(), model(t)
	first := push(t, r, base, "acme/llama:base", client.PushOptions{})
	for name, v := range map[string]struct {
		change synth.Change
		most   float64 // of the base's bytes may move
	}{
		"layer":   {synth.ChangeLayers(2, 0), 0.6},
		"reshard": {synth.Reshard(3), 0.1},
		"head":    {synth.ReplaceHead(3), 0.2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := model(t, v.change)
			sent := push(t, r, dir, "acme/llama:"+name, client.PushOptions{})
			most := int64(v.most * float64(first.BytesSent))
			if sent.BytesSent == 0 || sent.BytesSent > most {
				t.Errorf("%d bytes sent, want 1 to %d", sent.BytesSent, most)
			}
			target := filepath.Join(t.TempDir(), "pulled")
			pull(t, r, "acme/llama:base", target, client.PullOptions{})
			got := pull(t, r, "acme/llama:"+name, target, client.PullOptions{Delete: true})
			sameTree(t, target, dir)
			if got.BytesReceived != sent.BytesSent || got.ChunksNew != sent.ChunksNew || got.BytesReused == 0 {
				t.Errorf("pull over the base: %+v, pushed %+v", got, sent)
			}
		})
	}
}

func TestPullAgainTouchesNothing(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	target := t.TempDir()
	pull(t, r, "acme/llama", target, client.PullOptions{})
	path := filepath.Join(target, "model.safetensors")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	got := pull(t, r, "acme/llama", target, client.PullOptions{Delete: true})
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Error("the file was replaced")
	}
	if got.BytesReused != got.BytesTotal || got.BytesReceived != 0 {
		t.Errorf("second pull: %+v", got)
	}
}

func TestPushOneFile(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), t.TempDir()
	put(t, filepath.Join(dir, "weights.bin"), "weights")
	got := push(t, r, filepath.Join(dir, "weights.bin"), "acme/one", client.PushOptions{Annotations: map[string]string{"step": "7"}})
	target := t.TempDir()
	pull(t, r, "acme/one", target, client.PullOptions{})
	if got.Files != 1 || read(t, filepath.Join(target, "weights.bin")) != "weights" {
		t.Errorf("%+v and %v", got, tree(t, target))
	}
}

func TestParentAndAnnotations(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), t.TempDir()
	put(t, filepath.Join(dir, "a"), "1")
	push(t, r, dir, "acme/x:a", client.PushOptions{})
	_, parent, err := r.Manifest(t.Context(), ref(t, "acme/x:a"))
	if err != nil {
		t.Fatal(err)
	}
	push(t, r, dir, "acme/x:b", client.PushOptions{Parent: parent, Annotations: map[string]string{"k": "v"}})
	m, _, err := r.Manifest(t.Context(), ref(t, "acme/x:b"))
	if err != nil || m.Parent != parent || len(m.Annotations) != 1 || m.Annotations[0].Value != "v" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestCacheServesSecondPull(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	first := push(t, r, dir, "acme/llama", client.PushOptions{})
	cache, err := client.OpenCache(filepath.Join(t.TempDir(), "cache"), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	pull(t, r, "acme/llama", t.TempDir(), client.PullOptions{Cache: cache})
	target := t.TempDir()
	got := pull(t, r, "acme/llama", target, client.PullOptions{Cache: cache})
	if got.BytesReceived != 0 || got.BytesReused != first.BytesTotal || got.ChunksNew != 0 {
		t.Errorf("pull with a full cache: %+v", got)
	}
	sameTree(t, target, dir)
	if err := cache.Close(); err != nil {
		t.Error(err)
	}
}

func TestVerify(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	first := push(t, r, dir, "acme/llama", client.PushOptions{})
	got, err := r.Verify(t.Context(), ref(t, "acme/llama"), client.VerifyOptions{})
	if err != nil || got.Chunks != first.ChunksTotal || got.BytesReceived != first.BytesSent || got.Bad != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestVerifyDir(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), ownModel(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	got, err := r.VerifyDir(t.Context(), ref(t, "acme/llama"), dir, client.VerifyOptions{})
	if err != nil || got.Files != 3 || len(got.Missing)+len(got.Differing)+len(got.Extra) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	put(t, filepath.Join(dir, "config.json"), "{}")
	put(t, filepath.Join(dir, "new"), "new")
	if err := os.Remove(filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	got, err = r.VerifyDir(t.Context(), ref(t, "acme/llama"), dir, client.VerifyOptions{})
	if err != nil || got.Files != 1 || len(got.Missing) != 1 || len(got.Differing) != 1 || len(got.Extra) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if after := tree(t, dir); len(after) != len(before) {
		t.Errorf("the folder changed: %v", after)
	}
}
