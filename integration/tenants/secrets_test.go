package tenants

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

// TestReceipts has bob upload what alice has, and what nobody has: he is told the same of
// both, and both take the same of the store.
func TestReceipts(t *testing.T) {
	w := newWorld(t)
	there, absent := w.targets()
	nothing := absent["no such model"]
	for _, form := range []route{
		{method: "PUT", path: "/v1/pushes/{mine}/chunks/{chunk}", headers: kind(openapi.MediaChunk), body: whole},
		{method: "POST", path: "/v1/pushes/{mine}/chunks", headers: kind(openapi.MediaChunks), body: frame},
	} {
		w.ask(w.bob, form, target{chunk: w.own.chunks[0], plain: w.chunkOf(w.own)}, w.startPush(w.bob, ownRepo))
		for try := 0; ; try++ {
			a := w.ask(w.bob, form, there, w.startPush(w.bob, ownRepo))
			b := w.ask(w.bob, form, nothing, w.startPush(w.bob, ownRepo))
			var got openapi.Received
			if err := json.Unmarshal(a.body, &got); err != nil || got.New != 1 || got.Stored == 0 {
				t.Errorf("%s: what alice has is not stored for bob: %s", form.path, a.body)
			}
			d := same(a, b, there, nothing)
			if d != "" && try < tries {
				continue
			}
			if d != "" {
				t.Errorf("%s: %s", form.path, d)
			}
			break
		}
	}
}

// TestPoison has bob upload other bytes under the name of what alice has.
func TestPoison(t *testing.T) {
	w := newWorld(t)
	there, _ := w.targets()
	there.plain = random(7, len(there.plain))
	poison := route{method: "PUT", path: "/v1/pushes/{mine}/chunks/{chunk}", headers: kind(openapi.MediaChunk), body: whole}
	if a := w.ask(w.bob, poison, there, w.startPush(w.bob, ownRepo)); a.status != http.StatusUnprocessableEntity {
		t.Errorf("other bytes: %d %s", a.status, a.body)
	}
	a := w.send(w.alice, "GET", "/"+secretRepo+"/resolve/main/weights.bin", nil, nil)
	if a.status != http.StatusOK || chunker.Sum(a.body) != chunker.Sum(w.secret.plain) {
		t.Errorf("alice reads %d bytes, status %d", len(a.body), a.status)
	}
}

// TestCommitted has bob name a chunk of alice's without its bytes, then upload what he
// has: what he can read afterwards is what he has sent.
func TestCommitted(t *testing.T) {
	w := newWorld(t)
	there, _ := w.targets()
	mine := w.startPush(w.bob, ownRepo)
	doc := w.document(chunker.Digest{}, there.chunk, w.own.chunks[0])
	a := w.send(w.bob, "POST", "/v1/pushes/"+mine+"/commit", kind(openapi.MediaManifest), doc)
	var failed openapi.ErrorBody
	if err := json.Unmarshal(a.body, &failed); err != nil || failed.Error == nil || failed.Error.Code != openapi.CodeMissingChunks || len(failed.Error.Missing) != 1 {
		t.Errorf("a version with a chunk of alice's: %d %s", a.status, a.body)
	}
}

// TestTotals has alice push more: nothing that bob is told of the registry as a whole
// changes.
func TestTotals(t *testing.T) {
	w := newWorld(t)
	paths := []string{"/v1/stats", "/v1/summary", "/v1/repos", "/v1/quotas/rival", "/v1/quotas", "/v1/nodes", "/v1/protections", "/api/models", "/v1/tokens"}
	before := map[string]string{}
	for _, path := range paths {
		a := w.send(w.bob, "GET", path, nil, nil)
		if a.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		before[path] = times.ReplaceAllString(string(a.body), "TIME")
	}
	w.push(w.alice, "acme/another", random(8, fileSize))
	w.want(http.StatusOK, w.admin, "PUT", "/v1/quotas/acme", "application/json", []byte(`{"max_bytes":100000000}`), nil)
	w.report(w.alice, "alices", "acme/another:main")
	w.want(http.StatusOK, w.admin, "PUT", "/v1/protections", "application/json", []byte(`{"pattern":"acme/*:prod"}`), nil)
	for _, path := range paths {
		if got := times.ReplaceAllString(string(w.send(w.bob, "GET", path, nil, nil).body), "TIME"); got != before[path] {
			t.Errorf("%s has told bob %s, and tells %s", path, before[path], got)
		}
	}
}

// report tells what a node holds.
func (w *world) report(token, node, ref string) {
	w.t.Helper()
	body, err := json.Marshal(openapi.NodeReport{
		Address: "10.0.0.7:7071", Program: "test", TTL: 60, Models: []openapi.NodeResident{{Ref: ref, Version: w.secret.digest, Tier: openapi.TierRAM}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.want(http.StatusNoContent, token, "PUT", "/v1/nodes/"+node, "application/json", body, nil)
}

// TestNodes has bob look at alice's node, report in its name, and forget it.
func TestNodes(t *testing.T) {
	w := newWorld(t)
	w.report(w.alice, "alices", secretRepo+":main")
	var list openapi.NodeList
	if w.want(http.StatusOK, w.bob, "GET", "/v1/nodes", "", nil, &list); len(list.Nodes) != 0 {
		t.Errorf("bob is told of %+v", list.Nodes)
	}
	report := []byte(`{"address":"6.6.6.6:1","program":"x","ttl":60,"tiers":{"disk":{"used":0,"budget":0,"models":0},"ram":{"used":0,"budget":0,"models":0},"gpu":{"used":0,"budget":0,"models":0}},"models":[]}`)
	for _, r := range []route{
		{method: "DELETE", path: "/v1/nodes/{tag}"},
		{method: "PUT", path: "/v1/nodes/{tag}", headers: kind("application/json"), body: func(*world, target) []byte { return report }},
	} {
		if a := w.ask(w.bob, r, target{tag: "alices"}, ""); a.status < 400 {
			t.Errorf("%s of alice's node: %d", r.method, a.status)
		}
	}
	if w.want(http.StatusOK, w.alice, "GET", "/v1/nodes", "", nil, &list); len(list.Nodes) != 1 || list.Nodes[0].Address != "10.0.0.7:7071" {
		t.Errorf("alice is told of %+v", list.Nodes)
	}
}

// TestEvents has bob listen to everything while alice moves tags.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	q, err := http.NewRequestWithContext(ctx, "GET", w.url+"/v1/events?match=*&match=acme/*&match="+secretRepo, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+w.bob)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		t.Fatalf("the events ended: %v", lines.Err())
		return ""
	}
	next() // ready
	w.setTag(w.alice, secretRepo+" "+w.secret.digest.String())
	w.setTag(w.bob, ownRepo+" "+w.own.digest.String())
	if e := next(); strings.Contains(e, "acme") || !strings.Contains(e, ownRepo) {
		t.Errorf("bob is told %s", e)
	}
}

// setTag sets the tag next of a version, "REPO DIGEST".
func (w *world) setTag(token, at string) {
	w.t.Helper()
	repo, digest, _ := strings.Cut(at, " ")
	w.want(http.StatusOK, token, "PUT", "/v1/repos/"+repo+"/tags/next", "application/json", []byte(`{"digest":"`+digest+`"}`), nil)
}

// TestGrants has bob use, and change, the addresses that tell by themselves what they are
// for.
func TestGrants(t *testing.T) {
	w := newWorld(t)
	ask := func(token, repo string) string {
		var got struct {
			Objects []struct {
				Actions map[string]struct{ Href string }
			}
		}
		w.want(http.StatusOK, token, "POST", "/"+repo+".git/info/lfs/objects/batch", "application/vnd.git-lfs+json",
			[]byte(target{sha256: strings.Repeat("ab", 32)}.fill(batch)), &got)
		return strings.TrimPrefix(got.Objects[0].Actions["upload"].Href, w.url)
	}
	bobs := ask(w.bob, ownRepo)
	for what, path := range map[string]string{
		"of another repository": strings.Replace(bobs, ownRepo, secretRepo, 1),
		"changed":               bobs[:len(bobs)-2] + "xx",
		"for something else":    strings.Replace(bobs, "token=", "token=x", 1),
		"of no one":             "/" + secretRepo + ".git/info/lfs/objects/upload",
	} {
		if a := w.send("", "PUT", path, nil, random(1, fileSize)); a.status < 400 || a.status >= 500 {
			t.Errorf("an address %s: %d %s", what, a.status, a.body)
		}
	}
	// An upload's grant is none for Xet.
	_, token, _ := strings.Cut(bobs, "token=")
	for _, path := range []string{"/xet/0123456789abcdef/v1/chunks/default/" + w.secret.sha256, "/xet/0123456789abcdef/v1/reconstructions/" + w.secret.sha256,
		"/xet/0123456789abcdef/v1/rows/0?grant=" + token} {
		if a := w.send(token, "GET", path, nil, nil); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("%s by a grant for an upload: %d %s", path, a.status, a.body)
		}
	}
}

// TestXet asks by bob's own grants for what alice has.
func TestXet(t *testing.T) {
	w := newWorld(t)
	there, absent := w.targets()
	for _, kind := range []string{"read", "write"} {
		var grant struct{ CasURL, AccessToken string }
		w.want(http.StatusOK, w.bob, "GET", fmt.Sprintf("/api/models/%s/xet-%s-token/main", ownRepo, kind), "", nil, &grant)
		base := strings.TrimPrefix(grant.CasURL, w.url)
		for _, path := range []string{"/v1/chunks/default/{sha256}", "/v1/chunks/default-merkledb/{chunk}", "/v1/reconstructions/{sha256}", "/v2/reconstructions/{sha256}"} {
			if a := w.compare(grant.AccessToken, route{method: "GET", path: base + path}, there, absent, ""); a.status != http.StatusNotFound {
				t.Errorf("%s with a grant to %s: %d %s", path, kind, a.status, a.body)
			}
		}
	}
}

// TestForgetting has others push the same bytes as bob, again and again: whether they do
// is not to be told from what the registry remembers of his.
func TestForgetting(t *testing.T) {
	w := newWorld(t)
	only := w.token("bob", ownRepo+":push")
	there := target{chunk: w.own.chunks[0], plain: w.chunkOf(w.own)}
	missing := route{method: "POST", path: "/v1/pushes/{mine}/missing?fresh=yes", headers: kind(openapi.MediaDigests), body: digests}
	for i := range 6 {
		if a := w.ask(only, missing, there, w.startPush(only, ownRepo)); a.status != http.StatusOK || a.body[0] != 0 {
			t.Fatalf("with %d others, what bob has is missing: %d %x", i, a.status, a.body)
		}
		w.push(w.alice, fmt.Sprintf("acme/same-%d", i), w.own.plain)
	}
}
