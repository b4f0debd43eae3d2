package hubclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/internal/hubtest"
	"github.com/ingot-ml/ingot/registry/name"
)

var llama = name.Repo{Namespace: "acme", Name: "llama"}

func client(t *testing.T, h *hubtest.Hub, hosts ...string) *hubclient.Client {
	t.Helper()
	return patient(t, h, time.Minute, hosts...)
}

func patient(t *testing.T, h *hubtest.Hub, patience time.Duration, hosts ...string) *hubclient.Client {
	t.Helper()
	c, err := hubclient.New(hubclient.Config{
		URL: h.URL, Token: h.Token, Hosts: hosts, Name: "here", Patience: patience, Stall: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func hostOf(address string) string {
	u, _ := url.Parse(address)
	return u.Host
}

var some = map[string]hubtest.File{
	"config.json":       {Bytes: []byte("{}")},
	"sub/model.gguf":    {Bytes: bytes.Repeat([]byte("weights"), 1000), LFS: true},
	"with space é.json": {Bytes: []byte("[]")},
}

// TestReads reads everything from a hub that behaves.
func TestReads(t *testing.T) {
	h := hubtest.New(t)
	h.Token, h.Page = "hf_secret", 2
	first := h.Commit("acme/llama", some, "tags/v1.0")
	commit := h.Commit("acme/llama", some, "heads/main", "heads/feature/x")
	c := client(t, h, hostOf(h.CDN))
	ctx := t.Context()
	for revision, want := range map[string]string{"main": commit, "v1.0": first, "feature/x": commit, first: first} {
		if head, err := c.Head(ctx, llama, revision); err != nil || head.Commit != want || head.Created.IsZero() {
			t.Errorf("%s is at %+v, %v", revision, head, err)
		}
	}
	files, odd, err := c.Files(ctx, llama, commit)
	if err != nil || len(files) != 3 || len(odd) != 0 || h.Count("/tree/") != 2 {
		t.Fatalf("files %+v, odd %q, %v, in %d pages", files, odd, err, h.Count("/tree/"))
	}
	for _, f := range files {
		want := some[f.Path].Bytes
		got, err := read(ctx, c, commit, f, 0, f.Size)
		if err != nil || !bytes.Equal(got, want) || (f.SHA256 == "") == some[f.Path].LFS || (f.GitSHA1 == "") != some[f.Path].LFS {
			t.Errorf("%+v is read as %d bytes, %v", f, len(got), err)
		}
		if got, err := read(ctx, c, commit, f, 1, 2); err != nil || !bytes.Equal(got, want[1:2]) {
			t.Errorf("a part of %s is read as %q, %v", f.Path, got, err)
		}
	}
	refs, err := c.Refs(ctx, llama)
	if want := []catalog.Ref{{Name: "main", Branch: true, Commit: commit}, {Name: "v1.0", Commit: first}}; err != nil || fmt.Sprint(refs) != fmt.Sprint(want) {
		t.Errorf("refs %v, %v", refs, err)
	}
	if list, err := c.History(ctx, llama, "main", 10); err != nil || len(list) != 1 || list[0].Commit != commit || list[0].By != "somebody" {
		t.Errorf("history %v, %v", list, err)
	}
	if list, err := c.Models(ctx, catalog.Query{Namespace: "acme", Limit: 10}); err != nil || len(list) != 1 || list[0].Repo != llama || list[0].Commit != commit {
		t.Errorf("models %v, %v", list, err)
	}
}

func read(ctx context.Context, c *hubclient.Client, commit string, f hubclient.File, offset, end int64) ([]byte, error) {
	b, err := c.Open(ctx, llama, commit, f, offset, end)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.Offset != offset {
		return nil, fmt.Errorf("it begins at %d", b.Offset)
	}
	return io.ReadAll(b)
}

// TestAbsent tells what is not there, and who is refused.
func TestAbsent(t *testing.T) {
	h := hubtest.New(t)
	commit := h.Commit("acme/llama", some, "heads/main")
	c := client(t, h)
	_, err := c.Head(t.Context(), name.Repo{Namespace: "acme", Name: "other"}, "main")
	wants(t, "repository", err, catalog.ErrNoRepo)
	_, err = c.Head(t.Context(), llama, "other")
	wants(t, "revision", err, catalog.ErrNoRevision)
	_, err = c.Open(t.Context(), llama, commit, hubclient.File{Path: "other", Size: 1}, 0, 1)
	wants(t, "file", err, catalog.ErrNoFile)
	h.Faulty(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Error-Code", "GatedRepo")
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	_, err = c.Head(t.Context(), llama, "main")
	wants(t, "gated", err, catalog.ErrGated)
	h.Faulty(nil)
	h.Token = "hf_right"
	wrong, err := hubclient.New(hubclient.Config{URL: h.URL, Token: "hf_wrong"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Head(t.Context(), llama, "main")
	wants(t, "token", err, hubclient.ErrRefused)
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hf_")) {
		t.Errorf("%s: the error tells a secret: %v", what, err)
	}
}

// TestLies has a hub say what cannot be right.
func TestLies(t *testing.T) {
	zeros := strings.Repeat("0", 40)
	for what, fault := range map[string]hubtest.Fault{
		"no json":        answer("/revision/", "<html>"),
		"no commit":      answer("/revision/", `{"sha": "main"}`),
		"other commit":   answer("/revision/", `{"sha": "`+zeros+`"}`),
		"a long answer":  answer("/revision/", strings.Repeat(" ", 33<<20)),
		"negative size":  answer("/tree/", `[{"type":"file","path":"a","size":-1,"oid":"`+zeros+`"}]`),
		"no hash":        answer("/tree/", `[{"type":"file","path":"a","size":1,"oid":"x"}]`),
		"two sizes":      answer("/tree/", `[{"type":"file","path":"a","size":1,"lfs":{"oid":"`+zeros+zeros[:24]+`","size":2}}]`),
		"a short sha256": answer("/tree/", `[{"type":"file","path":"a","size":1,"lfs":{"oid":"`+zeros+`","size":1}}]`),
		"a file twice":   answer("/tree/", `[{"type":"file","path":"a","size":1,"oid":"`+zeros+`"},{"type":"file","path":"a","size":1,"oid":"`+zeros+`"}]`),
		"endless pages":  endless,
		"next elsewhere": linked("http://elsewhere.example/tree?cursor=1"),
		"redirects": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path+"/x", http.StatusFound)
			return true
		},
		"led elsewhere": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
			return true
		},
		"led to a file": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
			return true
		},
		"led nowhere": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusFound); return true },
	} {
		t.Run(what, func(t *testing.T) {
			h := hubtest.New(t)
			commit := h.Commit("acme/llama", some, "heads/main")
			c := client(t, h)
			h.Faulty(fault)
			_, err := c.Head(t.Context(), llama, commit)
			if err == nil {
				_, _, err = c.Files(t.Context(), llama, commit)
			}
			wants(t, what, err, hubclient.ErrWrong)
		})
	}
}

func answer(path, body string) hubtest.Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, path) {
			return false
		}
		_, _ = io.WriteString(w, body)
		return true
	}
}

func linked(next string) hubtest.Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/tree/") {
			return false
		}
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
		_, _ = io.WriteString(w, "[]")
		return true
	}
}

func endless(w http.ResponseWriter, r *http.Request) bool {
	n := len(r.URL.Query().Get("n"))
	return linked("?n="+strings.Repeat("1", n%50+1))(w, r)
}

// TestBodiesThatLie has a hub send another file than it has listed.
func TestBodiesThatLie(t *testing.T) {
	weights := some["sub/model.gguf"].Bytes
	f := hubclient.File{Path: "sub/model.gguf", Size: int64(len(weights)), SHA256: hubtest.SHA256(weights)}
	for what, c := range map[string]struct {
		fault hubtest.Fault
		want  error
	}{
		"another length":  {header("Content-Length", "3"), hubclient.ErrWrong},
		"another size":    {header("X-Linked-Size", "3"), hubclient.ErrWrong},
		"no size":         {header("X-Linked-Size", "many"), hubclient.ErrWrong},
		"another sha256":  {header("X-Linked-Etag", `"`+strings.Repeat("0", 64)+`"`), hubclient.ErrWrong},
		"another commit":  {header("X-Repo-Commit", strings.Repeat("0", 40)), hubclient.ErrWrong},
		"another part":    {part("bytes 0-0/1"), hubclient.ErrWrong},
		"less than said":  {header("Content-Length", "7000"), hubclient.ErrAway},
		"it is overrun":   {hubtest.Status("/resolve/", http.StatusTooManyRequests), hubclient.ErrAway},
		"it has a fault":  {hubtest.Status("/resolve/", http.StatusBadGateway), hubclient.ErrAway},
		"it wants a part": {hubtest.Status("/resolve/", http.StatusRequestedRangeNotSatisfiable), hubclient.ErrWrong},
	} {
		t.Run(what, func(t *testing.T) {
			h := hubtest.New(t)
			commit := h.Commit("acme/llama", some, "heads/main")
			h.Faulty(c.fault)
			_, err := read(t.Context(), client(t, h), commit, f, 0, f.Size)
			wants(t, what, err, c.want)
		})
	}
}

// header answers by a file that ends too early, under a header.
func header(key, value string) hubtest.Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/resolve/") {
			return false
		}
		w.Header().Set(key, value)
		_, _ = io.WriteString(w, "few")
		return true
	}
}

func part(span string) hubtest.Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Range", span)
		w.WriteHeader(http.StatusPartialContent)
		return true
	}
}

// TestHangs has a hub that never answers, and one that stops in the middle.
func TestHangs(t *testing.T) {
	h := hubtest.New(t)
	commit := h.Commit("acme/llama", some, "heads/main")
	c := patient(t, h, 200*time.Millisecond)
	h.Faulty(h.Hang("/"))
	_, err := c.Head(t.Context(), llama, "main")
	wants(t, "head", err, hubclient.ErrAway)
	f := hubclient.File{Path: "config.json", Size: 2, GitSHA1: hubtest.GitSHA1([]byte("{}"))}
	_, err = read(t.Context(), c, commit, f, 0, 2)
	wants(t, "file", err, hubclient.ErrAway)
	h.Faulty(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		return h.Hang("/")(w, r)
	})
	got, err := read(t.Context(), c, commit, f, 0, 2)
	wants(t, "half a file", err, hubclient.ErrAway)
	if string(got) != "{" {
		t.Errorf("before it stopped came %q", got)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err = c.Head(gone, llama, "main")
	wants(t, "a caller that has gone", err, context.Canceled)
}

// TestTokenStays looks at what goes to another host that is allowed.
func TestTokenStays(t *testing.T) {
	h := hubtest.New(t)
	h.Token = "hf_right"
	commit := h.Commit("acme/llama", some, "heads/main")
	weights := some["sub/model.gguf"].Bytes
	f := hubclient.File{Path: "sub/model.gguf", Size: int64(len(weights)), SHA256: hubtest.SHA256(weights)}
	_, err := read(t.Context(), client(t, h), commit, f, 0, f.Size)
	wants(t, "a host that is not allowed", err, hubclient.ErrWrong)
	if h.Count("/llama/"+commit) != 0 {
		t.Error("a host was asked that is not allowed")
	}
	if got, err := read(t.Context(), client(t, h, hostOf(h.CDN)), commit, f, 0, f.Size); err != nil || !bytes.Equal(got, weights) {
		t.Errorf("%d bytes, %v", len(got), err) // it refuses a token
	}
}

// TestAllowed reads lists of hosts.
func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		hosts, address string
		want           bool
	}{
		{"", "https://hub.example/x", false},
		{"hub.example", "https://hub.example/x", true},
		{"hub.example", "https://hub.example:443/x", true},
		{"hub.example", "https://hub.example:8443/x", false},
		{"hub.example:8443", "https://hub.example:8443/x", true},
		{"hub.example", "https://evil-hub.example/x", false},
		{"*.hub.example", "https://cdn.hub.example/x", true},
		{"*.hub.example", "https://evilhub.example/x", false},
		{"*.hub.example", "https://hub.example.evil/x", false},
		{"a,127.0.0.1:80", "http://127.0.0.1/x", true},
	} {
		u, err := url.Parse(c.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := hubclient.Allowed(strings.Split(c.hosts, ","), u); got != c.want {
			t.Errorf("%q allows %s: %v", c.hosts, c.address, got)
		}
	}
}

// TestVia tells a request that has been here.
func TestVia(t *testing.T) {
	h := hubtest.New(t)
	h.Commit("acme/llama", some, "heads/main")
	var via string
	h.Faulty(func(_ http.ResponseWriter, r *http.Request) bool { via = r.Header.Get("Via"); return false })
	c := client(t, h)
	for _, s := range []struct {
		via  []string
		want bool
		next string
	}{
		{nil, true, "1.1 here"},
		{[]string{"1.1 proxy (software)"}, true, "1.1 proxy (software), 1.1 here"},
		{[]string{"1.1 proxy, HTTP/1.1 here (ingot)"}, false, "1.1 proxy, HTTP/1.1 here (ingot), 1.1 here"},
		{[]string{"1.1 a", "1.1 here"}, false, "1.1 a, 1.1 here, 1.1 here"},
		{[]string{strings.Repeat("1.1 a,", 9)}, false, "1.1 here"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Via"] = s.via
		ctx, ok := hubclient.WithPassed(t.Context(), r, "here")
		if _, err := c.Head(ctx, llama, "main"); err != nil || ok != s.want || via != s.next {
			t.Errorf("%q: %v, told on as %q, %v", s.via, ok, via, err)
		}
	}
}

// TestAddresses refuses what is no address of a hub.
func TestAddresses(t *testing.T) {
	for _, text := range []string{"", "hub.example", "ftp://hub.example", "http://", "http://u:p@hub.example", "https://hub.example?x=1", "http://hub.example#x", "://"} {
		_, err := hubclient.New(hubclient.Config{URL: text})
		wants(t, text, err, hubclient.ErrAddress)
	}
}

// FuzzListing has a hub answer anything, of which nothing may come that cannot be.
func FuzzListing(f *testing.F) {
	f.Add(`[{"type":"file","path":"a/b.json","size":1,"oid":"`+strings.Repeat("0", 40)+`"}]`, "")
	f.Add(`[{"type":"file","path":"../b","size":9223372036854775807,"lfs":{"oid":"`+strings.Repeat("a", 64)+`","size":9223372036854775807}}]`, `<?n=1>; rel="next"`)
	f.Add(`[{"type":"file"},null,{}]`, `<`)
	f.Add(`{"branches":[{"name":"main","targetCommit":"`+strings.Repeat("0", 40)+`"}]}`, `<//x>; rel="next"`)
	f.Fuzz(func(t *testing.T, body, link string) {
		c, err := hubclient.New(hubclient.Config{URL: "http://hub.example", Transport: canned{body, link}})
		if err != nil {
			t.Fatal(err)
		}
		files, _, err := c.Files(t.Context(), llama, strings.Repeat("0", 40))
		for _, f := range files {
			if err == nil && (f.Size < 0 || strings.Contains(f.Path, "..") && strings.HasPrefix(f.Path, ".") || len(f.SHA256) != 64 && len(f.GitSHA1) != 40) {
				t.Errorf("it lists %+v", f)
			}
		}
		refs, _ := c.Refs(t.Context(), llama)
		for _, r := range refs {
			if !hubclient.IsCommit(r.Commit) || name.CheckTag(r.Name) != nil {
				t.Errorf("it has ref %+v", r)
			}
		}
		_, _ = c.Models(t.Context(), catalog.Query{Namespace: "acme", Limit: 10})
		_, _ = c.History(t.Context(), llama, "main", 10)
	})
}

// canned is a hub that always gives one answer, and after a page nothing more.
type canned struct{ body, link string }

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if r.URL.Query().Get("recursive") != "" {
		rec.Header()["Link"] = []string{c.link}
	}
	_, _ = rec.WriteString(c.body)
	a := rec.Result()
	a.Request = r
	return a, nil
}
