package page_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/openapi/guard"
)

// attack is a page that asks a server of this machine in all the ways that a browser has,
// and says how many of the answers it could read.
const attack = `<!doctype html><title>elsewhere</title><main data-view="attack"></main>
<iframe name="frame"></iframe>
<form method="post" action="%[1]s/v1/unload" target="frame" enctype="text/plain"><input name='{"ref":"a/b","x":"' value='"}'></form>
<script>
const base = %[1]q
const once = (element, what) => new Promise(done => { for (const name of what) element.addEventListener(name, done); setTimeout(done, 5000) })
const read = async (path, init) => { try { const r = await fetch(base + path, init); return r.ok ? 1 : 0 } catch { return 0 } }
async function ask() {
	let seen = 0
	seen += await read("/v1/status")
	seen += await read("/v1/status", {mode: "no-cors"})
	seen += await read("/v1/load", {method: "POST", mode: "no-cors", body: "{}"})
	seen += await read("/v1/load", {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}})
	seen += await read("/a/b/resolve/main/config.json", {credentials: "include"})
	const image = new Image(), shown = once(image, ["load", "error"])
	image.src = base + "/a/b/resolve/main/image.png"
	await shown
	const script = document.createElement("script"), ran = once(script, ["load", "error"])
	script.src = base + "/metrics"
	document.head.append(script)
	await ran
	const events = new EventSource(base + "/v1/events"), told = once(events, ["open", "error"])
	await told
	seen += events.readyState === 1 ? 1 : 0
	events.close()
	const socket = new WebSocket(base.replace("http", "ws") + "/v1/lease"), opened = once(socket, ["open", "error"])
	await opened
	seen += socket.readyState === 1 ? 1 : 0
	const framed = once(document.querySelector("iframe"), ["load"])
	document.querySelector("form").submit()
	await framed
	return seen
}
</script>`

// TestPagesFromElsewhere has a real browser show a page that calls a server of the same
// machine: from another origin, and by a name that leads to the machine.
func TestPagesFromElsewhere(t *testing.T) {
	browser := browse(t)
	var asked, answered atomic.Int64
	var kept *guard.Guard
	behind := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		answered.Add(1)
		t.Errorf("%s %s is answered: host %s, %v", q.Method, q.URL, q.Host, q.Header)
		fmt.Fprint(w, "{}")
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		// A name that is led here some time after its page was shown leads to the same port.
		if q.URL.Path == "/page" {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, attack, "http://"+q.Host)
			return
		}
		if q.URL.Path != "/favicon.ico" {
			asked.Add(1)
			kept.Handler(behind).ServeHTTP(w, q)
		}
	}))
	defer server.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, attack, server.URL)
	}))
	defer elsewhere.Close()
	named := func(url, name string) string { return strings.Replace(url, "127.0.0.1", name, 1) }
	led := named(server.URL, "evil.localhost") + "/page"
	for what, tc := range map[string]struct {
		guard.Config
		page string
	}{
		"an agent, from another origin":                   {guard.Config{}, elsewhere.URL},
		"an agent, by a name that was led here":           {guard.Config{}, led},
		"a gate or registry, from another site":           {guard.Config{OwnPages: true}, named(elsewhere.URL, "localhost")},
		"a gate or registry, by a name that was led here": {guard.Config{OwnPages: true}, led},
	} {
		kept = guard.New(tc.Config)
		asked.Store(0)
		p := browser.Page(t)
		p.Open(tc.page)
		var seen int
		if p.Eval("ask()", &seen); seen != 0 {
			t.Errorf("%s: the page reads %d answers", what, seen)
		}
		if n := asked.Load(); n < 8 {
			t.Errorf("%s: it was asked %d times: the browser has not sent what it should", what, n)
		}
		p.Problems() // they are the point of it
	}
	if n := answered.Load(); n != 0 {
		t.Errorf("%d requests were answered", n)
	}
}
