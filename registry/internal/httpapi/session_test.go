package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/credentials"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	pages "github.com/ingot-ml/ingot/registry/page"
)

// goodToken is the only token of the registries below.
const goodToken = "hf_goodgoodgoodgoodgoodgoodgoodgoodgood"

// keeper issues goodToken.
type keeper struct{ httpapi.Tokens }

func (keeper) Info(_ context.Context, p access.Principal) (openapi.Token, bool, error) {
	return openapi.Token{Expires: time.Unix(2_000_000_000, 0).UTC()}, p.Token != "", nil
}

// guarded is a registry with access control, that lets guests read nothing.
func guarded(t *testing.T) *httpapi.API {
	t.Helper()
	people, err := pages.New()
	if err != nil {
		t.Fatal(err)
	}
	return httpapi.New(httpapi.Config{
		Service: &summed{}, Memory: 1 << 20, Policy: access.NewScoped(), Tokens: keeper{}, Page: people,
		Authenticator: &credentials.Authenticator{Guest: access.Guest(nil), Issuers: []credentials.Issuer{{
			Issued: func(credentials.Credentials) bool { return true },
			Authenticate: func(_ context.Context, secret string) (access.Principal, error) {
				if secret != goodToken {
					return access.Principal{}, openapi.Errorf(openapi.CodeUnauthorized, "no such token")
				}
				return access.Principal{Subject: "alice", Scopes: "*:pull", Token: "t1"}, nil
			},
		}}},
		Views: []httpapi.View{{Owns: pages.Owns, OwnGrants: true, Handler: people}},
	})
}

func signIn(api http.Handler, body string, header ...string) *http.Response {
	r := httptest.NewRequest("POST", "/v1/session", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w.Result()
}

// TestSession signs in, reads with the cookie, and signs out.
func TestSession(t *testing.T) {
	api := guarded(t)
	if resp := answered(api, "GET", "/v1/summary"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a guest: status %d", resp.StatusCode)
	}
	resp := signIn(api, `{"token":"`+goodToken+`"}`, "Cookie", credentials.Cookie+"=stale")
	cookies := resp.Cookies()
	if resp.StatusCode != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("signing in: status %d, %v", resp.StatusCode, resp.Header)
	}
	c := cookies[0]
	if c.Name != credentials.Cookie || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" || c.Expires.Unix() != 2_000_000_000 {
		t.Errorf("cookie %v", c)
	}
	sent := c.Name + "=" + c.Value
	for _, tt := range []struct {
		method, path, site string
		want               int
	}{
		{"GET", "/v1/summary", "same-origin", http.StatusOK},
		{"HEAD", "/v1/summary", "same-origin", http.StatusOK},
		{"GET", "/v1/summary", "none", http.StatusOK},
		{"GET", "/v1/summary", "cross-site", http.StatusUnauthorized},
		{"POST", "/v1/repos/acme/llama/pushes", "same-origin", http.StatusUnauthorized},
	} {
		if got := answered(api, tt.method, tt.path, "Cookie", sent, "Sec-Fetch-Site", tt.site); got.StatusCode != tt.want {
			t.Errorf("%s %s from %s: status %d, want %d", tt.method, tt.path, tt.site, got.StatusCode, tt.want)
		}
	}
	out := answered(api, "DELETE", "/v1/session", "Cookie", sent)
	if gone := out.Cookies(); out.StatusCode != http.StatusNoContent || len(gone) != 1 || gone[0].MaxAge >= 0 || gone[0].Value != "" {
		t.Errorf("signing out: status %d, %v", out.StatusCode, gone)
	}
	if tls := signIn(api, `{"token":"`+goodToken+`"}`, "X-Forwarded-Proto", "https").Cookies(); len(tls) != 1 || !tls[0].Secure {
		t.Errorf("behind TLS: %v", tls)
	}
}

// TestSessionRefused sets no cookie for what is no token, or comes from elsewhere.
func TestSessionRefused(t *testing.T) {
	api := guarded(t)
	good := `{"token":"` + goodToken + `"}`
	for what, tt := range map[string]struct {
		body   string
		header []string
		want   int
	}{
		"unknown":            {`{"token":"hf_bad"}`, nil, http.StatusUnauthorized},
		"another cookie":     {`{"token":"x; Domain=evil.example"}`, nil, http.StatusUnauthorized},
		"line end":           {`{"token":"x\r\nSet-Cookie: a=b"}`, nil, http.StatusUnauthorized},
		"empty":              {`{"token":""}`, nil, http.StatusUnauthorized},
		"long":               {`{"token":"` + strings.Repeat("x", 300) + `"}`, nil, http.StatusUnauthorized},
		"none":               {`{}`, nil, http.StatusBadRequest},
		"no JSON":            {`token`, nil, http.StatusBadRequest},
		"a form":             {good, []string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusBadRequest},
		"another site":       {good, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusBadRequest},
		"a neighbour's page": {good, []string{"Sec-Fetch-Site", "same-site"}, http.StatusBadRequest},
	} {
		if resp := signIn(api, tt.body, tt.header...); resp.StatusCode != tt.want || len(resp.Cookies()) != 0 {
			t.Errorf("%s: status %d, want %d, %v", what, resp.StatusCode, tt.want, resp.Header)
		}
	}
	if resp := answered(api, "DELETE", "/v1/session", "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusBadRequest || len(resp.Cookies()) != 0 {
		t.Errorf("signed out from elsewhere: status %d", resp.StatusCode)
	}
}

// TestSessionOpen needs no cookie where nobody is asked who they are.
func TestSessionOpen(t *testing.T) {
	api := httpapi.New(httpapi.Config{Service: &summed{}, Memory: 1 << 20})
	if resp := signIn(api, `{"token":"anything"}`); resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 0 {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
}

const html = "text/html,application/xhtml+xml,*/*;q=0.8"

// TestBrowsers are shown the page without saying who they are, and led there from the
// addresses that the Hub has for people. Programs get what they got before.
func TestBrowsers(t *testing.T) {
	api := guarded(t)
	for _, tt := range []struct {
		path, accept string
		status       int
		location     string
	}{
		{"/", html, http.StatusOK, ""},
		{"/", "*/*", http.StatusSeeOther, "docs"},
		{"/ui/acme/llama", html, http.StatusOK, ""},
		{"/ui/acme/llama", "", http.StatusOK, ""},
		{"/acme/llama", html, http.StatusSeeOther, "../ui/acme/llama"},
		{"/acme/llama/tree/v1", html, http.StatusSeeOther, "../../../ui/acme/llama/v1"},
		{"/acme/llama", "*/*", http.StatusUnauthorized, ""},
		{"/acme", html, http.StatusUnauthorized, ""},
		{"/v1/nothing", html, http.StatusUnauthorized, ""},
		{"/v1/repos/acme/llama/tags", html, http.StatusUnauthorized, ""},
	} {
		header := []string{"Cookie", credentials.Cookie + "=revoked"}
		if tt.accept != "" {
			header = append(header, "Accept", tt.accept)
		}
		resp := answered(api, "GET", tt.path, header...)
		if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location {
			t.Errorf("%s, %q: status %d, location %q", tt.path, tt.accept, resp.StatusCode, resp.Header.Get("Location"))
		}
		if tt.status == http.StatusOK && !strings.Contains(resp.Header.Get("Content-Security-Policy"), "script-src 'self'") {
			t.Errorf("%s: %v", tt.path, resp.Header)
		}
	}
	open := httpapi.New(httpapi.Config{Service: &summed{}, Memory: 1 << 20})
	for path, want := range map[string]int{"/": http.StatusSeeOther, "/acme/llama": http.StatusNotFound, "/ui/": http.StatusNotFound} {
		if resp := answered(open, "GET", path, "Accept", html); resp.StatusCode != want {
			t.Errorf("%s of a registry without a page: status %d", path, resp.StatusCode)
		}
	}
}
