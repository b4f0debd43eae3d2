package upstream_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/hubtest"
	"github.com/ingot-ml/ingot/registry/internal/upstream"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestPullThrough has many read a model that is not here: it is fetched once, and
// stays.
func TestPullThrough(t *testing.T) {
	h := hubtest.New(t)
	h.Token = "hf_right"
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main", "tags/v1.0", "heads/dev")
	w := newWorld(t, h, nil)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() { w.wantFiles("main", files) })
	}
	readers.Wait()
	w.settle()
	for path := range files {
		if n := h.Count("GET /acme/llama/resolve/" + commit + "/" + path); n != min(1, len(files[path].Bytes)) {
			t.Errorf("%s was fetched %d times", path, n)
		}
	}
	if n := h.Count("/revision/main"); n != 1 {
		t.Errorf("it was asked %d times where main is", n)
	}
	all := []string{"README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors"}
	for _, revision := range []string{"main", "v1.0", "dev", commit} {
		r := w.wantHere(revision, commit, files, all...)
		if r != nil && (r.Annotations[upstream.AnnotationCommit] != commit || r.Annotations["ingot.incomplete"] != "") {
			t.Errorf("%s has annotations %v", revision, r.Annotations)
		}
	}
	refs, err := w.view.Refs(t.Context(), llama)
	if err != nil || len(refs) != 3 || !refs[0].Branch || !refs[1].Branch || refs[2].Branch {
		t.Errorf("refs here %+v, %v", refs, err)
	}
	w.again(func(c *upstream.Config) { c.Offline = true })
	before := h.Count("/")
	w.wantFiles("main", files)
	w.wantFiles(commit, files)
	w.wantStatus("/acme/llama/resolve/main/other", http.StatusNotFound, "EntryNotFound")
	w.wantStatus("/acme/other/resolve/main/other", http.StatusUnauthorized, "RepoNotFound")
	if n := h.Count("/"); n != before {
		t.Errorf("offline the hub was asked %d times", n-before)
	}
}

// TestOnlyWhatIsWanted fetches single files, and tells agents that no weights are here.
func TestOnlyWhatIsWanted(t *testing.T) {
	h := hubtest.New(t)
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main")
	w := newWorld(t, h, nil)
	if a, b, _ := w.ask(http.MethodHead, "/acme/llama/resolve/main/weights.bin"); a.StatusCode != http.StatusOK || len(b) != 0 ||
		a.ContentLength != int64(len(files["weights.bin"].Bytes)) || a.Header.Get("ETag") != `"`+hubtest.SHA256(files["weights.bin"].Bytes)+`"` || a.Header.Get("X-Repo-Commit") != commit {
		t.Errorf("HEAD: %s, %v", a.Status, a.Header)
	}
	if _, b, err := w.ask(http.MethodGet, "/api/models/acme/llama/tree/main?recursive=true"); err != nil || strings.Count(string(b), `"type":"file"`) != len(files) {
		t.Errorf("tree: %s, %v", b, err)
	}
	if n := h.Count("/resolve/"); n != 0 {
		t.Errorf("files were fetched %d times that nobody has read", n)
	}
	if _, b, err := w.get("main", "README.md"); err != nil || !bytes.Equal(b, files["README.md"].Bytes) {
		t.Errorf("%q, %v", b, err)
	}
	w.settle()
	if r := w.wantHere("main", commit, files, "README.md"); r != nil && !strings.Contains(r.Annotations["ingot.incomplete"], "2 files of weights") {
		t.Errorf("without weights: %v", r.Annotations)
	}
	if _, b, err := w.get(commit, "other.safetensors"); err != nil || !bytes.Equal(b, files["other.safetensors"].Bytes) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	w.settle()
	if r := w.wantHere("main", commit, files, "README.md", "other.safetensors"); r != nil && r.Annotations["ingot.incomplete"] != "" {
		t.Errorf("with weights: %v", r.Annotations)
	}
}

// TestServedWhileItComes reads the first half of a file whose second half has not come.
func TestServedWhileItComes(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	files := model(1)
	h.Commit("acme/llama", files, "heads/main")
	weights := files["weights.bin"].Bytes
	half, rest := len(weights)/2, make(chan struct{})
	h.Faulty(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "weights.bin") {
			return false
		}
		rw.Header().Set("Content-Length", strconv.Itoa(weightsSize))
		_, _ = rw.Write(weights[:half])
		_ = http.NewResponseController(rw).Flush()
		<-rest
		_, _ = rw.Write(weights[half:])
		return true
	})
	w := newWorld(t, h, nil)
	r, err := http.Get(w.url + "/acme/llama/resolve/main/weights.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	got := make([]byte, half)
	if _, err := io.ReadFull(r.Body, got); err != nil {
		t.Fatal(err)
	}
	close(rest)
	more, err := io.ReadAll(r.Body)
	if err != nil || !bytes.Equal(append(got, more...), weights) {
		t.Errorf("%d more bytes, %v", len(more), err)
	}
}

// TestReaderGoes has the only reader go away in the middle: the file comes all the
// same.
func TestReaderGoes(t *testing.T) {
	h := hubtest.New(t)
	files := model(1)
	commit := h.Commit("acme/llama", files, "heads/main")
	w := newWorld(t, h, nil)
	r, err := w.Revision(t.Context(), llama, "main")
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	c, err := w.Open(ctx, r, r.File("weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	leave()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	w.settle()
	w.wantHere("main", commit, files, "weights.bin")
}

// TestMoves has the other hub move a branch: it is noticed after a while or when asked
// for, and what has not changed is not fetched again.
func TestMoves(t *testing.T) {
	h := hubtest.New(t)
	h.Direct = true
	first, second := model(1), model(2)
	one := h.Commit("acme/llama", first, "heads/main")
	w := newWorld(t, h, nil)
	w.wantFiles("main", first)
	w.settle()
	two := h.Commit("acme/llama", second, "heads/main")
	at := func(header ...string) string {
		a, _, _ := w.ask(http.MethodHead, "/acme/llama/resolve/main/README.md", header...)
		return a.Header.Get("X-Repo-Commit")
	}
	if got := at(); got != one {
		t.Errorf("at once main is at %s", got)
	}
	if got := at("Cache-Control", "no-cache"); got != two {
		t.Errorf("asked for, main is at %s", got)
	}
	three := h.Commit("acme/llama", second, "heads/main")
	w.clock.pass(upstream.DefaultRefresh - time.Second)
	if got := at(); got != two {
		t.Errorf("before long main is at %s", got)
	}
	w.clock.pass(time.Second)
	if got := at(); got != three {
		t.Errorf("after a while main is at %s", got)
	}
	w.wantHere("main", one, first, "README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors")
	w.wantFiles("main", second)
	w.settle()
	w.wantHere("main", three, second, "README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors")
	w.wantHere(one, one, first, "README.md", "sub/config.json", "empty", "weights.bin", "other.safetensors")
	if n := h.Count("/other.safetensors"); n != 1 {
		t.Errorf("a file that has not changed was fetched %d times", n)
	}
}

// TestOwn leaves alone what people here have pushed.
func TestOwn(t *testing.T) {
	h := hubtest.New(t)
	h.Commit("acme/llama", model(1), "heads/main", "tags/v1.0")
	w := newWorld(t, h, nil)
	w.pushHere(llama, "main")
	w.wantStatus("/acme/llama/resolve/main/mine", http.StatusOK, "")
	w.wantStatus("/acme/llama/resolve/v1.0/README.md", http.StatusNotFound, "RevisionNotFound")
	w.wantStatus("/api/models/acme/llama/refs", http.StatusOK, "")
	w.wantStatus("/api/models/acme/llama/commits/main", http.StatusOK, "")
	if n := h.Count("/"); n != 0 {
		t.Errorf("the other hub was asked %d times", n)
	}
	// A branch that people here push to a model of the other hub becomes theirs.
	gemma := name.Repo{Namespace: "acme", Name: "gemma"}
	h.Commit("acme/gemma", model(1), "heads/main", "heads/dev")
	w.wantStatus("/acme/gemma/resolve/main/README.md", http.StatusOK, "")
	w.settle()
	if err := w.versions.DeleteTag(t.Context(), alice, gemma, "dev", ""); err != nil {
		t.Fatal(err)
	}
	w.pushHere(gemma, "dev")
	w.wantStatus("/acme/gemma/resolve/dev/mine", http.StatusOK, "")
	h.Commit("acme/gemma", model(2), "heads/main", "heads/dev")
	w.clock.pass(upstream.DefaultRefresh)
	w.wantStatus("/acme/gemma/resolve/main/weights.bin", http.StatusOK, "")
	w.settle()
	w.wantStatus("/acme/gemma/resolve/dev/mine", http.StatusOK, "")
}

// TestNamespaces asks the hub of a namespace, and no other.
func TestNamespaces(t *testing.T) {
	all, acme := hubtest.New(t), hubtest.New(t)
	all.Commit("other/model", model(1), "heads/main")
	all.Commit("acme/only-there", model(1), "heads/main")
	acme.Commit("acme/llama", model(2), "heads/main")
	w := newWorld(t, nil, func(c *upstream.Config) {
		c.Hubs = []upstream.Hub{{URL: all.URL}, {Namespace: "acme", URL: acme.URL}}
	})
	w.wantStatus("/acme/llama/resolve/main/README.md", http.StatusOK, "")
	w.wantStatus("/other/model/resolve/main/README.md", http.StatusOK, "")
	w.wantStatus("/acme/only-there/resolve/main/README.md", http.StatusUnauthorized, "RepoNotFound")
	if n := all.Count("/acme/"); n != 0 {
		t.Errorf("another hub was asked %d times", n)
	}
	w.settle()
	models, err := w.Models(t.Context(), catalog.Query{})
	if err != nil || len(models) != 2 || models[0].Repo != llama || models[1].Repo.String() != "other/model" {
		t.Errorf("models %v, %v", models, err)
	}
}

// TestAbsent says what is not there, and what is gated, as the hub does.
func TestAbsent(t *testing.T) {
	h := hubtest.New(t)
	h.Commit("acme/llama", model(1), "heads/main")
	w := newWorld(t, h, nil)
	w.wantStatus("/acme/llama/resolve/main/other", http.StatusNotFound, "EntryNotFound")
	w.wantStatus("/acme/llama/resolve/other/README.md", http.StatusNotFound, "RevisionNotFound")
	w.wantStatus("/acme/llama/resolve/"+strings.Repeat("0", 40)+"/README.md", http.StatusNotFound, "RevisionNotFound")
	w.wantStatus("/acme/other/resolve/main/README.md", http.StatusUnauthorized, "RepoNotFound")
	before := h.Count("/")
	w.wantStatus("/acme/other/resolve/main/README.md", http.StatusUnauthorized, "RepoNotFound")
	if n := h.Count("/"); n != before {
		t.Errorf("it was asked %d times for what it has just said is not there", n-before)
	}
	h.Faulty(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set("X-Error-Code", "GatedRepo")
		rw.WriteHeader(http.StatusForbidden)
		return true
	})
	w.wantStatus("/acme/gated/resolve/main/README.md", http.StatusUnauthorized, "GatedRepo")
}

// TestRefsAndHistory lists what the other hub has.
func TestRefsAndHistory(t *testing.T) {
	h := hubtest.New(t)
	commit := h.Commit("acme/llama", model(1), "heads/main", "tags/v1.0")
	w := newWorld(t, h, nil)
	refs, err := w.Refs(t.Context(), llama)
	if err != nil || len(refs) != 2 || refs[0].Commit != commit || refs[1].Branch {
		t.Errorf("refs %+v, %v", refs, err)
	}
	list, err := w.History(t.Context(), llama, "main", 10)
	if err != nil || len(list) != 1 || list[0].Commit != commit {
		t.Errorf("history %+v, %v", list, err)
	}
}
