package tenants

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestQuotas goes beyond a quota by every interface that takes files: it is refused in
// the words of each, nothing of it can be read, and what had come is collected. Others
// push as before.
func TestQuotas(t *testing.T) {
	w := newWorld(t)
	const js, lfs, lines = "application/json", "application/vnd.git-lfs+json", "application/x-ndjson"
	limit := func(bytes string) {
		w.want(http.StatusOK, w.admin, "PUT", "/v1/quotas/rival", js, []byte(`{"max_bytes":`+bytes+`}`), nil)
	}
	limit("150000")
	file := random(21, fileSize)
	refused := func(what string, a answer) {
		t.Helper()
		if a.status != http.StatusForbidden || !strings.Contains(string(a.body)+a.header.Get("X-Error-Message"), "quota of rival: 150000 bytes") {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}

	// Ingot's own: while it is sent, in either form, and at last by the commit.
	mine := w.startPush(w.bob, "rival/more")
	sent := target{chunk: w.own.chunks[0], plain: w.chunkOf(w.own)}
	if a := w.ask(w.bob, route{method: "PUT", path: "/v1/pushes/{mine}/chunks/{chunk}", headers: kind(openapi.MediaChunk), body: whole}, sent, mine); int64(sent.chunk.Size) > 50_000 {
		refused("a chunk", a)
	}
	doc := w.document(w.own.digest, w.own.chunks...)
	refused("a version of what is there", w.send(w.bob, "POST", "/v1/pushes/"+w.startPush(w.bob, "rival/more")+"/commit?tag=main", kind(openapi.MediaManifest), doc))

	// The Hub's: a file in a commit, and one that comes by itself, of which the limit
	// lets as many wait again.
	commit := func(inline []byte) answer {
		content, err := json.Marshal(inline) // base64
		if err != nil {
			t.Fatal(err)
		}
		return w.send(w.bob, "POST", "/api/models/"+ownRepo+"/commit/main", kind(lines), []byte(`{"key":"header","value":{"summary":"x"}}`+"\n"+
			`{"key":"file","value":{"path":"b.bin","encoding":"base64","content":`+string(content)+`}}`))
	}
	refused("a file in a commit", commit(file))
	upload := func(sha string, b []byte) answer {
		var got struct {
			Objects []struct {
				Actions map[string]struct{ Href string }
			}
		}
		w.want(http.StatusOK, w.bob, "POST", "/"+ownRepo+".git/info/lfs/objects/batch", lfs, []byte(target{sha256: sha}.fill(batch)), &got)
		return w.send("", "PUT", strings.TrimPrefix(got.Objects[0].Actions["upload"].Href, w.url), nil, b)
	}
	if a := upload(sumOf(file), file); a.status != http.StatusOK {
		t.Errorf("the first file that waits: %d %s", a.status, a.body)
	}
	other := random(22, fileSize)
	refused("the second", upload(sumOf(other), other))
	refused("a commit of what waits", w.send(w.bob, "POST", "/api/models/"+ownRepo+"/commit/main", kind(lines), []byte(
		target{sha256: sumOf(file)}.fill(`{"key":"header","value":{"summary":"x"}}`+"\n"+
			`{"key":"lfsFile","value":{"path":"weights2.bin","algo":"sha256","oid":"{sha256}","size":100000}}`))))

	// Nothing of it is to be seen.
	var list openapi.VersionList
	if w.want(http.StatusOK, w.bob, "GET", "/v1/repos/"+ownRepo+"/versions", "", nil, &list); len(list.Versions) != 1 {
		t.Errorf("%d versions, want 1", len(list.Versions))
	}
	if a := w.send(w.bob, "GET", "/v1/repos/rival/more/versions", nil, nil); a.status != http.StatusNotFound {
		t.Errorf("a repository of nothing: %d %s", a.status, a.body)
	}

	// Alice is not concerned, and bob neither with more room.
	w.push(w.alice, "acme/more", file)
	limit("350000")
	if a := commit(file); a.status != http.StatusOK {
		t.Errorf("with more room: %d %s", a.status, a.body)
	}
}
