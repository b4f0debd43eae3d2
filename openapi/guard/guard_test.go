package guard_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/guard"
)

// request is one over TCP, with headers in pairs.
func request(host, path string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
}

// check compares an answer with a code; empty lets the request through.
func check(t *testing.T, what string, g *guard.Guard, r *http.Request, want openapi.Code) {
	t.Helper()
	var got openapi.Code
	if e := g.Check(r); e != nil {
		got = e.Code
	}
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestHosts: a page whose name was led here asks by that name.
func TestHosts(t *testing.T) {
	g := guard.New(guard.Config{Hosts: []string{"gpu1", "Node.Example", "*.svc.example"}})
	for host, lets := range map[string]bool{
		"127.0.0.1:7071": true, "127.0.0.1": true, "[::1]:7071": true, "[::1]": true, "10.1.2.3:80": true, "localhost": true, "LOCALHOST:7071": true, "localhost.": true,
		"gpu1": true, "gpu1:7071": true, "GPU1.": true, "node.example:7071": true, "a.svc.example": true, "a.b.svc.example:1": true,
		"evil.example": false, "evil.example:7071": false, "": false, ":7071": false, "gpu1.evil.example": false, "svc.example": false, ".svc.example": false,
		"127.0.0.1.evil.example": false, "localhost.evil.example": false, "evil.localhost": false, "xsvc.example": false, "127.0.0.1@evil.example": false,
		"0x7f000001": false, "2130706433": false, "127.1": false,
	} {
		want := openapi.CodeForbidden
		if lets {
			want = ""
		}
		check(t, host, g, request(host, "/v1/status"), want)
	}
	check(t, "any", guard.New(guard.Config{Hosts: []string{guard.Any}}), request("evil.example", "/"), "")
}

// TestPages: no page asks, by whatever means a browser has.
func TestPages(t *testing.T) {
	agent := guard.New(guard.Config{})
	gate := guard.New(guard.Config{OwnPages: true, Origins: []string{"http://localhost:3000"}})
	open := guard.New(guard.Config{Origins: []string{guard.Any}})
	for _, tc := range []struct {
		headers           []string
		agent, gate, open bool
	}{
		{nil, true, true, true},
		{[]string{"Sec-Fetch-Site", "none"}, true, true, true},
		{[]string{"Sec-Fetch-Site", "cross-site"}, false, false, true},
		{[]string{"Sec-Fetch-Site", "same-site"}, false, false, true},
		{[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false, true, true},
		{[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, false, false, true},
		{[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "document"}, false, false, true},
		{[]string{"Origin", "null", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false, false, true},
		{[]string{"Sec-Fetch-Site", "same-origin"}, false, true, true},
		{[]string{"Sec-Fetch-Site", ""}, false, false, true},
		{[]string{"Sec-Fetch-Site", "None"}, false, false, true},
		{[]string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, false, false, false},
		{[]string{"Origin", "https://evil.example"}, false, false, true},
		{[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "none"}, false, false, true},
		{[]string{"Origin", "null"}, false, false, true},
		{[]string{"Origin", ""}, false, false, true},
		{[]string{"Origin", "http://127.0.0.1:7071"}, false, true, true},
		{[]string{"Origin", "http://127.0.0.1:3000"}, false, false, true},
		{[]string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, false, true, true},
		{[]string{"Origin", "http://localhost:3000", "Origin", "https://evil.example"}, false, false, false},
		{[]string{"Origin", "127.0.0.1:7071"}, false, false, true},
	} {
		for _, one := range []struct {
			name string
			g    *guard.Guard
			lets bool
		}{{"agent", agent, tc.agent}, {"gate", gate, tc.gate}, {"open", open, tc.open}} {
			want := openapi.CodeForbidden
			if one.lets {
				want = ""
			}
			check(t, one.name+" "+strings.Join(tc.headers, " "), one.g, request("127.0.0.1:7071", "/v1/load", tc.headers...), want)
		}
	}
}

func TestTokens(t *testing.T) {
	const one, two = "hf_the-first-of-two", "hf_the-second"
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	g := guard.New(guard.Config{Tokens: func() ([]string, error) { return []string{one, two}, nil }, Free: []string{"/healthz"}})
	for _, tc := range []struct {
		path    string
		headers []string
		lets    bool
	}{
		{"/v1/status", []string{"Authorization", "Bearer " + one}, true},
		{"/v1/status", []string{"Authorization", "bearer " + two}, true},
		{"/acme/llama/resolve/main/x", []string{"Authorization", basic("anybody:" + two)}, true},
		{"/v1/status", nil, false},
		{"/v1/status", []string{"Authorization", "Bearer "}, false},
		{"/v1/status", []string{"Authorization", "Bearer"}, false},
		{"/v1/status", []string{"Authorization", "Bearer " + one[1:]}, false},
		{"/v1/status", []string{"Authorization", "Bearer " + one + " "}, false},
		{"/v1/status", []string{"Authorization", "Bearer " + one + two}, false},
		{"/v1/status", []string{"Authorization", one}, false},
		{"/v1/status", []string{"Authorization", "Token " + one}, false},
		{"/v1/status", []string{"Authorization", basic(one + ":")}, false},
		{"/v1/status", []string{"Authorization", basic(one)}, false},
		{"/v1/status", []string{"Authorization", "Basic not base64"}, false},
		{"/v1/status", []string{"Authorization", "Bearer " + one, "Authorization", "Bearer " + one}, false},
		{"/v1/status?token=" + one, nil, false},
		{"/healthz", nil, true},
		{"/healthz/", nil, false},
		{"/%68ealthz", nil, false},
		{"/healthz%2f..%2fv1/status", nil, false},
	} {
		want := openapi.CodeUnauthorized
		if tc.lets {
			want = ""
		}
		check(t, tc.path+" "+strings.Join(tc.headers, " "), g, request("localhost", tc.path, tc.headers...), want)
	}
	lost := guard.New(guard.Config{Tokens: func() ([]string, error) { return nil, errors.New("no such file") }})
	check(t, "tokens that cannot be read", lost, request("localhost", "/", "Authorization", "Bearer x"), openapi.CodeUnavailable)
	if e := lost.Check(request("localhost", "/", "Authorization", "Bearer x")); strings.Contains(e.Message, "no such file") {
		t.Errorf("it tells of the file: %v", e)
	}
	none := guard.New(guard.Config{Tokens: func() ([]string, error) { return nil, nil }})
	check(t, "no token is good", none, request("localhost", "/", "Authorization", "Bearer x"), openapi.CodeUnauthorized)
}

// TestSocket: who may open a socket is no page, unless it passes on what pages send.
func TestSocket(t *testing.T) {
	g := guard.New(guard.Config{Tokens: func() ([]string, error) { return nil, errors.New("unread") }})
	over := func(headers ...string) *http.Request {
		r := request("whatever", "/v1/load", headers...)
		return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Net: "unix", Name: "/agent.sock"}))
	}
	check(t, "a program", g, over(), "")
	check(t, "a page", g, over("Origin", "https://evil.example"), openapi.CodeForbidden)
}

func TestHandler(t *testing.T) {
	g := guard.New(guard.Config{Tokens: func() ([]string, error) { return []string{"hf_good"}, nil }})
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, tc := range []struct {
		host, token, challenge string
		status                 int
	}{
		{"localhost", "hf_good", "", 204}, {"localhost", "hf_bad", `Bearer realm="ingot"`, 401}, {"evil.example", "hf_good", "", 403},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request(tc.host, "/", "Authorization", "Bearer "+tc.token))
		refused := w.Code != 204
		if w.Code != tc.status || w.Header().Get("WWW-Authenticate") != tc.challenge || refused != strings.Contains(w.Body.String(), `{"error":{"code":`) || refused != (w.Header().Get("X-Error-Message") != "") {
			t.Errorf("%+v: %d %v %s", tc, w.Code, w.Header(), w.Body)
		}
	}
}

// FuzzCheck sends headers as clients might write them: a name is never taken for an
// address, and nothing for a token that does not have it in it.
func FuzzCheck(f *testing.F) {
	const token = "secret-of-the-test"
	for _, host := range []string{"localhost", "[::1]:80", "evil.example", "127.0.0.1:1@x", "[", "a:b:c", "..", "[[::1]]", "fe80::1%eth0"} {
		f.Add(host, "Bearer x", "https://evil.example")
	}
	f.Add("localhost", "Basic eDp5", "null")
	g := guard.New(guard.Config{Tokens: func() ([]string, error) { return []string{token}, nil }, OwnPages: true})
	f.Fuzz(func(t *testing.T, host, authorization, origin string) {
		lower := strings.ToLower(host)
		good := guard.New(guard.Config{}).Check(request(host, "/"))
		if good == nil && strings.ContainsAny(lower, "ghjkpqrvwxyz") && !strings.HasPrefix(strings.Trim(lower, "["), "localhost") && !strings.Contains(host, "%") {
			t.Errorf("%q is an address", host)
		}
		bears := strings.Contains(authorization, token) || strings.HasPrefix(strings.ToLower(authorization), "basic ")
		if g.Check(request("localhost", "/", "Authorization", authorization)) == nil && !bears {
			t.Errorf("%q is a good token", authorization)
		}
		asks := request("localhost:7071", "/", "Authorization", "Bearer "+token, "Origin", origin)
		if g.Check(asks) == nil && !strings.Contains(strings.ToLower(origin), "//localhost:7071") && !strings.Contains(origin, "@localhost:7071") {
			t.Errorf("%q is an own page", origin)
		}
	})
}
