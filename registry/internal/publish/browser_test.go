package publish_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestBrowsers refuses what any page can have a browser send without asking.
func TestBrowsers(t *testing.T) {
	w := newWorld(t, 1)
	w.create()
	for path, body := range map[string]string{
		"/api/repos/create":                        `{"name":"acme/other"}`,
		"/api/repos/move":                          `{"fromRepo":"acme/model","toRepo":"acme/other"}`,
		"/api/models/acme/model/commit/main":       file("a", "1"),
		"/api/models/acme/model/branch/dev":        ``,
		"/api/models/acme/model/tag/main":          `{"tag":"v1"}`,
		"/api/models/acme/model/super-squash/main": `{}`,
		"/acme/model.git/info/lfs/objects/batch":   `{"operation":"upload"}`,
	} {
		for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ";"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.servers[0].URL+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer acme")
			if media != "" {
				r.Header.Set("Content-Type", media)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnsupportedMediaType {
				t.Errorf("%s of type %q: %d", path, media, resp.StatusCode)
			}
		}
	}
}
