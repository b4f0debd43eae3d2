package registry_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
)

// What nobody but the first tenant and the registry's own people may see.
const (
	secretFile = "canary-of-acme.txt"
	secretText = "what acme has learnt"
)

// front is a registry that wants tokens, and what has been put there.
type front struct {
	handler http.Handler
	admin   string // a token
	other   string // a token of another tenant, who may do everything in its own namespace
}

// ask makes a request, and returns the answer; nil is one that was cut off. Streams go on
// for so long.
func (h *front) ask(r *http.Request, long time.Duration) (w *httptest.ResponseRecorder) {
	ctx, cancel := context.WithTimeout(r.Context(), long)
	defer cancel()
	defer func() {
		if v := recover(); v == http.ErrAbortHandler { // how an answer that has begun is cut off
			w = nil
		} else if v != nil {
			panic(v)
		}
	}()
	w = httptest.NewRecorder()
	h.handler.ServeHTTP(w, r.WithContext(ctx))
	return w
}

// do makes a request of the registry's own people, which has to succeed.
func (h *front) do(tb testing.TB, method, path, media, body string) []byte {
	tb.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+h.admin)
	r.Header.Set("Content-Type", media)
	w := h.ask(r, time.Minute)
	if w == nil || w.Code >= 300 {
		tb.Fatalf("%s %s: %+v", method, path, w)
	}
	return w.Body.Bytes()
}

// commit makes a model of one file.
func (h *front) commit(tb testing.TB, repo, file, text string) {
	tb.Helper()
	namespace, model, _ := strings.Cut(repo, "/")
	h.do(tb, http.MethodPost, "/api/repos/create", "application/json", fmt.Sprintf(`{"type":"model","organization":%q,"name":%q}`, namespace, model))
	lines := `{"key":"header","value":{"summary":"first"}}` + "\n" +
		fmt.Sprintf(`{"key":"file","value":{"path":%q,"encoding":"base64","content":%q}}`, file, base64.StdEncoding.EncodeToString([]byte(text))) + "\n"
	h.do(tb, http.MethodPost, "/api/models/"+repo+"/commit/main", "application/x-ndjson", lines)
}

func newFront(f *testing.F) *front {
	f.Helper()
	r, err := registry.Open(f.Context(), registry.Config{
		Data: f.TempDir(), Access: registry.AccessTokens, Anonymous: []string{"public/*"}, PushTTL: time.Minute, Xet: registry.XetOn,
		// What is fuzzed is what is answered, not how often.
		Limits: registry.Limits{LoginFailures: 1 << 30},
	})
	if err != nil {
		f.Fatal(err)
	}
	h := &front{handler: r.Handler(), admin: r.AdminToken()}
	h.commit(f, "acme/secret", secretFile, secretText)
	h.commit(f, "public/tiny", "config.json", "{}")
	var made openapi.NewToken
	if err := json.Unmarshal(h.do(f, http.MethodPost, "/v1/tokens", "application/json", `{"scopes":["other/*:admin"],"expires_seconds":86400}`), &made); err != nil || made.Text == "" {
		f.Fatalf("no token was made: %v", err)
	}
	h.other = made.Text
	f.Cleanup(func() {
		if got := h.do(f, http.MethodGet, "/acme/secret/resolve/main/"+secretFile, "", ""); string(got) != secretText {
			f.Errorf("the first tenant's file is now %q", got)
		}
		if err := r.Close(); err != nil {
			f.Error(err)
		}
	})
	return h
}

// FuzzHandler asks a registry for anything, by every interface that it has, as nobody and
// as another tenant: nothing panics, no answer is a fault, and what is the first
// tenant's is in none.
func FuzzHandler(f *testing.F) {
	h := newFront(f)
	const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
	seed := func(who byte, method, path, header, value, body string) {
		f.Add(who, method, path, header, value, []byte(body))
	}
	for _, path := range []string{
		"/", "/healthz", "/v1/repos", "/v1/repos/acme/secret/versions", "/v1/repos/acme/secret/tags/main", "/v1/repos/acme/secret/versions/" + zeros + "/chunks/0",
		"/v1/repos/public/../acme/secret/tags", "/v1/repos/acme%2fsecret/tags", "/v1/diff?from=acme/secret&to=public/tiny", "/v1/stats?namespace=acme", "/v1/summary", "/v1/events",
		"/api/models", "/api/models/acme/secret/tree/main?recursive=1", "/acme/secret/resolve/main/" + secretFile, "/api/models/acme/secret/xet-read-token/main", "//acme/secret/raw/main/x", "/public/tiny/resolve/main/%2e%2e/%2e%2e/acme/secret",
		"/v2/", "/v2/acme/secret/tags/list", "/v2/acme/secret/manifests/main", "/v2/public/tiny/blobs/sha256:" + zeros,
		"/xet/0123456789abcdef/v1/chunks/default/" + zeros, "/xet/0123456789abcdef/v1/rows/0?grant=x.y", "/xet/0123456789abcdef/v2/reconstructions/" + zeros,
		"/v1/tokens", "/v1/whoami", "/v1/quotas/acme", "/v1/protections", "/v1/nodes", "/v1/upstreams", "/ui/acme/secret", "/metrics",
	} {
		seed(0, http.MethodGet, path, "Range", "bytes=0-1", "")
		seed(1, http.MethodGet, path, "Accept", "text/html", "")
	}
	seed(1, http.MethodPost, "/v1/repos/other/x/pushes", "Content-Type", "application/json", "{}")
	seed(1, http.MethodPut, "/v1/repos/acme/secret/tags/main", "Content-Type", "application/json", `{"version":"`+zeros+`"}`)
	seed(1, http.MethodPost, "/other/x.git/info/lfs/objects/batch", "Content-Type", "application/vnd.git-lfs+json", `{"operation":"upload","objects":[{"oid":"`+zeros+`","size":1}]}`)
	seed(1, http.MethodPost, "/api/models/acme/secret/commit/main", "Content-Type", "application/x-ndjson", `{"key":"header","value":{"summary":"x"}}`)
	seed(1, http.MethodDelete, "/v1/repos/acme/secret/versions/"+zeros, "Transfer-Encoding", "chunked", "0\r\n\r\nGET /v1/tokens HTTP/1.1")
	seed(0, http.MethodPost, "/v1/tokens/exchange", "Content-Type", "application/json", `{"token":"eyJhbGciOiJub25lIn0.e30."}`)
	seed(0, http.MethodPost, "/v1/session", "Authorization", "Basic aGY6aGY=", `{"token":"hf_"}`)
	seed(0, http.MethodGet, "/v1/whoami", "Authorization", "Bearer hf_"+zeros, "")
	seed(0, http.MethodGet, "/v1/repos", "X-Forwarded-For", "127.0.0.1", "")
	f.Fuzz(func(t *testing.T, who byte, method, path, header, value string, body []byte) {
		u, err := url.Parse("http://registry.test" + path)
		if err != nil || u.Host != "registry.test" {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, u.String(), bytes.NewReader(body))
		if err != nil || method == "" {
			return
		}
		r.URL, r.RequestURI, r.RemoteAddr = u, u.RequestURI(), "192.0.2.1:1234"
		r.Header.Set(header, value)
		if who%2 == 1 {
			r.Header.Set("Authorization", "Bearer "+h.other)
		}
		const long = 200 * time.Millisecond
		began := time.Now()
		w := h.ask(r, long)
		switch {
		case w == nil && time.Since(began) >= long:
			return // it was given up here, on a machine that has more to do
		case w == nil:
			t.Fatalf("%s %s was cut off", method, path)
		}
		if w.Code >= 500 && w.Code != http.StatusNotImplemented && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		// The question may be in the answer.
		if got := w.Body.String(); !strings.Contains(path+value+string(body), "canary") && strings.Contains(got, secretFile) || strings.Contains(got, secretText) {
			t.Errorf("%s %s tells %d what is acme's: %s", method, path, who%2, got)
		}
	})
}
