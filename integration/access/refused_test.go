package access_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// facadePaths are what somebody who may pull acme/llama is answered, on every facade.
var facadePaths = map[string]string{
	"REST": "/v1/repos/acme/llama/tags/main", "Hub": "/api/models/acme/llama", "a file of the Hub": "/acme/llama/resolve/main/config.json",
	"OCI": "/v2/acme/llama/manifests/main",
}

// TestCredentials takes a token in the ways that clients send one, and refuses what is
// none, on every facade in its own words.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	good := w.tokens[pull]
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	revoked := w.token("acme/*:pull")
	var who openapi.Whoami
	w.do(http.StatusOK, revoked, request{path: "/v1/whoami"}, &who)
	w.do(http.StatusNoContent, w.tokens[runs], request{method: "DELETE", path: "/v1/tokens/" + who.Token}, nil)
	for facade, path := range facadePaths {
		for what, c := range map[string]struct {
			header []string
			want   int
		}{
			"a token":                 {[]string{"Bearer " + good}, 200},
			"a token as password":     {[]string{basic("anybody:" + good)}, 200},
			"of no name":              {[]string{basic(":" + good)}, 200},
			"no token":                {nil, 401},
			"another's":               {[]string{"Bearer " + w.tokens[other]}, 404},
			"one that was revoked":    {[]string{"Bearer " + revoked}, 401},
			"a letter less":           {[]string{"Bearer " + good[:len(good)-1]}, 401},
			"a letter that is wrong":  {[]string{"Bearer " + good[:20] + strings.Map(turned, good[20:21]) + good[21:]}, 401},
			"in capitals":             {[]string{"Bearer " + strings.ToUpper(good)}, 401},
			"of the Hugging Face Hub": {[]string{"Bearer hf_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"}, 401},
			"twice":                   {[]string{"Bearer " + good, "Bearer " + good}, 401},
			"two in one header":       {[]string{"Bearer " + good + ", Bearer " + good}, 401},
			"as the name":             {[]string{basic(good + ":")}, 401},
			"of another scheme":       {[]string{"Digest " + good}, 401},
		} {
			a := w.send(path, c.header)
			if a.status != c.want {
				t.Errorf("%s, %s: %d %.300s, want %d", facade, what, a.status, a.body, c.want)
			}
			if strings.Contains(string(a.body), good[20:]) {
				t.Errorf("%s, %s: the answer tells the token", facade, what)
			}
			checkRefusal(t, facade, what, c.header, a)
		}
	}
}

// turned is another letter.
func turned(r rune) rune {
	if r == 'a' {
		return 'b'
	}
	return 'a'
}

// checkRefusal holds a 401 to what the clients of a facade know it by.
func checkRefusal(t *testing.T, facade, what string, sent []string, a answer) {
	t.Helper()
	if a.status != http.StatusUnauthorized {
		return
	}
	switch {
	case facade == "OCI":
		if a.header.Get("WWW-Authenticate") != `Basic realm="ingot"` || !strings.Contains(string(a.body), "UNAUTHORIZED") {
			t.Errorf("%s, %s: %v %s", facade, what, a.header, a.body)
		}
	case facade == "REST":
		if a.header.Get("WWW-Authenticate") != `Bearer realm="ingot"` || !strings.Contains(string(a.body), `"unauthorized"`) {
			t.Errorf("%s, %s: %v %s", facade, what, a.header, a.body)
		}
	case sent == nil: // clients say then that the model is not there, or that one has to log in
		if a.header.Get("X-Error-Code") != "RepoNotFound" {
			t.Errorf("%s, %s: %v", facade, what, a.header)
		}
	default: // and then that the token is wrong
		if a.header.Get("X-Error-Message") != "Invalid credentials in Authorization header" {
			t.Errorf("%s, %s: %v", facade, what, a.header)
		}
	}
}

// send asks with these Authorization headers.
func (w *world) send(path string, authorization []string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	resp, err := w.http.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	body := make([]byte, 4<<10)
	n, _ := resp.Body.Read(body) // the rest does not matter
	return answer{resp.StatusCode, resp.Header, body[:n]}
}

// TestGrantsEnd uses addresses and tokens that somebody was given, after the token by
// which they were given was revoked.
func TestGrantsEnd(t *testing.T) {
	w := newWorld(t)
	w.tokens[push] = w.token("acme/*:push")
	c := &cell{world: w, role: push, repo: "acme/llama"}
	var who openapi.Whoami
	w.do(http.StatusOK, c.token(), request{path: "/v1/whoami"}, &who)
	oid, content := lfsObject(c)
	upload := request{method: "PUT", path: c.address(oid, content), media: "application/octet-stream", body: content, token: "-"}
	row := request{path: c.rowAddress(), token: "-"}
	read := c.cas("read")
	plan := request{path: read.URL + "/v1/reconstructions/" + c.sha256(), token: read.Token}
	w.do(http.StatusOK, "", plan, nil)
	w.do(http.StatusNoContent, w.tokens[runs], request{method: "DELETE", path: "/v1/tokens/" + who.Token}, nil)
	for what, q := range map[string]request{"an upload": upload, "a row": row, "a plan": plan} {
		if a := w.ask("", q); a.status != http.StatusUnauthorized {
			t.Errorf("%s, after the token was revoked: %d %s", what, a.status, a.body)
		}
	}
}

// TestTenantsApart has two who are called the same, by the admins of two namespaces,
// know nothing of each other's pushes.
func TestTenantsApart(t *testing.T) {
	w := newWorld(t)
	make := func(scope string, by string) string {
		var made openapi.NewToken
		w.do(http.StatusCreated, by, request{method: "POST", path: "/v1/tokens", body: `{"name":"ci","scopes":[` + quoted(scope) + `]}`}, &made)
		return made.Text
	}
	w.tokens[push] = make("acme/*:push", w.tokens[admin])
	c := &cell{world: w, role: push, repo: "acme/llama"}
	id := c.push()
	w.do(http.StatusOK, c.token(), request{path: "/v1/pushes/" + id}, nil)
	w.do(http.StatusNotFound, make("other/*:push", w.tokens[other]), request{path: "/v1/pushes/" + id}, nil)
	var who openapi.Whoami
	w.do(http.StatusOK, c.token(), request{path: "/v1/whoami"}, &who)
	if !strings.HasSuffix(who.Subject, "/ci") {
		t.Errorf("%+v", who)
	}
}
