package httpapi_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestPages reads what the registry says of itself, and asks for it again.
func TestPages(t *testing.T) {
	server, _, _ := newServer(t, &fake{}, 1<<20)
	for _, tt := range []struct {
		path, media string
		want        []byte
	}{
		{"/openapi.yaml", "application/yaml", openapi.Spec},
		{"/docs", "text/html; charset=utf-8", openapi.Page},
	} {
		resp, body := request(t, "GET", server.URL+tt.path, "", nil)
		tag := resp.Header.Get("ETag")
		if resp.StatusCode != http.StatusOK || !bytes.Equal(body, tt.want) || resp.Header.Get("Content-Type") != tt.media || tag == "" {
			t.Errorf("%s: status %d, %d bytes, %v", tt.path, resp.StatusCode, len(body), resp.Header)
		}
		for given, want := range map[string]int{
			tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, `"x"`: 200, strings.Trim(tag, `"`): 200,
		} {
			if got := askAgain(t, server.URL+tt.path, given); got.StatusCode != want || got.Header.Get("ETag") != tag {
				t.Errorf("%s with If-None-Match %s: status %d, want %d, %v", tt.path, given, got.StatusCode, want, got.Header)
			}
		}
	}
	resp, _ := request(t, "GET", server.URL+"/docs", "", nil)
	if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("header of the page: %v", resp.Header)
	}
}

func askAgain(t *testing.T, url, tag string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", tag)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestRootLeadsToThePage follows the root as a browser does, which may see the
// registry below a path of a proxy.
func TestRootLeadsToThePage(t *testing.T) {
	server, _, _ := newServer(t, &fake{}, 1<<20)
	resp, body := request(t, "GET", server.URL+"/", "", nil)
	if resp.Request.URL.Path != "/docs" || !bytes.Equal(body, openapi.Page) {
		t.Errorf("/ led to %s", resp.Request.URL)
	}
}
