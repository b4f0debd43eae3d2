package oci_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/oci"
)

// FuzzServe asks for anything: nothing panics, and no answer is a fault.
func FuzzServe(f *testing.F) {
	for _, path := range []string{
		"acme/tiny/manifests/main", "acme/tiny/manifests/latest", "ACME/Tiny/tags/list", "acme/tiny/tags/list", "", "acme/tiny/referrers/sha256:" + strings.Repeat("0", 64),
		"acme/tiny/blobs/sha256:" + strings.Repeat("f", 64), "acme/tiny/blobs/sha512:00", "a%2fb/c/manifests/%2e%2e", "acme/tiny/../secret/manifests/main", "//tags/list", "acme/tiny/manifests/sha256:",
	} {
		f.Add(http.MethodGet, path, "n=1&last=a", "application/vnd.oci.image.manifest.v1+json", "bytes=0-1")
	}
	f.Add(http.MethodHead, "acme/tiny/manifests/main", "", "*/*;q=0.1", "")
	f.Add(http.MethodPost, "acme/tiny/blobs/uploads", "mount=sha256:0&from=acme/secret", "", "")
	f.Fuzz(func(t *testing.T, method, path, query, accept, ranges string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://oci.test", nil)
		if err != nil {
			return
		}
		if r.URL, err = r.URL.Parse("http://oci.test/v2/" + path + "?" + query); err != nil || !oci.Owns(r.URL.EscapedPath()) {
			return
		}
		r.Header.Set("Accept", accept)
		r.Header.Set("Range", ranges)
		w := newWorld(t)
		w.commit("acme/tiny", plain)
		got := httptest.NewRecorder()
		w.handler.ServeHTTP(got, r)
		if got.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, r.URL, got.Code, got.Body)
		}
	})
}
