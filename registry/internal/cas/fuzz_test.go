package cas_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/cas"
)

// FuzzServe asks for anything with a grant that is good: nothing panics, and no answer is
// a fault.
func FuzzServe(f *testing.F) {
	content := noise(1, 3000)
	const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
	x := makeXorb(noise(2, 100), noise(3, 200))
	for _, ranges := range []string{"", "bytes=0-18446744073709551614", "bytes=5-1", "bytes=2999-3000", "bytes=3000-", "bytes=-1", "5-6", "bytes=9223372036854775807-9223372036854775807"} {
		f.Add(http.MethodGet, "/v1/reconstructions/"+sumOf(content), ranges, []byte(nil))
		f.Add(http.MethodGet, "/v2/reconstructions/"+sumOf(content), ranges, []byte(nil))
	}
	f.Add(http.MethodPost, "/v1/xorbs/default/"+x.hash.String(), "", x.body)
	f.Add(http.MethodPost, "/v1/xorbs/default/"+zeros, "", x.body)
	f.Add(http.MethodPost, "/v1/shards", "", makeShard(nil, file{{x, 0, 2}}))
	f.Add(http.MethodPost, "/v2/shards", "", []byte("HFRepoMetaData"))
	f.Add(http.MethodGet, "/v1/rows/0?grant=a.b", "bytes=0-1", []byte(nil))
	f.Add(http.MethodGet, "/v1/chunks/default-merkledb/"+zeros, "", []byte(nil))
	f.Add(http.MethodPost, "/v1/telemetry/%2e%2e", "", []byte("{}"))
	f.Fuzz(func(t *testing.T, method, path, ranges string, body []byte) {
		w := newWorld(t)
		grant := w.grant(alice, model, w.publish(content), true)
		u, err := url.Parse(grant.URL + path)
		if err != nil || !strings.HasPrefix(u.String(), w.server.URL) || !cas.Owns(u.EscapedPath()) {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, u.String(), bytes.NewReader(body))
		if err != nil || method == "" {
			return
		}
		r.Header.Set("Authorization", "Bearer "+grant.Token)
		r.Header.Set("Range", ranges)
		got := httptest.NewRecorder()
		w.service.ServeHTTP(got, r)
		if got.Code >= 500 && got.Code != http.StatusServiceUnavailable {
			t.Errorf("%s %s %q: %d %s", method, path, ranges, got.Code, got.Body)
		}
	})
}
