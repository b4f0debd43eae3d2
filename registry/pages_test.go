package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry"
)

// TestPagesFromElsewhere: where everybody on the machine may do everything, what a page
// in a browser sends is refused, by whatever name it comes; the registry's own page is
// not.
func TestPagesFromElsewhere(t *testing.T) {
	ask := func(base, method, path string, host string, headers ...string) (int, string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			q.Host = host
		}
		for i := 0; i < len(headers); i += 2 {
			q.Header.Set(headers[i], headers[i+1])
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.StatusCode, r.Header.Get("X-Error-Message")
	}
	refused := func(code int, why string) bool {
		return code == http.StatusForbidden && strings.Contains(why, "here")
	}
	routes := [][2]string{
		{"GET", "/healthz"}, {"GET", "/v1/repos"}, {"POST", "/v1/gc"}, {"PUT", "/v1/nodes/n"}, {"POST", "/v1/repos/a/b/pushes"},
		{"GET", "/api/models"}, {"POST", "/api/repos/create"}, {"GET", "/a/b/resolve/main/c"}, {"GET", "/v2/"}, {"GET", "/v2/a/b/manifests/main"}, {"GET", "/"},
	}
	r := openWith(t, registry.Config{Hosts: []string{"models.example"}})
	l := listen(t, "tcp", "127.0.0.1:0")
	stop := serve(t, r, l)
	base := "http://" + l.Addr().String()
	for _, route := range routes {
		for _, from := range [][]string{{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
			if code, why := ask(base, route[0], route[1], "", from...); !refused(code, why) {
				t.Errorf("%v from %v: %d %s", route, from, code, why)
			}
		}
		if code, why := ask(base, route[0], route[1], "evil.example:7070"); !refused(code, why) {
			t.Errorf("%v by another name: %d %s", route, code, why)
		}
		for _, host := range []string{"", "models.example", "localhost:1"} {
			if code, why := ask(base, route[0], route[1], host, "Sec-Fetch-Site", "same-origin"); refused(code, why) {
				t.Errorf("%v of an own page by the name %q: %d %s", route, host, code, why)
			}
		}
	}
	if code, why := ask(base, "GET", "/", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"); refused(code, why) {
		t.Errorf("a link to the page: %d %s", code, why)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}

	// Where tokens say who may do what, a page has none, and names are whatever they are.
	r = openWith(t, registry.Config{Access: registry.AccessTokens})
	l = listen(t, "tcp", "127.0.0.1:0")
	stop = serve(t, r, l)
	if code, why := ask("http://"+l.Addr().String(), "GET", "/v1/repos", "models.example", "Origin", "https://evil.example"); refused(code, why) {
		t.Errorf("with tokens: %d %s", code, why)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// openWith opens a registry on a folder of its own.
func openWith(t *testing.T, c registry.Config) *registry.Registry {
	t.Helper()
	c.Data, c.Reserve = t.TempDir(), -1
	r, err := registry.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	return r
}
