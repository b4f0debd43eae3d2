package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/name"
)

// large is memory whose weights are large.
type large struct{ memory }

func (l large) Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	r, err := l.memory.Revision(ctx, repo, revision)
	if err == nil {
		r.File("weights é\"x.bin").Size = 16 << 20
	}
	return r, err
}

// fakeXet grants everything, in tokens that say what.
type fakeXet struct{ writeOnly bool }

func (f fakeXet) Reads() bool { return !f.writeOnly }

func (f fakeXet) Grant(_ context.Context, base string, repo name.Repo, commit string, write bool) (hub.Access, error) {
	token := repo.String() + "@" + commit
	if write {
		token = repo.String() + "+"
	}
	return hub.Access{URL: base + "/xet/r", Token: token, Expires: time.Unix(1_800_000_000, 0)}, nil
}

// uploads is a Writer that has no files.
type uploads struct{ hub.Writer }

func (uploads) Sizes(_ context.Context, _ name.Repo, sha256 []string) (list []int64, err error) {
	for range sha256 {
		list = append(list, -1)
	}
	return list, nil
}

// askXet asks a hub with Xet.
func askXet(t *testing.T, x hub.Xet, method, path, accept, body string) (*http.Response, string) {
	t.Helper()
	h := hub.New(hub.Config{Source: large{newMemory()}, Writer: uploads{}, Xet: x})
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer hf_token")
	r.Header.Set("Accept", accept)
	r.Header.Set("Content-Type", "application/vnd.git-lfs+json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

const (
	weightsPath = "/acme/tiny/resolve/main/weights%20%C3%A9%22x.bin"
	readToken   = "http://example.com/api/models/acme/tiny/xet-read-token/" + commit
	xetInfo     = "application/vnd.xet-fileinfo+json"
)

// TestXetAnnounced is for large files only, and tells where they are.
func TestXetAnnounced(t *testing.T) {
	r, _ := askXet(t, fakeXet{}, "HEAD", weightsPath, "*/*", "")
	if r.Header.Get("X-Xet-Hash") != sha || r.Header.Get("X-Xet-Refresh-Route") != readToken || r.Header.Get("Link") != "<"+readToken+`>; rel="xet-auth"` {
		t.Errorf("HEAD: %v", r.Header)
	}
	r, body := askXet(t, fakeXet{}, "GET", weightsPath, xetInfo+", */*", "")
	if r.Header.Get("Content-Type") != xetInfo || r.Header.Get("X-Linked-Size") != "16777216" || !strings.Contains(body, sha) ||
		!strings.Contains(r.Header.Get("Link"), `<http://example.com/xet/r/v1/reconstructions/`+sha+`>; rel="xet-reconstruction-info"`) {
		t.Errorf("file info: %v %s", r.Header, body)
	}
	for what, x := range map[string]hub.Xet{"none": nil, "write only": fakeXet{writeOnly: true}} {
		if r, _ := askXet(t, x, "HEAD", weightsPath, "*/*", ""); r.Header.Get("X-Xet-Hash") != "" || r.Header.Get("Link") != "" {
			t.Errorf("%s: %v", what, r.Header)
		}
	}
	if r, body := askXet(t, fakeXet{}, "GET", "/acme/tiny/resolve/main/config.json", xetInfo+", */*", ""); r.Header.Get("X-Xet-Hash") != "" || body != "{}" {
		t.Errorf("a small file: %v %s", r.Header, body)
	}
	if _, body := askXet(t, fakeXet{}, "GET", "/api/models/acme/tiny/tree/main", "", ""); strings.Count(body, `"xetHash":"`+sha) != 1 {
		t.Errorf("tree: %s", body)
	}
}

func TestXetTokens(t *testing.T) {
	for path, want := range map[string]string{
		"/api/models/acme/tiny/xet-read-token/main":            "acme/tiny@" + commit,
		"/api/models/acme/tiny/xet-write-token/main":           "acme/tiny+",
		"/api/models/acme/tiny/xet-write-token/None?create_pr": "acme/tiny+",
	} {
		r, body := askXet(t, fakeXet{}, "GET", path, "", "")
		var got struct {
			CASURL      string `json:"casUrl"`
			AccessToken string `json:"accessToken"`
			Exp         int64  `json:"exp"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		h := r.Header
		if got.AccessToken != want || got.CASURL != "http://example.com/xet/r" || got.Exp != 1_800_000_000 ||
			h.Get("X-Xet-Access-Token") != want || h.Get("X-Xet-Cas-Url") != got.CASURL || h.Get("X-Xet-Token-Expiration") != "1800000000" {
			t.Errorf("%s: %v %s", path, h, body)
		}
	}
	for path, code := range map[string]string{
		"/api/models/acme/none/xet-write-token/main": "RepoNotFound",
		"/api/models/acme/none/xet-read-token/main":  "RepoNotFound",
		"/api/models/acme/tiny/xet-read-token/none":  "RevisionNotFound",
	} {
		if r, body := askXet(t, fakeXet{}, "GET", path, "", ""); r.StatusCode != http.StatusNotFound || r.Header.Get("X-Error-Code") != code {
			t.Errorf("%s: %d %v %s", path, r.StatusCode, r.Header, body)
		}
	}
	if r, body := askXet(t, nil, "GET", "/api/models/acme/tiny/xet-write-token/main", "", ""); r.StatusCode != http.StatusNotFound || !strings.Contains(body, "HF_HUB_DISABLE_XET=1") {
		t.Errorf("without Xet: %d %s", r.StatusCode, body)
	}
}

// TestXetBatch leads clients that ask how to send files to Xet, where it is.
func TestXetBatch(t *testing.T) {
	const question = `{"operation":"upload","transfers":["basic","multipart","xet"],"hash_algo":"sha_256","objects":[{"oid":"` + sha + `","size":5},{"oid":"` + sha + `","size":6}]}`
	type answer struct {
		Transfer string
		Objects  []struct {
			Actions struct {
				Upload struct {
					Href   string
					Header map[string]string
				}
			}
		}
	}
	ask := func(x hub.Xet) (a answer, err error) {
		r, body := askXet(t, x, "POST", "/acme/tiny.git/info/lfs/objects/batch", "", question)
		if r.StatusCode != http.StatusOK {
			return a, errors.New(body)
		}
		return a, json.Unmarshal([]byte(body), &a)
	}
	a, err := ask(fakeXet{})
	if err != nil || a.Transfer != "xet" || len(a.Objects) != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, o := range a.Objects {
		if up := o.Actions.Upload; !strings.Contains(up.Href, "/xet-write-token/") || up.Header["X-Xet-Access-Token"] != "acme/tiny+" {
			t.Errorf("%+v", up)
		}
	}
}
