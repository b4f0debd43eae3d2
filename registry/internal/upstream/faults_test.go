package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/hub"

	"github.com/ingot-ml/ingot/registry/internal/hubtest"
	"github.com/ingot-ml/ingot/registry/internal/upstream"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestWrongBytes has the other hub send other bytes than it has listed: nobody gets
// the whole, nothing is kept, and once it is mended all is well.
func TestWrongBytes(t *testing.T) {
	for _, path := range []string{"weights.bin", "README.md"} {
		for what, bad := range map[string]func([]byte) []byte{
			"a bit is wrong":  func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"the last is":     func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"it is too short": func(b []byte) []byte { return b[:len(b)-1] },
		} {
			t.Run(path+" "+what, func(t *testing.T) {
				h := hubtest.New(t)
				h.Direct = true
				files := model(1)
				commit := h.Commit("acme/llama", files, "heads/main")
				right := files[path].Bytes
				h.Faulty(func(rw http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, "/resolve/") || !strings.Contains(r.URL.Path, path) {
						return false
					}
					rw.Header().Set("Content-Length", fmt.Sprint(len(right)))
					_, _ = rw.Write(bad([]byte(string(right))))
					return true
				})
				w := newWorld(t, h, func(c *upstream.Config) { c.Rest = time.Nanosecond })
				a, b, err := w.get("main", path)
				if cut := err != nil && len(b) < len(right); !cut && a.StatusCode < http.StatusInternalServerError {
					t.Errorf("it is served: %s, %d bytes, %v", a.Status, len(b), err)
				}
				if path == "README.md" && a.StatusCode < http.StatusInternalServerError {
					t.Errorf("a small file has the status %s", a.Status)
				}
				w.settle()
				if _, err := w.view.Revision(t.Context(), llama, commit); !errors.Is(err, catalog.ErrNoRepo) {
					t.Errorf("it is here: %v", err)
				}
				if _, found, err := w.ingest.Find(t.Context(), alice, llama, hubtest.SHA256(bad([]byte(string(right))))); found || err != nil {
					t.Errorf("wrong bytes are kept: %v", err)
				}
				h.Faulty(nil)
				w.clock.pass(time.Second)
				w.wantFiles("main", map[string]hubtest.File{path: files[path]})
			})
		}
	}
}

// TestWrongAnswers have a status, and nothing is kept.
func TestWrongAnswers(t *testing.T) {
	for what, c := range map[string]struct {
		fault  hubtest.Fault
		status int
	}{
		"an overload":         {hubtest.Status("/resolve/", http.StatusServiceUnavailable), http.StatusServiceUnavailable},
		"a fault":             {hubtest.Status("/revision/", http.StatusInternalServerError), http.StatusServiceUnavailable},
		"no list":             {hubtest.Status("/tree/", http.StatusBadGateway), http.StatusServiceUnavailable},
		"a refusal":           {hubtest.Status("/resolve/", http.StatusTeapot), http.StatusBadGateway},
		"another size":        {sized(7), http.StatusBadGateway},
		"another host":        {led("http://169.254.169.254/"), http.StatusBadGateway},
		"another file, there": {hubtest.Status("/resolve/", http.StatusNotFound), http.StatusUnauthorized},
	} {
		t.Run(what, func(t *testing.T) {
			h := hubtest.New(t)
			h.Commit("acme/llama", model(1), "heads/main")
			w := newWorld(t, h, nil)
			h.Faulty(c.fault)
			a, b, _ := w.get("main", "weights.bin")
			if a.StatusCode != c.status || a.Header.Get("X-Error-Message") == "" {
				t.Errorf("%s: %.200q", a.Status, b)
			}
			w.settle()
			if _, err := w.view.Revision(t.Context(), llama, "main"); !errors.Is(err, catalog.ErrNoRepo) {
				t.Errorf("it is here: %v", err)
			}
		})
	}
}

func sized(n int) hubtest.Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/resolve/") {
			return false
		}
		_, _ = w.Write(make([]byte, n))
		return true
	}
}

func led(to string) hubtest.Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/resolve/") {
			return false
		}
		http.Redirect(w, r, to, http.StatusFound)
		return true
	}
}

// TestHangs has the other hub hang: it is given up, left alone for a moment, and asked
// again after that. What is here is served all the time.
func TestHangs(t *testing.T) {
	h := hubtest.New(t)
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main")
	w := newWorld(t, h, nil)
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
	w.again(func(c *upstream.Config) { c.Client.Patience = 100 * time.Millisecond })
	h.Faulty(h.Hang("/"))
	before := h.Count("/")
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
	w.wantStatus("/acme/llama/resolve/"+commit+"/README.md", http.StatusOK, "")
	// Of what has not come nobody is told that it is not there.
	w.wantStatus("/acme/llama/resolve/main/weights.bin", http.StatusServiceUnavailable, "")
	w.wantStatus("/acme/llama/resolve/main/no-such-file", http.StatusNotFound, "EntryNotFound")
	w.wantStatus("/acme/other/resolve/main/README.md", http.StatusServiceUnavailable, "")
	if n := h.Count("/") - before; n != 1 {
		t.Errorf("a hub that hangs was asked %d times", n)
	}
	h.Faulty(nil)
	w.clock.pass(upstream.DefaultRest)
	w.wantFiles("main", files)
}

// TestStalls has it stop in the middle of a file, and go on with it at the next try.
func TestStalls(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main")
	weights := files["weights.bin"].Bytes
	h.Faulty(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "weights.bin") || r.Header.Get("Range") != "" {
			return false
		}
		rw.Header().Set("Content-Length", fmt.Sprint(len(weights)))
		_, _ = rw.Write(weights[:weightsSize/2])
		_ = http.NewResponseController(rw).Flush()
		return h.Hang("/")(rw, r)
	})
	w := newWorld(t, h, func(c *upstream.Config) { c.Client.Stall = 100 * time.Millisecond })
	w.wantFiles("main", files)
	w.settle()
	w.wantHere("main", commit, files, "README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors")
	if n := h.Count("/weights.bin"); n != 2 {
		t.Errorf("the file was asked for %d times", n)
	}
}

// TestLoop has two registries be each other's upstream, and one its own: what none has
// is not there, and each is asked once.
func TestLoop(t *testing.T) {
	var a, b *world
	ring := map[string]*int{"a": new(int), "b": new(int)}
	front := func(w **world, called string) string {
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			*ring[called]++
			(*w).Handler(hub.New(hub.Config{Source: (*w).Source})).ServeHTTP(rw, r)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	atA, atB := front(&a, "a"), front(&b, "b")
	a = newWorld(t, nil, func(c *upstream.Config) {
		c.Name, c.Hubs = "a", []upstream.Hub{{URL: atB}, {Namespace: "self", URL: atA}}
	})
	b = newWorld(t, nil, func(c *upstream.Config) { c.Name, c.Hubs = "b", []upstream.Hub{{URL: atA}} })
	a.wantStatus("/acme/llama/resolve/main/README.md", http.StatusUnauthorized, "RepoNotFound")
	if *ring["a"] != 1 || *ring["b"] != 1 {
		t.Errorf("a was asked %d times, b %d times", *ring["a"], *ring["b"])
	}
	a.wantStatus("/self/llama/resolve/main/README.md", http.StatusUnauthorized, "RepoNotFound")
	if *ring["a"] != 2 || *ring["b"] != 1 {
		t.Errorf("a was asked %d times, b %d times", *ring["a"], *ring["b"])
	}
}

// TestAnotherIngot has another registry as its upstream.
func TestAnotherIngot(t *testing.T) {
	h := hubtest.New(t)
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main", "tags/v1.0")
	far := newWorld(t, h, func(c *upstream.Config) { c.Name = "far" })
	near := newWorld(t, nil, func(c *upstream.Config) { c.Name, c.Hubs = "near", []upstream.Hub{{URL: far.url}} })
	near.wantFiles("v1.0", files)
	near.settle()
	far.settle()
	near.wantHere("main", commit, files, "README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors")
	// Nobody has to be asked for an empty file.
	far.wantHere("main", commit, files, "README.md", "sub/config.json", "weights.bin", "other.safetensors")
	// And of what the other one's people have pushed.
	gemma := name.Repo{Namespace: "acme", Name: "gemma"}
	far.pushHere(gemma, "main")
	near.wantStatus("/acme/gemma/resolve/main/mine", http.StatusOK, "")
}

// TestRegistered has a folder's hub come and go.
func TestRegistered(t *testing.T) {
	h, other := hubtest.New(t), hubtest.New(t)
	h.Direct = true
	h.Commit("acme/llama", model(1), "heads/main")
	w := newWorld(t, nil, nil)
	refused := func(err error, code openapi.Code) {
		t.Helper()
		if !errors.Is(err, &openapi.Error{Code: code}) {
			t.Errorf("%v, want %s", err, code)
		}
	}
	refused(w.Register("", openapi.Upstream{URL: h.URL, TTL: 10}), openapi.CodeBadName)
	refused(w.Register("../x", openapi.Upstream{URL: h.URL, TTL: 10}), openapi.CodeBadName)
	refused(w.Register("acme", openapi.Upstream{URL: h.URL}), openapi.CodeBadRequest)
	refused(w.Register("acme", openapi.Upstream{URL: h.URL, TTL: openapi.MaxUpstreamTTL + 1}), openapi.CodeBadRequest)
	refused(w.Register("acme", openapi.Upstream{URL: "file:///", TTL: 10}), openapi.CodeBadRequest)
	refused(w.Register("acme", openapi.Upstream{URL: "http://169.254.169.254", TTL: 10}), openapi.CodeForbidden)
	refused(w.Forget("acme"), openapi.CodeNotFound)
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusUnauthorized, "RepoNotFound")
	for range 2 {
		if err := w.Register("acme", openapi.Upstream{URL: h.URL, TTL: 10}); err != nil {
			t.Fatal(err)
		}
	}
	refused(w.Register("acme", openapi.Upstream{URL: other.URL, TTL: 10}), openapi.CodeConflict)
	// One that is gone does not stand in the way of the next.
	gone := httptest.NewServer(http.NotFoundHandler())
	if err := w.Register("gone", openapi.Upstream{URL: gone.URL, TTL: 10}); err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if err := errors.Join(w.Register("gone", openapi.Upstream{URL: other.URL, TTL: 10}), w.Forget("gone")); err != nil {
		t.Error(err)
	}
	if list := w.registered(); len(list) != 1 || list[0].URL != h.URL || !list[0].Plain || list[0].Expires == nil {
		t.Errorf("upstreams %+v", list)
	}
	models, err := w.Models(t.Context(), catalog.Query{Namespace: "acme"})
	if err != nil || len(models) != 1 {
		t.Errorf("models %v, %v", models, err)
	}
	// A plain hub's names for bytes prove nothing, and are not compared.
	h.Faulty(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/README.md") {
			return false
		}
		_, _ = io.WriteString(rw, "# A MODEL")
		return true
	})
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
	w.settle()
	w.clock.pass(10 * time.Second)
	before := h.Count("/")
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
	w.wantStatus("/acme/other/resolve/main/README.md", http.StatusUnauthorized, "RepoNotFound")
	if n := h.Count("/"); n != before || len(w.registered()) != 0 {
		t.Errorf("it was asked %d times after it was over", n-before)
	}
	if err := w.Register("acme", openapi.Upstream{URL: other.URL, TTL: 10}); err != nil {
		t.Errorf("after that: %v", err)
	}
	if err := w.Forget("acme"); err != nil {
		t.Error(err)
	}
}

// TestConfigured is not changed by whoever registers.
func TestConfigured(t *testing.T) {
	h := hubtest.New(t)
	w := newWorld(t, nil, func(c *upstream.Config) { c.Hubs = []upstream.Hub{{Namespace: "acme", URL: h.URL}} })
	for _, err := range []error{w.Register("acme", openapi.Upstream{URL: h.URL, TTL: 10}), w.Forget("acme")} {
		if !errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}) {
			t.Error(err)
		}
	}
	_, err := upstream.New(upstream.Config{Hubs: []upstream.Hub{{URL: h.URL}, {URL: h.URL}}})
	if err == nil {
		t.Error("two hubs have all namespaces")
	}
}

// TestNoRoom refuses a file for which there is no room now.
func TestNoRoom(t *testing.T) {
	h := hubtest.New(t)
	h.Commit("acme/llama", model(1), "heads/main")
	w := newWorld(t, h, nil)
	room, err := w.ingest.Spool(64<<20 - 1000)
	if err != nil {
		t.Fatal(err)
	}
	w.wantStatus("/acme/llama/resolve/main/weights.bin", http.StatusTooManyRequests, "")
	if err := room.Close(); err != nil {
		t.Fatal(err)
	}
	w.wantStatus("/acme/llama/resolve/main/weights.bin", http.StatusOK, "")
	w.settle()
	if room, err = w.ingest.Spool(64 << 20); err != nil {
		t.Errorf("room is lost: %v", err)
	} else {
		_ = room.Close()
	}
}

// TestCloses gives up what comes, and answers nobody afterwards.
func TestCloses(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	h.Commit("acme/llama", model(1), "heads/main")
	w := newWorld(t, h, nil)
	r, err := w.Revision(t.Context(), llama, "main")
	if err != nil {
		t.Fatal(err)
	}
	h.Faulty(func(rw http.ResponseWriter, r *http.Request) bool {
		rw.Header().Set("Content-Length", fmt.Sprint(weightsSize))
		rw.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(rw).Flush()
		return h.Hang("/")(rw, r)
	})
	c, err := w.Open(t.Context(), r, r.File("weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := c.Send(t.Context(), io.Discard, 0, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("a reader gets %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Open(t.Context(), r, r.File("weights.bin")); !errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) {
		t.Errorf("who comes later gets %v", err)
	}
	if room, err := w.ingest.Spool(64 << 20); err != nil {
		t.Errorf("room is lost: %v", err)
	} else {
		_ = room.Close()
	}
}

// TestEndsMeanwhile has the other hub go away between the last byte of a file and the
// question where its branches are: the one that was asked for moves all the same.
func TestEndsMeanwhile(t *testing.T) {
	h := hubtest.New(t)
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main")
	w := newWorld(t, h, nil)
	h.Faulty(hubtest.Status("/refs", http.StatusServiceUnavailable))
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
	w.settle()
	w.wantHere("main", commit, files, "README.md")
}

// TestPlainChanges has the branch of a plain hub move, which does not keep what it was
// at before.
func TestPlainChanges(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	first := h.Commit("acme/llama", model(1), "heads/main")
	w := newWorld(t, nil, nil)
	if err := w.Register("acme", openapi.Upstream{URL: h.URL, TTL: 600}); err != nil {
		t.Fatal(err)
	}
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
	h.Commit("acme/llama", model(2), "heads/main")
	h.Faulty(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, first) {
			return false
		}
		rw.Header().Set("X-Error-Code", "RevisionNotFound")
		rw.WriteHeader(http.StatusNotFound)
		return true
	})
	w.wantStatus("/acme/llama/resolve/main/sub/config.json", http.StatusNotFound, "RevisionNotFound")
	w.settle()
	w.wantStatus("/acme/llama/resolve/main/sub/config.json", http.StatusOK, "") // it has noticed
	h.Commit("acme/llama", model(3), "heads/main")
	w.clock.pass(2 * time.Second)
	w.wantFiles("main", model(3))
}

// TestUnhashed has the other hub, as another ingot may, not know the sha256 of a large
// file yet: that is asked for again, and told.
func TestUnhashed(t *testing.T) {
	h := hubtest.New(t)
	zeros := strings.Repeat("0", 40)
	commit := h.Commit("acme/llama", model(1), "heads/main")
	list := func(times int) hubtest.Fault {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/tree/") || h.Count("/tree/") > times {
				return false
			}
			_, _ = fmt.Fprintf(rw, `[{"type":"file","path":"weights.bin","size":%d,"oid":%q}]`, 1<<30, zeros)
			return true
		}
	}
	w := newWorld(t, h, nil)
	h.Faulty(list(2))
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusServiceUnavailable, "")
	w.wantStatus("/acme/llama/resolve/"+commit+"/README.md", http.StatusOK, "")
	if n := h.Count("/tree/"); n != 3 {
		t.Errorf("it was asked for the list %d times", n)
	}
}

// TestBusy asks a hub again that is busy.
func TestBusy(t *testing.T) {
	h := hubtest.New(t)
	h.Commit("acme/llama", model(1), "heads/main")
	h.Faulty(func(rw http.ResponseWriter, r *http.Request) bool {
		if h.Count(r.URL.Path) > 1 || !strings.Contains(r.URL.Path, "/api/") {
			return false
		}
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	w := newWorld(t, h, nil)
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
}
