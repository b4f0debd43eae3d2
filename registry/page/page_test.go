package page

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// small is a page of few files.
func small(t *testing.T) *Page {
	t.Helper()
	p, err := open(fstest.MapFS{
		"index.html": {Data: []byte(`<link href="{{.Assets}}a.css">{{range .Modules}}<m href="{{.}}">{{end}}{{range .Data}}<d href="{{.}}">{{end}}<r href="{{.Root}}">`)},
		"a.css":      {Data: []byte("body{}")},
		"app.js":     {Data: []byte(strings.Repeat("export const x = 1;\n", 100))},
		"views/v.js": {Data: []byte("export {}")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const digest = "8b1a9953c4611296a827abf8c47804d7e9f7a5c1d9dd1a9e0f0a4b8a7a3b2c1d"

// TestIndex looks at what a browser is told to fetch at once, by address.
func TestIndex(t *testing.T) {
	p := small(t)
	who := "v1/whoami"
	for path, want := range map[string]struct {
		root string
		data []string
	}{
		"/":                   {"./", []string{"v1/summary?limit=1000", who}},
		"/ui":                 {"./", []string{"v1/summary?limit=1000", who}},
		"/ui/":                {"../", []string{"v1/summary?limit=1000", who}},
		"/ui/acme":            {"../", []string{"v1/summary?limit=1000", who}},
		"/ui/acme/llama":      {"../../", []string{"v1/repos/acme/llama/summary?limit=100", who}},
		"/ui/acme/llama/main": {"../../../", []string{"v1/repos/acme/llama/summary?limit=100", who}},
		"/ui/acme/llama/" + digest: {"../../../", []string{
			"v1/repos/acme/llama/versions/" + digest + "/map", "v1/repos/acme/llama/summary?limit=100", who,
		}},
		"/ui/acme/llama/" + digest + "/map?against=acme/base:v1&against=%22%3E%3Cscript%3E": {"../../../../", []string{
			"v1/repos/acme/llama/versions/" + digest + "/map?against=acme%2Fbase%3Av1", "v1/repos/acme/llama/summary?limit=100", who,
		}},
		"/ui/-/storage":                {"../../", []string{"v1/summary?limit=1000", "v1/stats", who}},
		"/ui/-/nodes":                  {"../../", []string{"v1/nodes", who}},
		"/ui/-/diff?a=acme/a&b=acme/b": {"../../", []string{"v1/diff?a=acme%2Fa&b=acme%2Fb", who}},
		"/ui/-/diff?a=acme/a&b=%22":    {"../../", []string{who}},
		"/ui/-/nothing":                {"../../", []string{who}},
		"/ui/..%2F..%2Fx/y":            {"../../", []string{who}},
		"/ui/a%22b/%3Cscript%3E":       {"../../", []string{who}},
	} {
		resp := ask(p, "GET", path)
		got := text(t, resp)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: status %d, %v", path, resp.StatusCode, resp.Header)
		}
		assets := want.root + "ui/-/" + p.build + "/"
		expect := `<link href="` + assets + `a.css"><m href="` + assets + `app.js"><m href="` + assets + `views/v.js">`
		for _, d := range want.data {
			expect += `<d href="` + want.root + strings.ReplaceAll(d, "&", "&amp;") + `">`
		}
		if expect += `<r href="` + want.root + `">`; got != expect {
			t.Errorf("%s:\ngot  %s\nwant %s", path, got, expect)
		}
	}
}

func TestHeaders(t *testing.T) {
	p := small(t)
	for _, path := range []string{"/ui/acme/llama", "/ui/-/" + p.build + "/app.js", "/ui/-/x/nothing"} {
		h := ask(p, "GET", path).Header
		csp := h.Get("Content-Security-Policy")
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") ||
			!strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %v", path, h)
		}
	}
	if h := ask(p, "GET", "/ui/").Header; h.Get("Cache-Control") != "no-cache" || h.Get("ETag") == "" {
		t.Errorf("the page: %v", h)
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if resp := ask(p, method, "/ui/acme"); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d", method, resp.StatusCode)
		}
	}
}

// TestFiles sends files plain, packed, and not at all to who has them.
func TestFiles(t *testing.T) {
	p := small(t)
	at := "/ui/-/" + p.build + "/app.js"
	plain := ask(p, "GET", at)
	want := text(t, plain)
	if plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Accept-Encoding" ||
		plain.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || plain.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("plain: %v", plain.Header)
	}
	packed := ask(p, "GET", at, "Accept-Encoding", "br, gzip")
	z, err := gzip.NewReader(packed.Body)
	if err != nil || packed.Header.Get("Content-Encoding") != "gzip" || packed.ContentLength >= int64(len(want)) {
		t.Fatalf("packed: %v, %v", packed.Header, err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != want {
		t.Errorf("unpacked: %d bytes, %v", len(got), err)
	}
	same := ask(p, "GET", at, "If-None-Match", plain.Header.Get("ETag"))
	if same.StatusCode != http.StatusNotModified || text(t, same) != "" {
		t.Errorf("what the caller has: status %d", same.StatusCode)
	}
	// A replica of another release is asked for what it has by another address.
	if other := ask(p, "GET", "/ui/-/0123456789abcdef/app.js"); other.Header.Get("Cache-Control") != "no-store" || text(t, other) != want {
		t.Errorf("by another program's address: %v", other.Header)
	}
	for _, bad := range []string{"/nothing.js", "/", "/views", "/../app.js", "/%2e%2e/index.html", "/index.html", "/views/../app.js"} {
		if resp := ask(p, "GET", "/ui/-/"+p.build+bad); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", bad, resp.StatusCode)
		}
	}
}

func TestOwns(t *testing.T) {
	for path, want := range map[string]bool{"/ui": true, "/ui/": true, "/ui/acme/llama": true, "/uint": false, "/": false, "/acme/ui": false} {
		if Owns(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

func TestLeads(t *testing.T) {
	for path, want := range map[string]string{
		"/acme/llama":                      "../ui/acme/llama",
		"/acme/llama/":                     "../../ui/acme/llama",
		"/acme/llama/tree/main":            "../../../ui/acme/llama/main",
		"/acme/llama/blob/v1/config.json":  "../../../../ui/acme/llama/v1",
		"/acme/llama/tree/" + digest:       "../../../ui/acme/llama/" + digest,
		"/acme/llama/tree/" + digest[:40]:  "../../../ui/acme/llama",
		"/acme":                            "",
		"/acme/llama/settings":             "",
		"/acme/llama/discussions/1":        "",
		"/v1/repos":                        "",
		"/v2/x":                            "",
		"/api/models":                      "",
		"/acme/.llama":                     "",
		"/acme/llama.git":                  "",
		"//evil.example/x":                 "",
		"/acme/%2e%2e":                     "",
		"/acme/llama/tree/%22%3E%3Cscript": "../../../ui/acme/llama",
	} {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := Leads(u); got != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestBuild gives other files another address, and refuses those that are no page.
func TestBuild(t *testing.T) {
	index := &fstest.MapFile{Data: []byte("x")}
	one, err := open(fstest.MapFS{"index.html": index, "a.js": {Data: []byte("1")}})
	if err != nil {
		t.Fatal(err)
	}
	two, err := open(fstest.MapFS{"index.html": index, "a.js": {Data: []byte("2")}})
	if err != nil || one.build == two.build || len(one.build) != 16 {
		t.Errorf("addresses %q and %q, %v", one.build, two.build, err)
	}
	for what, files := range map[string]fstest.MapFS{
		"no index":      {"a.js": {Data: []byte("1")}},
		"odd file":      {"index.html": index, "a.exe": {Data: []byte("1")}},
		"odd template":  {"index.html": {Data: []byte("{{")}},
		"without a dot": {"index.html": index, "LICENSE": {Data: []byte("1")}},
	} {
		if _, err := open(files); err == nil {
			t.Errorf("%s is a page", what)
		}
	}
}

var (
	inline    = regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\son[a-z]+=|\sstyle=|javascript:`)
	elsewhere = regexp.MustCompile(`(?i)["'(](?:https?:)?//[a-z]`)
	imported  = regexp.MustCompile(`(?m)^(?:import|export)\b[^"';]*from\s+"([^"]+)"|\bimport\("([^"]+)"\)|^import "([^"]+)"`)
	dangerous = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`)
)

// TestEmbedded holds the real files to the laws of the page: nothing runs that is no file
// of it, nothing comes from elsewhere, and every script that is asked for is there.
func TestEmbedded(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	html := text(t, ask(p, "GET", "/ui/acme/llama"))
	if bad := inline.FindString(html); bad != "" {
		t.Errorf("the HTML has %q, which its policy has browsers refuse", bad)
	}
	if !strings.Contains(html, "<noscript>") {
		t.Error("the HTML says nothing where no scripts run")
	}
	total := len(html)
	for name, f := range p.files {
		b := f.plain
		if f.packed != nil {
			b = f.packed
		}
		total += len(b)
		if bad := elsewhere.Find(f.plain); bad != nil && !strings.Contains(string(f.plain), "http://www.w3.org/") {
			t.Errorf("%s comes from elsewhere: %s", name, bad)
		}
		if !strings.HasSuffix(name, ".js") {
			continue
		}
		if bad := dangerous.Find(f.plain); bad != nil {
			t.Errorf("%s has %s, which makes of a name what runs", name, bad)
		}
		for _, m := range imported.FindAllSubmatch(f.plain, -1) {
			ref := string(m[1]) + string(m[2]) + string(m[3])
			to, err := url.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			if to, err = to.Parse(ref); err != nil || !slices.Contains(p.modules, strings.TrimPrefix(to.Path, "/")) {
				t.Errorf("%s asks for %q, which is not there", name, ref)
			}
		}
	}
	// What is left of 200 KB is for the data of the first view.
	if most := 120_000; total > most {
		t.Errorf("the page has %d bytes, want at most %d", total, most)
	}
	t.Logf("%d files, %d bytes packed", len(p.files), total)
	if _, err := fs.Stat(embedded, "files/index.html"); err != nil {
		t.Error(err)
	}
}

// FuzzPaths has the page answer any address without a failure of its own.
func FuzzPaths(f *testing.F) {
	p, err := open(fstest.MapFS{"index.html": {Data: []byte(`{{.Root}}{{range .Data}}<a href="{{.}}">{{end}}`)}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"/ui/a/b/c?against=x", "/ui/-/x/y", "/a/b", "/ui/%00", "/ui//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Skip()
		}
		if to, ok := Leads(u); ok && (strings.HasPrefix(to, "/") || strings.Contains(to, ":") || strings.ContainsAny(to, "\r\n\"<>")) {
			t.Errorf("%q leads to %q", path, to)
		}
		r := &http.Request{Method: "GET", URL: u, Header: http.Header{}}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
			t.Errorf("%q: status %d", path, w.Code)
		}
		if body := w.Body.String(); w.Code == http.StatusOK && strings.ContainsAny(strings.NewReplacer("<a href=\"", "", "\">", "").Replace(body), "<>\"'") {
			t.Errorf("%q: %s", path, body)
		}
	})
}
