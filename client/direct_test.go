package client_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// TestPullFromStore has the registry send whoever allows it to a store, which gives
// sound chunks, damaged ones, or none: the files are whole each time.
func TestPullFromStore(t *testing.T) {
	f := newFake(t)
	dir := model(t)
	push(t, f.client(), dir, "acme/llama", client.PushOptions{})
	const route = "GET /v1/repos/{ns}/{m}/versions/{d}/chunks/{i}"
	var sent, stored atomic.Int64
	spoil := func(*httptest.ResponseRecorder) {}
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		stored.Add(1)
		answer := httptest.NewRecorder()
		f.Config.Handler.ServeHTTP(answer, q)
		spoil(answer)
		w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	defer store.Close()
	f.front = func(w http.ResponseWriter, q *http.Request) bool {
		if q.URL.Query().Get("direct") != openapi.Yes {
			return false
		}
		sent.Add(1)
		w.Header().Set("Location", store.URL+q.URL.Path)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	for _, tt := range []struct {
		what  string
		spoil func(*httptest.ResponseRecorder)
		// whole reports whether the counts are right: requests that were sent away, those
		// that the store got, and those that the registry answered, for itself or the store.
		whole func(sent, stored, asked int64) bool
	}{
		{"sound", func(*httptest.ResponseRecorder) {}, func(sent, stored, asked int64) bool { return sent == stored && asked == stored }},
		{"damaged", func(r *httptest.ResponseRecorder) { r.Body.Bytes()[r.Body.Len()/2] ^= 1 }, func(sent, stored, asked int64) bool {
			return sent == stored && asked == 2*stored
		}},
		{"refused", func(r *httptest.ResponseRecorder) { r.Code = http.StatusForbidden }, func(sent, stored, asked int64) bool {
			return sent == stored && asked > stored
		}},
	} {
		sent.Store(0)
		stored.Store(0)
		f.requests(route)
		spoil = tt.spoil
		target := filepath.Join(t.TempDir(), "copy")
		pull(t, f.client(), "acme/llama", target, client.PullOptions{})
		sameTree(t, target, dir)
		asked := int64(f.requests(route))
		if sent.Load() == 0 || !tt.whole(sent.Load(), stored.Load(), asked) {
			t.Errorf("%s: %d sent to the store, %d came, %d answered", tt.what, sent.Load(), stored.Load(), asked)
		}
	}
}
