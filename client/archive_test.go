package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func export(t *testing.T, r *client.Registry, o client.ExportOptions, refs ...string) []byte {
	t.Helper()
	var list []name.Ref
	for _, s := range refs {
		list = append(list, ref(t, s))
	}
	var b bytes.Buffer
	if _, err := r.Export(t.Context(), list, &b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestArchive carries two variants to an empty registry, and then to one that has the
// first.
func TestArchive(t *testing.T) {
	noLeaks(t)
	from := newFake(t)
	r := from.client()
	base, tuned := model(t), model(t, synth.ChangeLayers(2, 0))
	first := push(t, r, base, "acme/llama:base", client.PushOptions{})
	second := push(t, r, tuned, "acme/llama:tuned", client.PushOptions{})
	var written, sent counter
	b := export(t, r, client.ExportOptions{Progress: &written}, "acme/llama:base", "acme/llama:tuned")
	if most := first.BytesSent + second.BytesSent + 64<<10; int64(len(b)) > most {
		t.Errorf("an archive of %d bytes for %d of chunks", len(b), most)
	}
	if written.total.Load() != written.done.Load() {
		t.Errorf("export: progress of %d of %d", written.done.Load(), written.total.Load())
	}
	if again := export(t, r, client.ExportOptions{}, "acme/llama:base", "acme/llama:tuned"); !bytes.Equal(again, b) {
		t.Error("the same versions make another archive")
	}
	for _, stream := range []bool{false, true} {
		to := newFake(t)
		there := to.client()
		var in io.Reader = bytes.NewReader(b)
		if stream {
			in = io.MultiReader(in)
		}
		got, err := there.Import(t.Context(), in, client.ImportOptions{Progress: &sent})
		if err != nil || len(got) != 2 || got[0].Digest != first.Digest || got[1].Digest != second.Digest || got[1].Ref != "acme/llama:tuned" {
			t.Fatalf("%+v, %v", got, err)
		}
		if got[1].ChunksNew != second.ChunksNew || got[0].BytesSent != first.BytesSent {
			t.Errorf("imported %+v, pushed %+v and %+v", got, first, second)
		}
		target := filepath.Join(t.TempDir(), "pulled")
		pull(t, there, "acme/llama:tuned", target, client.PullOptions{})
		sameTree(t, target, tuned)
		if got, err = there.Import(t.Context(), bytes.NewReader(b), client.ImportOptions{}); err != nil || got[0].BytesSent+got[1].BytesSent != 0 {
			t.Errorf("the second time: %+v, %v", got, err)
		}
	}
	if sent.total.Load() != sent.done.Load() {
		t.Errorf("import: progress of %d of %d", sent.done.Load(), sent.total.Load())
	}
}

func TestImportAs(t *testing.T) {
	f := newFake(t)
	r := f.client()
	dir := ownModel(t)
	want := push(t, r, dir, "acme/llama:v1", client.PushOptions{})
	push(t, r, dir, "acme/llama:v2", client.PushOptions{})
	one, two := export(t, r, client.ExportOptions{}, "acme/llama:v1"), export(t, r, client.ExportOptions{}, "acme/llama:v1", "acme/llama:v2")
	got, err := r.Import(t.Context(), bytes.NewReader(one), client.ImportOptions{As: ref(t, "other/name:v3")})
	if err != nil || got[0].Ref != "other/name:v3" || got[0].Digest != want.Digest {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := r.Import(t.Context(), bytes.NewReader(two), client.ImportOptions{As: ref(t, "other/name")}); !errors.Is(err, client.ErrInput) || !strings.Contains(err.Error(), "2 versions") {
		t.Errorf("two versions under one name: %v", err)
	}
	if _, err := r.Import(t.Context(), bytes.NewReader(one), client.ImportOptions{As: ref(t, "a/b@"+want.Digest)}); !errors.Is(err, name.ErrName) {
		t.Errorf("a digest for a name: %v", err)
	}
}

func TestImportRefuses(t *testing.T) {
	f := newFake(t)
	r := f.client()
	push(t, r, ownModel(t), "acme/llama", client.PushOptions{})
	b := export(t, r, client.ExportOptions{}, "acme/llama")
	changed := bytes.Clone(b)
	changed[len(b)/2] ^= 1
	f.mu.Lock()
	clear(f.chunks)
	clear(f.tags)
	f.mu.Unlock()
	for what, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing": {nil, client.ErrInput}, "a text": {[]byte("INGOTX and more text"), client.ErrInput},
		"a newer one": {append([]byte("INGOTA\x02\x00"), b[8:]...), client.ErrInput},
		"half":        {b[:len(b)/2], client.ErrCorrupt}, "changed": {changed, client.ErrCorrupt}, "more": {append(bytes.Clone(b), 0), client.ErrCorrupt},
	} {
		_, err := r.Import(t.Context(), bytes.NewReader(tt.b), client.ImportOptions{})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", what, err, tt.want)
		}
		if f.mu.Lock(); len(f.tags) > 0 && what != "more" {
			t.Errorf("%s: something became visible", what)
		}
		clear(f.tags)
		f.mu.Unlock()
	}
}

// TestImportGoesOn cuts an import off: the next one sends only what is left. One whose
// push was closed meanwhile starts anew.
func TestImportGoesOn(t *testing.T) {
	f := newFake(t)
	r := f.client()
	dir := ownModel(t)
	whole := push(t, r, dir, "acme/llama", client.PushOptions{})
	b := export(t, r, client.ExportOptions{}, "acme/llama")
	for _, closed := range []bool{false, true} {
		f.mu.Lock()
		clear(f.chunks)
		f.mu.Unlock()
		journal := t.TempDir()
		revive := dieAfter(f, 2)
		hasty := dial(t, f.URL, client.Options{Patience: time.Millisecond, Parallel: 1})
		if _, err := hasty.Import(t.Context(), bytes.NewReader(b), client.ImportOptions{Journal: journal}); !errors.Is(err, client.ErrUnreachable) {
			t.Fatalf("%v", err)
		}
		revive()
		if closed {
			closeNext(f)
		}
		got, err := r.Import(t.Context(), bytes.NewReader(b), client.ImportOptions{Journal: journal})
		if err != nil || got[0].Digest != whole.Digest || got[0].BytesSent >= whole.BytesSent {
			t.Errorf("closed %v: %+v, %v", closed, got, err)
		}
	}
}

// closeNext has the registry close the push of the next question for missing chunks.
func closeNext(f *fake) {
	done := false
	f.ahead(func(w http.ResponseWriter, q *http.Request) bool {
		if done || !strings.HasSuffix(q.URL.Path, "/commit") {
			return false
		}
		done = true
		fail(w, openapi.Errorf(openapi.CodePushClosed, "expired"))
		return true
	})
}

// TestImportOfWhatIsLost: the registry says that it has chunks, and misses them when
// the version is committed.
func TestImportOfWhatIsLost(t *testing.T) {
	f := newFake(t)
	r := f.client()
	whole := push(t, r, ownModel(t), "acme/llama", client.PushOptions{})
	b := export(t, r, client.ExportOptions{}, "acme/llama")
	for _, stream := range []bool{false, true} {
		lost := false
		f.front = func(_ http.ResponseWriter, q *http.Request) bool {
			if !lost && strings.HasSuffix(q.URL.Path, "/commit") {
				lost = true
				f.mu.Lock()
				clear(f.chunks)
				f.mu.Unlock()
			}
			return false
		}
		var in io.Reader = bytes.NewReader(b)
		if stream {
			in = io.MultiReader(in)
		}
		got, err := r.Import(t.Context(), in, client.ImportOptions{})
		if stream && !errors.Is(err, client.ErrBehind) {
			t.Errorf("of a stream: %v", err)
		}
		if !stream && (err != nil || got[0].BytesSent != whole.BytesSent) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// begun is an archive that is being written.
type begun struct {
	*bytes.Reader
	*bytes.Buffer
}

func (b *begun) Read(p []byte) (int, error) { return b.Reader.Read(p) }

func (b *begun) Cut(offset int64) error {
	b.Truncate(int(offset))
	return nil
}

func TestExportGoesOn(t *testing.T) {
	f := newFake(t)
	r := f.client()
	push(t, r, ownModel(t), "acme/llama", client.PushOptions{})
	want := export(t, r, client.ExportOptions{}, "acme/llama")
	half := &begun{bytes.NewReader(want[:len(want)/2]), bytes.NewBuffer(bytes.Clone(want[:len(want)/2]))}
	got, err := r.Export(t.Context(), []name.Ref{ref(t, "acme/llama")}, half.Buffer, client.ExportOptions{Begun: half})
	if err != nil || !bytes.Equal(half.Bytes(), want) {
		t.Fatalf("%d bytes, want %d: %v", half.Buffer.Len(), len(want), err)
	}
	if got[0].BytesReceived > int64(len(want))*3/4 {
		t.Errorf("received %d of %d bytes for the second half", got[0].BytesReceived, len(want))
	}
}

func TestExportFails(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	r := f.client()
	push(t, r, ownModel(t), "acme/llama", client.PushOptions{})
	var b bytes.Buffer
	if _, err := r.Export(t.Context(), []name.Ref{ref(t, "acme/llama"), ref(t, "acme/nothing")}, &b, client.ExportOptions{}); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) || b.Len() > 0 {
		t.Errorf("an unknown version: %v, and %d bytes", err, b.Len())
	}
	full := errors.New("the disk is full")
	if _, err := r.Export(t.Context(), []name.Ref{ref(t, "acme/llama")}, &limited{100 << 10, full}, client.ExportOptions{}); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Export(ctx, []name.Ref{ref(t, "acme/llama")}, &b, client.ExportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// limited fails after so many bytes.
type limited struct {
	left int
	err  error
}

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, l.err
	}
	return len(b), nil
}
