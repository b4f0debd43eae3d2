package nodecache_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
)

const nodeToken = "hf_theTokenOfTheNode"

// serveTCP serves a node over TCP too, and returns its address.
func serveTCP(t *testing.T, c nodecache.Config) (address, socket string) {
	t.Helper()
	n, err := nodecache.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- n.Serve(ctx, unix, tcp) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-served, n.Close()); err != nil {
			t.Error(err)
		}
	})
	return tcp.Addr().String(), socket
}

// ask sends a request as somebody would, and returns what comes of it.
func ask(t *testing.T, method, url, host string, headers map[string]string) (int, http.Header) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		q.Host = host
	}
	for key, value := range headers {
		q.Header.Set(key, value)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return r.StatusCode, r.Header
}

// refused tells whether a request was refused before anybody looked at what it asks for:
// the Hub answers 401 and 403 for other reasons.
func refused(header http.Header) bool {
	message := header.Get("X-Error-Message")
	return strings.Contains(message, "not known to lead here") || strings.Contains(message, "not answered here") || strings.Contains(message, "token")
}

// routes are all that a node answers to, of its own and for clients of the Hub.
func routes(t *testing.T) (list [][2]string) {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(openapi.NodeSpec)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range spec.Paths.Map() {
		for method := range item.Operations() {
			list = append(list, [2]string{method, path})
		}
	}
	return append(list, [][2]string{
		{"GET", "/api/models"}, {"GET", "/api/models/acme/llama"}, {"GET", "/api/models/acme/llama/revision/main"},
		{"GET", "/api/models/acme/llama/tree/main"}, {"GET", "/api/models/acme/llama/refs"}, {"GET", "/api/whoami-v2"},
		{"GET", "/acme/llama/resolve/main/config.json"}, {"HEAD", "/acme/llama/resolve/main/config.json"}, {"GET", "/acme/llama/raw/main/x"},
		{"POST", "/api/repos/create"}, {"OPTIONS", "/v1/load"}, {"GET", "/no/such/path"}, {"GET", "/"},
	}...)
}

// TestPagesAndNames: no page in a browser, and nobody by a name that was led here, gets
// an answer of any route.
func TestPagesAndNames(t *testing.T) {
	address, _ := serveTCP(t, nodecache.Config{Name: "gpu1", Data: t.TempDir(), Disk: 16 << 20, Heartbeat: -1})
	base := "http://" + address
	for _, route := range routes(t) {
		method, url := route[0], base+route[1]
		for _, from := range []map[string]string{{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": base}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-origin"}} {
			if code, header := ask(t, method, url, "", from); code != http.StatusForbidden || !refused(header) {
				t.Errorf("%s %s from %v: %d", method, route[1], from, code)
			}
		}
		for _, host := range []string{"evil.example", "evil.example:7071", "127.0.0.1.evil.example"} {
			code, header := ask(t, method, url, host, nil)
			if code != http.StatusForbidden || !refused(header) || header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s by the name %s: %d", method, route[1], host, code)
			}
		}
		if route[1] == "/v1/events" {
			continue // it does not end
		}
		for _, host := range []string{"", "localhost", "GPU1:7071"} {
			if code, header := ask(t, method, url, host, nil); refused(header) {
				t.Errorf("%s %s by the name %q: %d", method, route[1], host, code)
			}
		}
	}
}

// TestTokenOverTCP: over TCP every route but two wants the token, and over the socket
// none does.
func TestTokenOverTCP(t *testing.T) {
	tokens := func() ([]string, error) { return []string{nodeToken}, nil }
	address, socket := serveTCP(t, nodecache.Config{
		Name: "gpu1", Data: t.TempDir(), Disk: 16 << 20, Heartbeat: -1, Access: nodecache.Access{Tokens: tokens},
	})
	for _, route := range routes(t) {
		method, url := route[0], "http://"+address+route[1]
		free := route[1] == "/healthz" || route[1] == "/readyz"
		for _, wrong := range []string{"", "Bearer hf_theTokenOfAnother", "Basic eDp5"} {
			header := map[string]string{"Authorization": wrong}
			if wrong == "" {
				header = nil
			}
			code, answer := ask(t, method, url, "", header)
			if refused(answer) == free || !free && (code != http.StatusUnauthorized || answer.Get("WWW-Authenticate") == "") {
				t.Errorf("%s %s with %q: %d, %v", method, route[1], wrong, code, answer)
			}
		}
		if route[1] == "/v1/events" {
			continue
		}
		if code, header := ask(t, method, url, "", map[string]string{"Authorization": "Bearer " + nodeToken}); refused(header) {
			t.Errorf("%s %s with the token: %d", method, route[1], code)
		}
	}
	for address, o := range map[string]agent.Options{
		"http://" + address: {Token: func(context.Context) (string, error) { return nodeToken, nil }},
		socket:              {},
	} {
		a, err := agent.New(address, o)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := a.Status(t.Context()); err != nil || s.Name != "gpu1" {
			t.Errorf("%s: %+v, %v", address, s, err)
		}
		a.Close()
	}
	a, err := agent.New("http://"+address, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Status(t.Context()); !errors.Is(err, &openapi.Error{Code: openapi.CodeUnauthorized}) {
		t.Errorf("without a token: %v", err)
	}
}

// TestNodeOverTLS borrows the certificate of a test server.
func TestNodeOverTLS(t *testing.T) {
	lender := httptest.NewUnstartedServer(nil)
	lender.StartTLS()
	defer lender.Close()
	believes := lender.Client().Transport.(*http.Transport).TLSClientConfig
	address, _ := serveTCP(t, nodecache.Config{
		Name: "gpu1", Data: t.TempDir(), Disk: 16 << 20, Heartbeat: -1,
		Access: nodecache.Access{TLS: &tls.Config{Certificates: lender.TLS.Certificates, NextProtos: []string{"http/1.1"}}},
	})
	a, err := agent.New("https://"+address, agent.Options{TLS: believes})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if s, err := a.Status(t.Context()); err != nil || s.Name != "gpu1" {
		t.Errorf("%+v, %v", s, err)
	}
	for url, o := range map[string]agent.Options{"https://" + address: {}, "http://" + address: {}} {
		other, err := agent.New(url, o)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := other.Status(t.Context()); err == nil {
			t.Errorf("%s: %+v", url, s)
		}
		other.Close()
	}
}

// TestTokenForRegistry: everything that a node asks of its registry bears the token, as
// it is at the time.
func TestTokenForRegistry(t *testing.T) {
	address, r := serveRegistry(t)
	push(t, r, "acme/llama:prod")
	behind, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	var mu sync.Mutex
	shown := map[string]int{}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		shown[q.Header.Get("Authorization")]++
		mu.Unlock()
		proxy.ServeHTTP(w, q)
	}))
	defer front.Close()
	token := "first"
	a, stop := serveNode(t, nodecache.Config{
		Name: "gpu1", Registry: front.URL, Data: t.TempDir(), Disk: 64 << 20, RAM: 64 << 20, Heartbeat: -1,
		Access: nodecache.Access{Token: func(context.Context) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return token, nil
		}},
	})
	defer stop()
	if _, err := a.Load(t.Context(), openapi.LoadRequest{Ref: "acme/llama:prod", Tier: openapi.TierRAM}); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	if len(shown) != 1 || shown["Bearer first"] == 0 {
		t.Errorf("shown %v", shown)
	}
	token, shown = "second", map[string]int{}
	mu.Unlock()
	if _, err := a.Files().Revision(t.Context(), parseRef(t, "acme/llama").Repo, "prod"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(shown) != 1 || shown["Bearer second"] == 0 {
		t.Errorf("shown %v", shown)
	}
}
