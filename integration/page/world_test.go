package page_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/integration/page/chromiumtest"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
)

// browser is the one that all tests open their tabs in.
var browser struct {
	once sync.Once
	*chromiumtest.Browser
	err error
}

// browse returns the browser, and skips a test where there is none.
func browse(t *testing.T) *chromiumtest.Browser {
	t.Helper()
	browser.once.Do(func() {
		var home string
		if home, browser.err = os.MkdirTemp("", "ingot-chromium-"); browser.err == nil {
			cleanup = append(cleanup, func() error { return os.RemoveAll(home) })
			browser.Browser, browser.err = chromiumtest.Start(home)
		}
	})
	if errors.Is(browser.err, chromiumtest.ErrNone) {
		needtest.Skip(t, "chromium", browser.err)
	}
	if browser.err != nil {
		t.Fatal(browser.err)
	}
	return browser.Browser
}

// cleanup is done after all tests, the first last.
var cleanup []func() error

func TestMain(m *testing.M) {
	code := m.Run()
	if browser.Browser != nil {
		cleanup = append(cleanup, browser.Close)
	}
	for _, f := range slices.Backward(cleanup) {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// small is a model with tensors on both sides of 256 KiB.
var small = synth.Spec{Layers: 3, Hidden: 256, KV: 128, FF: 640, Vocab: 600, DType: chunker.BF16, Seed: 7}

// tiny is one for tests that look at other things.
var tiny = synth.Spec{Layers: 1, Hidden: 64, KV: 64, FF: 128, Vocab: 200, DType: chunker.BF16, Seed: 7}

// world is a registry, in this process, and a client of it.
type world struct {
	t      *testing.T
	url    string
	client *client.Registry
	places string           // what was pushed before, to make differences against
	admin  string           // the token of an admin, where access is controlled
	front  http.HandlerFunc // answers in place of the registry what it wants to; may be nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return openWorld(t, registry.Config{})
}

// openWorld opens a registry that is configured in some way.
func openWorld(t *testing.T, c registry.Config) *world {
	t.Helper()
	c.Data, c.Reserve = filepath.Join(t.TempDir(), "data"), -1
	r, err := registry.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, places: t.TempDir(), admin: r.AdminToken()}
	// Streams of events end with the server, whose context they are told by.
	working, stop := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		ctx, done := context.WithCancel(q.Context())
		defer done()
		defer context.AfterFunc(working, done)()
		if w.front != nil {
			answered := &answer{ResponseWriter: rw}
			if w.front(answered, q); answered.done {
				return
			}
		}
		r.Handler().ServeHTTP(rw, q.WithContext(ctx))
	}))
	w.url = server.URL
	if w.client, err = client.New(server.URL, client.Options{Token: w.token}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		w.client.Close()
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// token is what the client says who it is with.
func (w *world) token(context.Context) (string, error) { return w.admin, nil }

// answer knows whether anything was answered.
type answer struct {
	http.ResponseWriter
	done bool
}

func (a *answer) WriteHeader(status int) {
	a.done = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.done = true
	return a.ResponseWriter.Write(b)
}

// push stores a folder as a tag.
func (w *world) push(dir, to string, parent chunker.Digest, annotations map[string]string) chunker.Digest {
	w.t.Helper()
	ref, err := name.ParseRef(to)
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := w.client.Push(w.t.Context(), dir, ref, client.PushOptions{Parent: parent, Annotations: annotations, Places: w.places})
	if err != nil {
		w.t.Fatal(err)
	}
	digest, err := chunker.ParseDigest(got.Digest)
	if err != nil {
		w.t.Fatal(err)
	}
	return digest
}

// make pushes a model that is made.
func (w *world) make(to string, parent chunker.Digest, s synth.Spec, changes ...synth.Change) chunker.Digest {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "model")
	if err := synth.Write(w.t.Context(), dir, s, changes...); err != nil {
		w.t.Fatal(err)
	}
	return w.push(dir, to, parent, nil)
}

// train pushes n checkpoints of a run to a repository, each made from the one before, and
// tells then of each.
func (w *world) train(repo string, s synth.Spec, n int, share float64, then ...func(i int, dir string, made chunker.Digest)) (digests []chunker.Digest) {
	w.t.Helper()
	run, err := synth.NewRun(w.t.Context(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	var last chunker.Digest
	for i := range n {
		if i > 0 {
			if err := run.Train(w.t.Context(), uint64(100+i), share); err != nil {
				w.t.Fatal(err)
			}
		}
		dir := w.t.TempDir()
		if err := run.Write(w.t.Context(), dir); err != nil {
			w.t.Fatal(err)
		}
		last = w.push(dir, repo+":main", last, facts(i, 1.21+2.4/float64(i+1)))
		digests = append(digests, last)
		for _, f := range then {
			f(i, dir, last)
		}
	}
	return digests
}

// facts are what a training says of a checkpoint.
func facts(i int, loss float64) map[string]string {
	return map[string]string{
		"ingot.step": fmt.Sprint(500 * i), "ingot.run": "first", "ingot.loss": fmt.Sprintf("%.4f", loss),
		"eval.accuracy": fmt.Sprintf("%.4f", 0.9-loss/5),
	}
}

// report tells the registry what a node holds.
func (w *world) report(node string, r openapi.NodeReport) {
	w.t.Helper()
	w.ask(http.MethodPut, "/v1/nodes/"+node, r, nil)
}

// ask sends a request with a body, if that is not nil, and reads the answer into out.
func (w *world) ask(method, path string, body, out any) {
	w.t.Helper()
	var doc bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&doc).Encode(body); err != nil {
			w.t.Fatal(err)
		}
	}
	q, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, &doc)
	if err != nil {
		w.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	if w.admin != "" {
		q.Header.Set("Authorization", "Bearer "+w.admin)
	}
	got, err := http.DefaultClient.Do(q)
	if err != nil {
		w.t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode/100 != 2 {
		w.t.Fatalf("%s %s: %s", method, path, got.Status)
	}
	if out != nil {
		if err := json.NewDecoder(got.Body).Decode(out); err != nil {
			w.t.Fatal(err)
		}
	}
}

// node is what a node with a GPU reports.
func node(models ...openapi.NodeResident) openapi.NodeReport {
	const gib = 1 << 30
	return openapi.NodeReport{
		Address: "gpu-01:7071", Program: "v0.9.0", TTL: 600, Models: models,
		Tiers: openapi.TierTotals{
			Disk: openapi.TierUsage{Used: 210 * gib, Budget: 900 * gib, Models: 9, FilesBytes: 24 * gib},
			RAM:  openapi.TierUsage{Used: 96 * gib, Budget: 256 * gib, Models: 3},
			GPU:  openapi.TierUsage{Used: 61 * gib, Budget: 80 * gib, Models: 2, Limit: 4},
		},
	}
}
