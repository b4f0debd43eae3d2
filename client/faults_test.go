package client_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// hangUp answers like a registry that was killed.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close() // that is the point
	}
}

// dieAfter makes f hang up after n uploads, until revive is called.
func dieAfter(f *fake, n int64) (revive func()) {
	var uploads atomic.Int64
	var alive atomic.Bool
	f.ahead(func(w http.ResponseWriter, q *http.Request) bool {
		upload := strings.Contains(q.URL.Path, "/chunks") && q.Method != http.MethodGet
		if alive.Load() || upload && uploads.Add(1) <= n || !upload && uploads.Load() < n {
			return false
		}
		hangUp(w)
		return true
	})
	return func() { alive.Store(true) }
}

func TestPushGoesOnWhereItStopped(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	dir, journal := model(t), filepath.Join(t.TempDir(), "journal")
	whole := push(t, newFake(t).client(), dir, "acme/llama", client.PushOptions{})
	revive := dieAfter(f, 2)
	r := dial(t, f.URL, client.Options{Patience: time.Millisecond, Parallel: 1})
	_, err := r.Push(t.Context(), dir, ref(t, "acme/llama"), client.PushOptions{Journal: journal})
	if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), f.URL) {
		t.Fatalf("got %v, want ErrUnreachable and the address", err)
	}
	revive()
	var arrived int64
	for _, enc := range f.chunks {
		arrived += int64(len(enc))
	}
	got := push(t, r, dir, "acme/llama", client.PushOptions{Journal: journal})
	if arrived == 0 || got.BytesSent != whole.BytesSent-arrived {
		t.Errorf("%d of %d bytes had arrived, %d were sent", arrived, whole.BytesSent, got.BytesSent)
	}
	if len(f.pushes) != 1 {
		t.Errorf("%d pushes were started, want 1", len(f.pushes))
	}
	if left, err := os.ReadDir(journal); err != nil || len(left) != 0 {
		t.Errorf("the journal holds %v, %v", left, err)
	}
}

func TestPushOutlivesRestart(t *testing.T) {
	f := newFake(t)
	var failures atomic.Int64
	f.front = func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPut && failures.Add(1) <= 3 {
			hangUp(w)
			return true
		}
		return false
	}
	dir := model(t)
	got := push(t, f.client(), dir, "acme/llama", client.PushOptions{})
	if got.BytesSent <= got.BytesStored {
		t.Errorf("%d bytes sent, want more than the %d stored: retries count", got.BytesSent, got.BytesStored)
	}
}

func TestStaleJournals(t *testing.T) {
	f := newFake(t)
	r, dir, journal := f.client(), t.TempDir(), t.TempDir()
	put(t, filepath.Join(dir, "a"), "1")
	for _, content := range []string{"", "{", `{"v":2}`, `{"v":1,"push":"../../stats"}`} {
		push(t, r, dir, "acme/x", client.PushOptions{Journal: journal})
		f.front = func(w http.ResponseWriter, q *http.Request) bool {
			if strings.HasSuffix(q.URL.Path, "/commit") {
				fail(w, openapi.Errorf(openapi.CodeNoSpace, "full"))
				return true
			}
			return false
		}
		if _, err := r.Push(t.Context(), dir, ref(t, "acme/x"), client.PushOptions{Journal: journal}); !errors.Is(err, &openapi.Error{Code: openapi.CodeNoSpace}) {
			t.Fatal(err)
		}
		f.front = nil
		files, err := filepath.Glob(filepath.Join(journal, "*.json"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v, want one journal", files, err)
		}
		put(t, files[0], content)
	}
	push(t, r, dir, "acme/x", client.PushOptions{Journal: journal})
}

func TestClosedPushIsStartedAnew(t *testing.T) {
	f := newFake(t)
	var closed atomic.Bool
	f.front = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.HasSuffix(q.URL.Path, "/commit") && !closed.Swap(true) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.pushes["push0"].State = openapi.PushAborted
		}
		return false
	}
	dir := model(t)
	push(t, f.client(), dir, "acme/llama", client.PushOptions{Journal: t.TempDir()})
	if len(f.pushes) != 2 || !slices.Equal(f.committed, []string{"push1"}) {
		t.Errorf("%d pushes, commits of %v", len(f.pushes), f.committed)
	}
}

func TestMissingChunksAreSentAgain(t *testing.T) {
	f := newFake(t)
	var lost atomic.Int64
	f.front = func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.HasSuffix(q.URL.Path, "/commit") && lost.Add(1) <= 2 {
			f.mu.Lock()
			defer f.mu.Unlock()
			n := 0
			for d := range f.chunks {
				if n++; n <= 2 {
					delete(f.chunks, d)
				}
			}
		}
		return false
	}
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	if len(f.committed) != 3 {
		t.Errorf("%d commits, want 3", len(f.committed))
	}
	target := t.TempDir()
	pull(t, r, "acme/llama", target, client.PullOptions{})
	sameTree(t, target, dir)
}

func TestEndlessMissingChunks(t *testing.T) {
	f := newFake(t)
	f.front = func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.HasSuffix(q.URL.Path, "/commit") {
			return false
		}
		f.count("commit")
		w.WriteHeader(http.StatusConflict)
		answer(w, openapi.ErrorBody{Error: &openapi.Error{Code: openapi.CodeMissingChunks, Message: "gone", Missing: []uint32{0, 1 << 30}}})
		return true
	}
	_, err := f.client().Push(t.Context(), model(t), ref(t, "acme/llama"), client.PushOptions{})
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeMissingChunks}) || f.requests("commit") != 5 {
		t.Errorf("got %v", err)
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	for _, code := range []openapi.Code{openapi.CodeBadChunk, openapi.CodeForbidden, openapi.CodeNoSpace, openapi.CodeTooLarge} {
		f := newFake(t)
		f.front = func(w http.ResponseWriter, q *http.Request) bool {
			if q.Method != http.MethodPost || !strings.HasSuffix(q.URL.Path, "/pushes") {
				return false
			}
			f.count("start")
			fail(w, openapi.Errorf(code, "no"))
			return true
		}
		_, err := f.client().Push(t.Context(), model(t), ref(t, "acme/llama"), client.PushOptions{})
		if !errors.Is(err, &openapi.Error{Code: code}) || f.requests("start") != 1 {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestPushNeedsTag(t *testing.T) {
	f := newFake(t)
	pinned := name.Ref{Repo: name.Repo{Namespace: "a", Name: "b"}, Digest: chunker.Sum(nil)}
	if _, err := f.client().Push(t.Context(), model(t), pinned, client.PushOptions{}); !errors.Is(err, name.ErrName) {
		t.Errorf("got %v, want ErrName", err)
	}
}

func TestExpectIsSent(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), t.TempDir()
	put(t, filepath.Join(dir, "a"), "1")
	push(t, r, dir, "acme/x", client.PushOptions{})
	put(t, filepath.Join(dir, "a"), "2")
	_, err := r.Push(t.Context(), dir, ref(t, "acme/x"), client.PushOptions{Expect: chunker.Sum(nil).String()})
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}) {
		t.Errorf("got %v, want tag_moved", err)
	}
}

func TestConcurrentPushesOfTheSame(t *testing.T) {
	f := newFake(t)
	r, dir, journal := f.client(), model(t), t.TempDir()
	var wg sync.WaitGroup
	for _, tag := range []string{"acme/llama:a", "acme/llama:a", "acme/llama:b"} {
		wg.Go(func() {
			if _, err := r.Push(t.Context(), dir, ref(t, tag), client.PushOptions{Journal: journal}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	target := t.TempDir()
	pull(t, r, "acme/llama:a", target, client.PullOptions{})
	sameTree(t, target, dir)
}

func TestCancelledPush(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.front = func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, q.Body) // the server sees no end before
			cancel()
			<-q.Context().Done() // only the client can end this
		}
		return false
	}
	_, err := f.client().Push(ctx, model(t), ref(t, "acme/llama"), client.PushOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// damaged makes the chunks that f sends go through damage, each the first times
// that it is asked for.
func damaged(f *fake, times int, damage func(body []byte) []byte) {
	var mu sync.Mutex
	met := map[int]int{}
	f.front = func(w http.ResponseWriter, q *http.Request) bool {
		_, list, ok := strings.Cut(q.URL.Path, "/chunks")
		if q.Method != http.MethodGet || !ok || q.Header.Get("Damaged") != "" {
			return false
		}
		sound := true
		mu.Lock()
		for _, i := range expand(strings.TrimPrefix(list, "/") + q.FormValue("i")) {
			met[i]++
			sound = sound && met[i] > times
		}
		mu.Unlock()
		if sound {
			return false
		}
		rec := httptest.NewRecorder()
		q.Header.Set("Damaged", "yes")
		f.Config.Handler.ServeHTTP(rec, q)
		body := damage(rec.Body.Bytes())
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body)
		return true
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		b[(at+len(b))%len(b)] ^= 0x40
		return b
	}
}

// huge makes the header of an encoded chunk claim 8 GiB less one byte short of
// what 32 bits hold.
func huge(b []byte) []byte {
	b = bytes.Clone(b)
	binary.LittleEndian.PutUint32(b[8:], 1<<32-2)
	return b
}

var other = codec.Append(nil, []byte("another chunk"), chunker.Opaque)

var damages = map[string]func([]byte) []byte{
	"first byte":  flip(0),
	"a byte":      flip(2000),
	"last byte":   flip(-1),
	"empty":       func([]byte) []byte { return nil },
	"longer":      func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, chunker.MaxSize)...) },
	"other chunk": func([]byte) []byte { return other },
	"claims":      huge,
}

func TestDamageOnTheWayIsFetchedAgain(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			damaged(f, 1, damage)
			target := t.TempDir()
			got := pull(t, r, "acme/llama", target, client.PullOptions{})
			sameTree(t, target, dir)
			if got.ChunksNew != got.ChunksTotal {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestDamageInTheStoreIsTold(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	for _, name := range []string{"a byte", "longer", "other chunk"} {
		t.Run(name, func(t *testing.T) {
			damaged(f, 1<<30, damages[name])
			target := t.TempDir()
			_, err := r.Pull(t.Context(), ref(t, "acme/llama"), target, client.PullOptions{})
			if !errors.Is(err, client.ErrCorrupt) || !strings.Contains(err.Error(), f.URL) {
				t.Errorf("got %v, want ErrCorrupt and the registry", err)
			}
			got, err := r.Verify(t.Context(), ref(t, "acme/llama"), client.VerifyOptions{})
			if !errors.Is(err, client.ErrCorrupt) || got.Bad == 0 || got.Chunks != 14 || len(got.First) == 0 || len(got.First[0].Files) == 0 {
				t.Errorf("verify: %+v, %v", got, err)
			}
		})
	}
}

func TestTruncatedBodiesAreFetchedAgain(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	var cut atomic.Int64
	f.front = func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method != http.MethodGet || !strings.Contains(q.URL.Path, "/chunks") || cut.Add(1) > 3 {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(make([]byte, 10))
		return true
	}
	target := t.TempDir()
	pull(t, r, "acme/llama", target, client.PullOptions{})
	sameTree(t, target, dir)
}

func TestWrongManifest(t *testing.T) {
	f := newFake(t)
	r, dir := f.client(), model(t)
	push(t, r, dir, "acme/llama", client.PushOptions{})
	f.front = func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.Contains(q.URL.Path, "/versions/") {
			return false
		}
		_, _ = w.Write([]byte("INGOTM is not all"))
		return true
	}
	target := filepath.Join(t.TempDir(), "pulled")
	if _, err := r.Pull(t.Context(), ref(t, "acme/llama"), target, client.PullOptions{}); !errors.Is(err, client.ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a folder was made for a version that was refused")
	}
}

func TestDamagedCacheIsNoHarm(t *testing.T) {
	f := newFake(t)
	r, dir, at := f.client(), model(t), t.TempDir()
	push(t, r, dir, "acme/llama", client.PushOptions{})
	cache, err := client.OpenCache(at, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	pull(t, r, "acme/llama", t.TempDir(), client.PullOptions{Cache: cache})
	for path := range tree(t, at) {
		if err := os.WriteFile(filepath.Join(at, path), []byte("rubbish"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	target := t.TempDir()
	got := pull(t, r, "acme/llama", target, client.PullOptions{Cache: cache})
	sameTree(t, target, dir)
	if got.ChunksNew != got.ChunksTotal {
		t.Errorf("%+v", got)
	}
	if got = pull(t, r, "acme/llama", t.TempDir(), client.PullOptions{Cache: cache}); got.ChunksNew != 0 {
		t.Errorf("the damaged entries were not replaced: %+v", got)
	}
}
