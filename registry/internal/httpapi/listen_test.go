package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/events"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/nodes"
	"github.com/ingot-ml/ingot/registry/name"
)

// listening serves a hub, and returns what answers for it.
func listening(t *testing.T, e httpapi.Events) (*httptest.Server, *httpapi.API) {
	t.Helper()
	api := httpapi.New(httpapi.Config{Events: e, Nodes: nodes.New(access.Open{}, time.Now), Memory: 16 << 20})
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return server, api
}

func tell(h *events.Hub, tag string) {
	repo := name.Repo{Namespace: "acme", Name: "llama"}
	h.Tell(repo, openapi.TagEvent{Repo: repo.String(), Tag: tag, Digest: someHex, Updated: time.Unix(1_800_000_000, 0).UTC()})
}

// next returns the next event of a stream.
func next(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\n" {
			return strings.Join(lines, "")
		}
		lines = append(lines, line)
	}
}

const readyEvent = "event: ready\ndata: {}\n"

func tagEvent(tag string) string {
	return fmt.Sprintf("event: tag\ndata: {\"repo\":\"acme/llama\",\"tag\":%q,\"digest\":%q,\"updated\":\"2027-01-15T08:00:00Z\"}\n", tag, someHex)
}

func TestStreamOfEvents(t *testing.T) {
	hub := events.NewHub(access.Open{})
	server, api := listening(t, hub)
	resp, err := http.Get(server.URL + "/v1/events?match=corp/x&match=acme/*")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", resp.Header)
	}
	r := bufio.NewReader(resp.Body)
	if got := next(t, r); got != readyEvent {
		t.Errorf("first event %q", got)
	}
	for _, tag := range []string{"main", "prod"} {
		tell(hub, tag)
		if got := next(t, r); got != tagEvent(tag) {
			t.Errorf("event %q, want %q", got, tagEvent(tag))
		}
	}
	if api.Quiet() == 0 {
		t.Error("a stream counts as work")
	}
	api.Drain()
	api.Drain() // twice is harmless
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("a registry that stops says %q, %v, want the end", rest, err)
	}
}

// crowded is a hub that has more to say to a new listener than is kept.
type crowded struct{ *events.Hub }

func (c crowded) Listen(p access.Principal, match []string) (*events.Listener, error) {
	l, err := c.Hub.Listen(p, match)
	for i := range 1000 {
		tell(c.Hub, fmt.Sprint("tag", i))
	}
	tell(c.Hub, "late")
	return l, err
}

func TestMissedEventsAreTold(t *testing.T) {
	hub := events.NewHub(access.Open{})
	server, _ := listening(t, crowded{hub})
	resp, err := http.Get(server.URL + "/v1/events?match=*")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for _, want := range []string{readyEvent, "event: reset\ndata: {}\n"} {
		if got := next(t, r); got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	}
	tell(hub, "main")
	if got := next(t, r); got != tagEvent("main") {
		t.Errorf("event %q after a reset", got)
	}
}

func TestEventsWithoutBody(t *testing.T) {
	server, _ := listening(t, events.NewHub(access.Open{}))
	resp, body := request(t, http.MethodHead, server.URL+"/v1/events?match=*", "", nil)
	if resp.StatusCode != http.StatusOK || len(body) > 0 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: status %d, %d bytes, %v", resp.StatusCode, len(body), resp.Header)
	}
	for _, query := range []string{"", "?match=", "?match=acme", "?match=*&match=a%2Fb%2Fc"} {
		resp, body := request(t, http.MethodGet, server.URL+"/v1/events"+query, "", nil)
		checkError(t, resp, body, openapi.CodeBadRequest)
	}
}

// page is a connection in memory.
type page struct {
	header http.Header
	mu     sync.Mutex // protects text
	text   bytes.Buffer
}

func (p *page) Header() http.Header { return p.header }
func (p *page) WriteHeader(int)     {}
func (p *page) Flush()              {}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func TestQuietStreamsStayAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := httpapi.New(httpapi.Config{Events: events.NewHub(access.Open{}), Memory: 16 << 20})
		ctx, cancel := context.WithCancel(t.Context())
		p, ended := &page{header: http.Header{}}, make(chan any)
		go func() {
			defer func() { ended <- recover() }()
			api.ServeHTTP(p, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events?match=*", nil))
		}()
		time.Sleep(46 * time.Second)
		cancel()
		if v := <-ended; v != http.ErrAbortHandler {
			t.Errorf("ended with %v", v)
		}
		if want := readyEvent + "\n" + strings.Repeat(": alive\n\n", 3); p.text.String() != want {
			t.Errorf("in 46 s: %q, want %q", p.text.String(), want)
		}
	})
}

func TestNodes(t *testing.T) {
	server, api := listening(t, nil)
	put := func(node, report string) (*http.Response, []byte) {
		t.Helper()
		return request(t, http.MethodPut, server.URL+"/v1/nodes/"+node, "application/json", strings.NewReader(report))
	}
	const report = `{"program":"test","ttl":30,"tiers":{"disk":{"used":0,"budget":0,"models":0},` +
		`"ram":{"used":1,"budget":2,"models":1,"limit":3},"gpu":{"used":0,"budget":0,"models":0}},` +
		`"models":[{"ref":"acme/llama:main","version":"` + someHex + `","tier":"ram","leases":3}]}`
	if resp, body := put("gpu-01", report); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("report: %d %s", resp.StatusCode, body)
	}
	for query, want := range map[string]bool{"": true, "?repo=": true, "?repo=acme/llama": true, "?repo=acme/other": false} {
		resp, body := request(t, http.MethodGet, server.URL+"/v1/nodes"+query, "", nil)
		if found := bytes.Contains(body, []byte(`"name":"gpu-01"`)); resp.StatusCode != http.StatusOK || found != want {
			t.Errorf("%s: %d %s", query, resp.StatusCode, body)
		}
	}
	if api.Quiet() <= 0 {
		t.Error("reports of nodes count as work")
	}
	replaced := func(old, by string) string { return strings.Replace(report, old, by, 1) }
	for report, want := range map[string]openapi.Code{
		"{}":                             openapi.CodeBadRequest,
		"[]":                             openapi.CodeBadRequest,
		"null":                           openapi.CodeBadRequest,
		report[:len(report)-1]:           openapi.CodeBadRequest,
		strings.Repeat(" ", 2<<20) + " ": openapi.CodeTooLarge,
		replaced(`"ram","leases"`, `"tape","leases"`): openapi.CodeBadRequest,
		replaced(`"leases":3`, `"leases":null`):       openapi.CodeBadRequest,
		replaced(`,"leases":3`, ``):                   openapi.CodeBadRequest,
		replaced(`"limit":3`, `"limit":null`):         openapi.CodeBadRequest,
		replaced(`"ttl":30`, `"ttl":"30"`):            openapi.CodeBadRequest,
		replaced(`"ttl":30`, `"ttl":0`):               openapi.CodeBadRequest,
		replaced(`acme/llama:main`, `acme`):           openapi.CodeBadName,
		replaced(`[{`, `[null,{`):                     openapi.CodeBadRequest,
	} {
		resp, body := put("gpu-01", report)
		checkError(t, resp, body, want)
	}
	resp, body := put("a%20b", report)
	checkError(t, resp, body, openapi.CodeBadName)
	for _, want := range []int{http.StatusNoContent, http.StatusNotFound} {
		if resp, body := request(t, http.MethodDelete, server.URL+"/v1/nodes/gpu-01", "", nil); resp.StatusCode != want {
			t.Errorf("delete: %d %s, want %d", resp.StatusCode, body, want)
		}
	}
}
