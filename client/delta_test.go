package client_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
)

// knowing returns a fake that knows deltas and has the base model, a client of it, and the
// folder that remembers where the base model is.
func knowing(t *testing.T) (f *fake, r *client.Registry, places string, first client.Receipt) {
	t.Helper()
	f, places = newFake(t), filepath.Join(t.TempDir(), "places")
	f.deltas.known = true
	r = dial(t, f.URL, client.Options{Patience: 2 * time.Second, Parallel: 1})
	return f, r, places, push(t, r, little(t), "acme/llama", client.PushOptions{Places: places})
}

// littleBytes is enough for chunks of every length to be nearly the same as others.
const littleBytes = 1 << 20

// untrained is a model that tests only read.
var untrained = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ingot-client-test")
	if err != nil {
		return "", err
	}
	return dir, synth.Write(context.Background(), dir, synth.ForSize(littleBytes))
})

func little(t *testing.T) string {
	t.Helper()
	dir, err := untrained()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// trained is that model with 5 % of its values changed, which tests only read.
var trained = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ingot-client-test")
	if err != nil {
		return "", err
	}
	return dir, synth.Write(context.Background(), dir, synth.ForSize(littleBytes), synth.Train(7, .05))
})

func tuned(t *testing.T) string {
	t.Helper()
	dir, err := trained()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// differences fails the test unless nearly all that a push sent was the difference of 5 %
// of the values.
func differences(t *testing.T, got client.Receipt) {
	t.Helper()
	if most := got.BytesTotal / 25; got.BytesSent > most {
		t.Errorf("sent %d of %d bytes, want at most %d", got.BytesSent, got.BytesTotal, most)
	}
	if got.ChunksNew == 0 || got.ChunksDelta < got.ChunksNew-1 || got.BytesSentDelta == 0 || got.BytesSentDelta > got.BytesSent {
		t.Errorf("%d of %d chunks as deltas, %d of %d bytes", got.ChunksDelta, got.ChunksNew, got.BytesSentDelta, got.BytesSent)
	}
}

func digestOf(t *testing.T, got client.Receipt) chunker.Digest {
	t.Helper()
	d, err := chunker.ParseDigest(got.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPushSendsDifferences(t *testing.T) {
	noLeaks(t)
	for what, given := range map[string]struct {
		to   string
		tell func(o *client.PushOptions, first client.Receipt)
	}{
		"of what the tag is at":   {"acme/llama", func(*client.PushOptions, client.Receipt) {}},
		"of the last of the repo": {"acme/llama:next", func(*client.PushOptions, client.Receipt) {}},
		"of one of the namespace": {"acme/tuned", func(*client.PushOptions, client.Receipt) {}},
		"of the parent": {"acme/llama:child", func(o *client.PushOptions, first client.Receipt) {
			o.Parent = digestOf(t, first)
		}},
		"of another repository's": {"other/tuned", func(o *client.PushOptions, first client.Receipt) {
			o.Base = ref(t, "acme/llama@"+first.Digest)
		}},
	} {
		t.Run(what, func(t *testing.T) {
			f, r, places, first := knowing(t)
			o := client.PushOptions{Places: places}
			given.tell(&o, first)
			differences(t, push(t, r, tuned(t), given.to, o))
			if f.deltas.taken == 0 || f.deltas.refused != 0 {
				t.Errorf("%d deltas were taken, %d refused", f.deltas.taken, f.deltas.refused)
			}
			dir := filepath.Join(t.TempDir(), "model")
			pull(t, r, given.to, dir, client.PullOptions{})
			sameTree(t, dir, tuned(t))
		})
	}
}

// TestPushWithoutPlaces makes no request more than one that knows of no deltas.
func TestPushWithoutPlaces(t *testing.T) {
	f, r, places, _ := knowing(t)
	for _, pattern := range []string{"GET /v1/repos/{ns}/{m}/tags/{tag}", "GET /v1/repos/{ns}/{m}/versions/{d}"} {
		f.requests(pattern)
	}
	for _, o := range []client.PushOptions{{}, {Places: places + "-of-others"}} {
		got := push(t, r, tuned(t), "acme/llama", o)
		if got.ChunksDelta != 0 || got.BytesSentDelta != 0 {
			t.Errorf("%d deltas of %d bytes", got.ChunksDelta, got.BytesSentDelta)
		}
	}
	// What the registry has already is not worth a question either.
	push(t, r, tuned(t), "acme/llama", client.PushOptions{Places: places})
	for _, pattern := range []string{"GET /v1/repos/{ns}/{m}/tags/{tag}", "GET /v1/repos/{ns}/{m}/versions/{d}"} {
		if n := f.requests(pattern); n != 0 {
			t.Errorf("%d requests of %s, want none", n, pattern)
		}
	}
}

// TestRefusedDeltasGoWhole: a push stops to send deltas after some were refused, and a
// registry that knows none is served as before.
func TestRefusedDeltasGoWhole(t *testing.T) {
	for what, change := range map[string]func(*deltas){
		"no base":      func(d *deltas) { d.refuse = true },
		"old registry": func(d *deltas) { d.known = false },
	} {
		t.Run(what, func(t *testing.T) {
			f, r, places, _ := knowing(t)
			change(&f.deltas)
			got := push(t, r, tuned(t), "acme/llama", client.PushOptions{Places: places})
			if got.ChunksDelta != 0 || got.ChunksNew == 0 || got.BytesSentDelta == 0 {
				t.Errorf("%d of %d chunks as deltas, %d bytes of deltas sent", got.ChunksDelta, got.ChunksNew, got.BytesSentDelta)
			}
			if f.deltas.refused > 3+2 { // requests under way and gathered when the third was
				t.Errorf("%d deltas were refused", f.deltas.refused)
			}
			dir := filepath.Join(t.TempDir(), "model")
			pull(t, r, "acme/llama", dir, client.PullOptions{})
			sameTree(t, dir, tuned(t))
		})
	}
}

// TestChangedBase: what is not what it was is no base, even if it looks as it did.
func TestChangedBase(t *testing.T) {
	for what, change := range map[string]func(t *testing.T, path string){
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"another of the same size and time": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			spoil(t, path)
			if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			f, places := newFake(t), filepath.Join(t.TempDir(), "places")
			f.deltas.known = true
			r, dir := f.client(), filepath.Join(t.TempDir(), "model")
			if err := os.CopyFS(dir, os.DirFS(little(t))); err != nil {
				t.Fatal(err)
			}
			push(t, r, dir, "acme/llama", client.PushOptions{Places: places})
			weights, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
			if err != nil || len(weights) == 0 {
				t.Fatal(weights, err)
			}
			for _, path := range weights {
				change(t, path)
			}
			got := push(t, r, tuned(t), "acme/llama", client.PushOptions{Places: places})
			if got.ChunksDelta != 0 || f.deltas.refused != 0 {
				t.Errorf("%d deltas were sent, %d refused", got.ChunksDelta, f.deltas.refused)
			}
		})
	}
}

// spoil changes every 1000th byte of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(b); i += 1000 {
		b[i] ^= 1
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
