package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// shelf is Upstreams that remember what they were told.
type shelf map[string]openapi.Upstream

func (s shelf) Register(namespace string, u openapi.Upstream) error { s[namespace] = u; return nil }
func (s shelf) Forget(namespace string) error                       { delete(s, namespace); return nil }
func (s shelf) Upstreams() (list openapi.UpstreamList, err error) {
	for namespace, u := range s {
		list.Upstreams = append(list.Upstreams, openapi.UpstreamInfo{Namespace: namespace, URL: u.URL})
	}
	return list, nil
}

// nobody is a policy that lets nobody run the registry.
type nobody struct{}

func (nobody) Allow(_ access.Principal, _ name.Repo, a access.Action) error {
	if a == access.Admin {
		return access.ErrDenied
	}
	return nil
}

// TestUpstreams registers a hub and forgets it, where that is allowed.
func TestUpstreams(t *testing.T) {
	for what, c := range map[string]struct {
		config httpapi.Config
		put    int
		list   int
	}{
		"a registry":          {httpapi.Config{Upstreams: shelf{}}, http.StatusNoContent, http.StatusOK},
		"one without":         {httpapi.Config{}, http.StatusForbidden, http.StatusOK},
		"one that only reads": {httpapi.Config{Upstreams: shelf{}, ReadOnly: true}, http.StatusForbidden, http.StatusOK},
		"for who may not":     {httpapi.Config{Upstreams: shelf{}, Policy: nobody{}}, http.StatusForbidden, http.StatusForbidden},
	} {
		c.config.Service, c.config.Memory = &fake{}, 1<<20
		api := httpapi.New(c.config)
		ask := func(method, path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			return w
		}
		listed := func() (list openapi.UpstreamList) {
			w := ask(http.MethodGet, "/v1/upstreams", "")
			if w.Code != c.list {
				t.Errorf("%s lists by %d: %s", what, w.Code, w.Body)
			}
			_ = json.Unmarshal(w.Body.Bytes(), &list) // of an error it has nothing
			return list
		}
		if w := ask(http.MethodPut, "/v1/upstreams/acme", `{"url": "http://127.0.0.1:80", "ttl": 10}`); w.Code != c.put {
			t.Errorf("%s takes a hub by %d: %s", what, w.Code, w.Body)
		}
		if n := len(listed().Upstreams); (n == 1) != (c.put == http.StatusNoContent) {
			t.Errorf("%s has %d hubs", what, n)
		}
		if w := ask(http.MethodDelete, "/v1/upstreams/acme", ""); w.Code != c.put || len(listed().Upstreams) != 0 {
			t.Errorf("%s forgets a hub by %d: %s", what, w.Code, w.Body)
		}
		if w := ask(http.MethodPut, "/v1/upstreams/acme", `{"url": "http://127.0.0.1:80"}`); w.Code < 400 {
			t.Errorf("%s takes half a document by %d", what, w.Code)
		}
	}
}
