package upstream_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/hubtest"
	"github.com/ingot-ml/ingot/registry/internal/upstream"
	"github.com/ingot-ml/ingot/registry/name"
)

func (w *world) native() upstream.Native {
	return upstream.Native{Service: w.versions, Source: w.Source}
}

// wantCode compares the code of an error.
func wantCode(t *testing.T, err error, code openapi.Code) {
	t.Helper()
	if !errors.Is(err, &openapi.Error{Code: code}) {
		t.Errorf("%v, want %s", err, code)
	}
}

// TestNativeTag has ingot's own clients ask for a tag that is not here: the whole
// version comes, and what is of the same bytes is not fetched.
func TestNativeTag(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main", "tags/v1.0")
	w := newWorld(t, h, func(c *upstream.Config) { c.Wait = time.Minute })
	tag, err := w.native().Tag(t.Context(), alice, llama, "main")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors"}
	if r := w.wantHere("main", commit, files, all...); r != nil && r.Digest != tag.Digest {
		t.Errorf("the tag points at %s, main is %s", tag.Digest, r.Digest)
	}
	if got, err := w.native().Tag(t.Context(), alice, llama, "v1.0"); err != nil || got.Digest != tag.Digest {
		t.Errorf("v1.0 is %+v, %v", got, err)
	}
	next := model(2)
	second := h.Commit("acme/llama", next, "tags/v2.0")
	if _, err := w.native().Tag(t.Context(), alice, llama, "v2.0"); err != nil {
		t.Error(err)
	}
	w.wantHere("v2.0", second, next, all...)
	if n := h.Count("/other.safetensors"); n != 1 {
		t.Errorf("a file that has not changed was fetched %d times", n)
	}
	_, err = w.native().Tag(t.Context(), alice, llama, "none")
	wantCode(t, err, openapi.CodeNotFound)
	_, err = w.native().Tag(t.Context(), alice, name.Repo{Namespace: "acme", Name: "none"}, "main")
	wantCode(t, err, openapi.CodeNotFound)
}

// TestNativeTagWaits tells who waits too long to come back, and then has the version.
func TestNativeTagWaits(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	files := model(1)
	h.Commit("acme/llama", files, "heads/main")
	rest := make(chan struct{})
	h.Faulty(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/weights.bin") {
			<-rest
		}
		return false
	})
	w := newWorld(t, h, func(c *upstream.Config) { c.Wait = time.Millisecond })
	for range 3 {
		_, err := w.native().Tag(t.Context(), alice, llama, "main")
		wantCode(t, err, openapi.CodeUnavailable)
	}
	close(rest)
	w.settle()
	if _, err := w.native().Tag(t.Context(), alice, llama, "main"); err != nil {
		t.Error(err)
	}
	if n := h.Count("/weights.bin"); n != 1 {
		t.Errorf("a file was fetched %d times", n)
	}
}

// TestNativeTagMoves has the other hub move the branch: the version that was there
// before stands in for the next until that is whole.
func TestNativeTagMoves(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	h.Commit("acme/llama", model(1), "heads/main")
	w := newWorld(t, h, func(c *upstream.Config) { c.Wait = time.Minute })
	first, err := w.native().Tag(t.Context(), alice, llama, "main")
	if err != nil {
		t.Fatal(err)
	}
	second := h.Commit("acme/llama", model(2), "heads/main")
	rest := make(chan struct{})
	h.Faulty(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/resolve/") {
			<-rest
		}
		return false
	})
	w.again(func(c *upstream.Config) { c.Wait = time.Millisecond })
	if tag, err := w.native().Tag(t.Context(), alice, llama, "main"); err != nil || tag.Digest != first.Digest {
		t.Errorf("meanwhile it is %+v, %v", tag, err)
	}
	close(rest)
	w.settle()
	tag, err := w.native().Tag(t.Context(), alice, llama, "main")
	if r := w.wantHere("main", second, model(2), "README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors"); err != nil || r != nil && tag.Digest != r.Digest {
		t.Errorf("then it is %+v, %v", tag, err)
	}
}

// TestNativeTagOfParts finds a version of which only some is here, and has the rest
// come. When the other hub is away it is had as it is.
func TestNativeTagOfParts(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main")
	w := newWorld(t, h, func(c *upstream.Config) { c.Wait = time.Minute })
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
	w.settle()
	h.Faulty(hubtest.Status("/resolve/", http.StatusServiceUnavailable))
	if _, err := w.native().Tag(t.Context(), alice, llama, "main"); err != nil {
		t.Error(err)
	}
	w.settle()
	h.Faulty(nil)
	w.clock.pass(upstream.DefaultRest)
	if _, err := w.native().Tag(t.Context(), alice, llama, "main"); err != nil {
		t.Error(err)
	}
	w.wantHere("main", commit, files, "README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors")
	h.Commit("acme/broken", files, "heads/main")
	h.Faulty(hubtest.Status("/resolve/", http.StatusTeapot))
	_, err := w.native().Tag(t.Context(), alice, name.Repo{Namespace: "acme", Name: "broken"}, "main")
	wantCode(t, err, openapi.CodeUnavailable)
}

// TestNativeRepos lists what hubs of namespaces have, in pages.
func TestNativeRepos(t *testing.T) {
	h := hubtest.New(t)
	for _, repo := range []string{"acme/a", "acme/c", "acme/e", "other/x"} {
		h.Commit(repo, model(1), "heads/main")
	}
	w := newWorld(t, nil, func(c *upstream.Config) { c.Hubs = []upstream.Hub{{Namespace: "acme", URL: h.URL}} })
	for _, repo := range []string{"b", "c", "d"} {
		w.pushHere(name.Repo{Namespace: "acme", Name: repo}, "main")
	}
	w.pushHere(name.Repo{Namespace: "zoo", Name: "z"}, "main")
	for _, limit := range []int{1, 2, 3, 100} {
		var got []string
		for after := ""; ; {
			page, err := w.native().Repos(t.Context(), alice, "", after, limit)
			if err != nil || len(page.Repos) > limit {
				t.Fatalf("%+v, %v", page, err)
			}
			for _, r := range page.Repos {
				got = append(got, r.Name)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if want := "acme/a acme/b acme/c acme/d acme/e zoo/z"; strings.Join(got, " ") != want {
			t.Errorf("in pages of %d: %q", limit, got)
		}
	}
	page, err := w.native().Repos(t.Context(), alice, "zoo", "", 10)
	if err != nil || len(page.Repos) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}
