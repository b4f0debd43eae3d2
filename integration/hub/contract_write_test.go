package hub_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// writeRows are the rows of what clients of the Hub do to publish.
var writeRows = []string{"W1", "W2", "W3", "W4", "W5", "W5m", "W6", "W7", "W8", "W9"}

// partSize is how much of a large file the registry of the contract takes at a time.
const partSize = 1 << 20

// What is written under the contract: a small file, one that goes up whole and one in
// parts.
var (
	whole = safetensors("whole", 10_000, 21)
	parts = safetensors("parts", 2_000_000, 22)
)

// authorized is sent by who writes; JSON is what they say mostly.
var authorized = map[string]string{"Authorization": "Bearer {token}", "Content-Type": "application/json"}

var (
	lfsType = map[string]string{"Authorization": "Bearer {token}", "Content-Type": "application/vnd.git-lfs+json", "Accept": "application/vnd.git-lfs+json"}
	ndjson  = map[string]string{"Authorization": "Bearer {token}", "Content-Type": "application/x-ndjson"}
)

// TestWriteContract holds a registry to every row of writing.
func TestWriteContract(t *testing.T) {
	t.Parallel()
	registry := serve(t, "--hub-part-size", strconv.Itoa(partSize))
	c := newContract(t, registry.url)
	c.vars["wholesum"], c.vars["wholesize"] = sumOf(whole), strconv.Itoa(len(whole))
	c.vars["partssum"], c.vars["partssize"] = sumOf(parts), strconv.Itoa(len(parts))
	c.vars["cblob"] = "3410062ba67c5ed59b854387a8bc0ec012479368" // git hash-object of "c"
	c.vars["url_"] = registry.url + "/.*"
	c.all(createTable)
	c.note("empty", "sha", exchange{row: "W1", name: "a first commit", ask: "GET /api/models/acme/new", want: 200, json: `{"sha":"~[0-9a-f]{40}"}`})
	c.all(preuploadTable)
	c.testWhole()
	c.testParts()
	c.testCommits()
	c.all(c.stored())
	c.all(refTable)
	c.all(lastTable)
	c.checkRows(writeRows...)
}

// note runs an exchange and keeps a string of its answer.
func (c *contract) note(name, key string, e exchange) {
	c.t.Helper()
	var got map[string]any
	body := c.run(e)
	if err := json.Unmarshal(body, &got); err != nil {
		c.t.Fatalf("%s answered %.300s: %v", e.ask, body, err)
	}
	value, ok := got[key].(string)
	if !ok {
		c.t.Fatalf("%s answered no %s: %.300s", e.ask, key, body)
	}
	c.vars[name] = value
}

var createTable = []exchange{
	{row: "W1", name: "new", ask: "POST /api/repos/create", with: authorized, body: `{"name":"new","organization":"acme"}`, want: 200, json: `{"url":"{url}/acme/new"}`},
	{row: "W1", name: "there already", ask: "POST /api/repos/create", with: authorized, body: `{"name":"new","organization":"acme","type":"model"}`,
		want: 409, json: `{"url":"{url}/acme/new","error":"~.+"}`},
	{row: "W1", name: "bad name", ask: "POST /api/repos/create", with: authorized, body: `{"name":"../x","organization":"acme"}`, want: 400, json: `{"error":"~.+"}`},
	{row: "W1", name: "not JSON", ask: "POST /api/repos/create", with: authorized, body: `{`, want: 400, json: `{"error":"~.+"}`},
	{row: "W1", name: "dataset", ask: "POST /api/repos/create", with: authorized, body: `{"name":"data","organization":"acme","type":"dataset"}`, want: 400, json: `{"error":"~.+"}`},
	{row: "W2", name: "card", ask: "POST /api/validate-yaml", with: authorized, body: `{"content":"---\nlicense: mit\n---\n","repoType":"model"}`, want: 200, json: `{"errors":[],"warnings":[]}`},
}

var preuploadTable = []exchange{
	{row: "W3", name: "modes", ask: "POST /api/models/acme/new/preupload/main", with: authorized, want: 200,
		body: `{"files":[{"path":"README.md","sample":"IyB0aW55Cg==","size":7},{"path":"model.safetensors","sample":"cAAA","size":99000000},{"path":"empty.txt","sample":"","size":0}]}`,
		json: `{"files":[{"path":"README.md","uploadMode":"regular","shouldIgnore":false},{"path":"model.safetensors","uploadMode":"lfs","shouldIgnore":false},{"path":"empty.txt","uploadMode":"regular","shouldIgnore":false}]}`},
	{row: "W3", name: "no such branch", ask: "POST /api/models/acme/new/preupload/nope", with: authorized, body: `{"files":[]}`, want: 404, headers: missing("RevisionNotFound")},
	{row: "W3", name: "no such model", ask: "POST /api/models/acme/none/preupload/main", with: authorized, body: `{"files":[]}`, want: 404, headers: missing("RepoNotFound")},
}

// batch is a question whether and how to send large files.
func batch(name, oid, size, want string) exchange {
	return exchange{row: "W4", name: name, ask: "POST /acme/new.git/info/lfs/objects/batch", with: lfsType, want: 200, json: want,
		headers: map[string]string{"Content-Type": "~application/vnd.git-lfs[+]json.*"},
		body:    fmt.Sprintf(`{"operation":"upload","transfers":["basic","multipart"],"objects":[{"oid":%q,"size":%s}],"hash_algo":"sha256","ref":{"name":"main"}}`, oid, size)}
}

// actions are what the answer to a batch has of an object.
type actions struct {
	Objects []struct {
		Actions struct {
			Upload, Verify struct {
				Href   string
				Header map[string]string
			}
		}
	}
}

func (c *contract) actions(e exchange) (a actions) {
	c.t.Helper()
	body := c.run(e)
	if err := json.Unmarshal(body, &a); err != nil || len(a.Objects) != 1 {
		c.t.Fatalf("a batch is answered by %.300s: %v", body, err)
	}
	return a
}

// testWhole sends a file in one piece.
func (c *contract) testWhole() {
	c.t.Helper()
	a := c.actions(batch("basic", "{wholesum}", "{wholesize}", `{"transfer":"basic","objects":[{"oid":"{wholesum}","size":{wholesize},"actions":{"upload":{"href":"~{url_}"},"verify":{"href":"~{url_}"}}}]}`))
	c.vars["put"], c.vars["verify"] = a.Objects[0].Actions.Upload.Href, a.Objects[0].Actions.Verify.Href
	c.vars["forged"] = forge(c.vars["put"])
	verify := `{"oid":"{wholesum}","size":{wholesize}}`
	c.all([]exchange{
		{row: "W6", name: "before it is there", ask: "POST {verify}", with: authorized, body: verify, want: 404},
		{row: "W5", name: "forged address", ask: "PUT {forged}", raw: whole, want: 403},
		{row: "W5", name: "other bytes", ask: "PUT {put}", raw: safetensors("other", 10_000, 23), want: 400},
		{row: "W5", name: "too short", ask: "PUT {put}", body: "short", want: 400},
		{row: "W6", name: "nothing was kept", ask: "POST {verify}", with: authorized, body: verify, want: 404},
		{row: "W5", name: "right bytes", ask: "PUT {put}", raw: whole, want: 200},
		{row: "W5", name: "once more", ask: "PUT {put}", raw: whole, want: 200},
		{row: "W6", name: "there", ask: "POST {verify}", with: authorized, body: verify, want: 200},
		{row: "W6", name: "of another size", ask: "POST {verify}", with: authorized, body: `{"oid":"{wholesum}","size":1}`, want: 400},
	})
	again := c.run(batch("there already", "{wholesum}", "{wholesize}", `{"objects":[{"oid":"{wholesum}","size":{wholesize}}]}`))
	if strings.Contains(string(again), "actions") {
		c.t.Errorf("a file that is there is asked for again: %s", again)
	}
	c.all([]exchange{
		{row: "W4", name: "no such model", ask: "POST /acme/none.git/info/lfs/objects/batch", with: lfsType, want: 404, headers: missing("RepoNotFound"),
			body: `{"operation":"upload","transfers":["basic"],"objects":[{"oid":"{wholesum}","size":1}]}`},
		{row: "W4", name: "no hash", ask: "POST /acme/new.git/info/lfs/objects/batch", with: lfsType, want: 200,
			body: `{"operation":"upload","transfers":["basic"],"objects":[{"oid":"xyz","size":1}]}`, json: `{"objects":[{"oid":"xyz","error":{"code":422,"message":"~.+"}}]}`},
		{row: "W4", name: "no JSON", ask: "POST /acme/new.git/info/lfs/objects/batch", with: lfsType, want: 400, body: `[`},
	})
}

// forge changes an address that the server has signed.
func forge(href string) string {
	i := strings.LastIndexAny(href, "0123456789")
	digit := '0' + (href[i]-'0'+1)%10
	return href[:i] + string(rune(digit)) + href[i+1:]
}

// testParts sends a file in several pieces.
func (c *contract) testParts() {
	c.t.Helper()
	a := c.actions(batch("multipart", "{partssum}", "{partssize}", `{"transfer":"multipart","objects":[{"oid":"{partssum}","size":{partssize},"actions":{"upload":{"href":"~{url_}","header":{"chunk_size":"~[0-9]+","00001":"~{url_}"}}}}]}`))
	up := a.Objects[0].Actions.Upload
	size, err := strconv.Atoi(up.Header["chunk_size"])
	if n := (len(parts) + size - 1) / max(size, 1); err != nil || n < 2 || len(up.Header) != n+1 {
		c.t.Fatalf("%d bytes in parts of %q: %d headers", len(parts), up.Header["chunk_size"], len(up.Header))
	}
	c.vars["complete"] = up.Href
	type part struct {
		Number int    `json:"partNumber"`
		ETag   string `json:"etag"`
	}
	var sent []part
	for i := 0; i*size < len(parts); i++ {
		e := exchange{row: "W5m", name: fmt.Sprintf("part %d", i+1), ask: "PUT " + up.Header[fmt.Sprintf("%05d", i+1)], want: 200, raw: parts[i*size : min(len(parts), (i+1)*size)]}
		if i == 0 {
			c.run(exchange{row: "W5m", name: "too long", ask: e.ask, raw: parts, want: 400})
		}
		answer := c.send(c.t, e)
		if c.run(e); answer.Header.Get("ETag") == "" {
			c.t.Errorf("part %d has no ETag", i+1)
		}
		sent = append(sent, part{i + 1, answer.Header.Get("ETag")})
	}
	all, err := json.Marshal(map[string]any{"oid": sumOf(parts), "parts": sent})
	if err != nil {
		c.t.Fatal(err)
	}
	c.all([]exchange{
		{row: "W5m", name: "complete", ask: "POST {complete}", with: map[string]string{"Content-Type": lfsType["Content-Type"]}, body: string(all), want: 200},
		{row: "W5m", name: "complete once more", ask: "POST {complete}", with: map[string]string{"Content-Type": lfsType["Content-Type"]}, body: string(all), want: 200},
	})
}

// lines puts a commit's operations together, each a JSON object.
func lines(operations ...string) string { return strings.Join(operations, "\n") + "\n" }

func header(summary, parent string) string {
	return fmt.Sprintf(`{"key":"header","value":{"summary":%q,"description":"why"%s}}`, summary, parent)
}

func inline(path, content string) string {
	return fmt.Sprintf(`{"key":"file","value":{"content":%q,"path":%q,"encoding":"base64"}}`, base64.StdEncoding.EncodeToString([]byte(content)), path)
}

func large(path, oid, size string) string {
	return fmt.Sprintf(`{"key":"lfsFile","value":{"path":%q,"algo":"sha256","oid":%q,"size":%s}}`, path, oid, size)
}

// testCommits makes commits, and some that cannot be.
func (c *contract) testCommits() {
	c.t.Helper()
	const to = "POST /api/models/acme/new/commit/main"
	first := lines(header("first", `,"parentCommit":"{empty}"`), inline("README.md", "# new\n"), inline("notes/a.txt", "a"), inline("notes/b.txt", "b"),
		large("model.safetensors", "{wholesum}", "{wholesize}"), large("deep/parts.safetensors", "{partssum}", "{partssize}"))
	done := exchange{row: "W7", name: "first", ask: to, with: ndjson, body: first, want: 200, json: `{"success":true,"commitOid":"~[0-9a-f]{40}","commitUrl":"{url}/acme/new/commit/{first}"}`}
	c.vars["first"] = "" // it is not known before
	done.json = `{"success":true,"commitOid":"~[0-9a-f]{40}","commitUrl":"~{url_}"}`
	c.note("first", "commitOid", done)
	c.all([]exchange{
		{row: "W7", name: "first again", ask: to, with: ndjson, body: first, want: 200, json: `{"commitOid":"{first}"}`},
		{row: "W7", name: "nothing new", ask: to, with: ndjson, body: lines(header("same", ""), inline("README.md", "# new\n")), want: 200, json: `{"commitOid":"{first}"}`},
	})
	c.note("second", "commitOid", exchange{row: "W7", name: "second", ask: to, with: ndjson, want: 200, json: `{"success":true}`,
		body: lines(header("second", `,"parentCommit":"{first}"`), inline("c.txt", "c"), `{"key":"deletedFile","value":{"path":"notes/a.txt"}}`)})
	c.note("third", "commitOid", exchange{row: "W7", name: "without a parent", ask: to, with: ndjson, want: 200, json: `{"success":true}`,
		body: lines(header("third", ""), `{"key":"deletedFolder","value":{"path":"notes"}}`)})
	c.all([]exchange{
		{row: "W7", name: "stale parent", ask: to, with: ndjson, body: lines(header("late", `,"parentCommit":"{first}"`), inline("d.txt", "d")), want: 412, json: `{"error":"~.+"}`},
		{row: "W7", name: "lost answer", ask: to, with: ndjson, want: 200, json: `{"commitOid":"{second}"}`,
			body: lines(header("second", `,"parentCommit":"{first}"`), inline("c.txt", "c"), `{"key":"deletedFile","value":{"path":"notes/a.txt"}}`)},
		{row: "W7", name: "nobody sent it", ask: to, with: ndjson, body: lines(header("x", ""), large("x.bin", strings.Repeat("0", 64), "5")), want: 400, json: `{"error":"~.+"}`},
		{row: "W7", name: "path that escapes", ask: to, with: ndjson, body: lines(header("x", ""), inline("../x", "x")), want: 400, json: `{"error":"~.+"}`},
		{row: "W7", name: "no base64", ask: to, with: ndjson, body: lines(header("x", ""), `{"key":"file","value":{"content":"*","path":"x","encoding":"base64"}}`), want: 400},
		{row: "W7", name: "no header", ask: to, with: ndjson, body: lines(inline("x", "x")), want: 400},
		{row: "W7", name: "no JSON", ask: to, with: ndjson, body: lines(header("x", ""), "{"), want: 400},
		{row: "W7", name: "no such branch", ask: "POST /api/models/acme/new/commit/nope", with: ndjson, body: lines(header("x", ""), inline("x", "x")), want: 404, headers: missing("RevisionNotFound")},
		{row: "W7", name: "nothing half-made", ask: "GET /api/models/acme/new", want: 200, json: `{"sha":"{third}"}`},
	})
}

// stored asks for what the commits have left.
func (c *contract) stored() []exchange {
	return []exchange{
		{row: "W7", name: "history", ask: "GET /api/models/acme/new/commits/main", want: 200,
			json: `[{"id":"{third}","title":"third","message":"why"},{"id":"{second}","title":"second"},{"id":"{first}","title":"first"},{"id":"{empty}"}]`},
		{row: "W7", name: "files", ask: "GET /api/models/acme/new/tree/main?recursive=true", want: 200, json: `[{"path":"README.md"},{"path":"c.txt"},{"path":"deep"},` +
			`{"path":"deep/parts.safetensors","lfs":{"oid":"{partssum}","size":{partssize},"pointerSize":134}},{"path":"model.safetensors"}]`},
		{row: "W7", name: "bytes of parts", ask: "GET /acme/new/resolve/main/deep/parts.safetensors", want: 200, bytes: parts, headers: map[string]string{"Etag": `"{partssum}"`}},
		{row: "W7", name: "bytes", ask: "GET /acme/new/resolve/{first}/model.safetensors", want: 200, bytes: whole, headers: map[string]string{"Etag": `"{wholesum}"`}},
		{row: "W7", name: "inline", ask: "GET /acme/new/resolve/{second}/c.txt", want: 200, bytes: []byte("c")},
		{row: "W3", name: "what is there", ask: "POST /api/models/acme/new/preupload/main", with: authorized, want: 200,
			body: `{"files":[{"path":"deep/parts.safetensors","sample":"cAAA","size":{partssize}},{"path":"c.txt","sample":"Yw==","size":1}]}`,
			json: `{"files":[{"path":"deep/parts.safetensors","uploadMode":"lfs","oid":"{partssum}"},{"path":"c.txt","uploadMode":"regular","oid":"{cblob}"}]}`},
	}
}

var refTable = []exchange{
	{row: "W8", name: "branch", ask: "POST /api/models/acme/new/branch/dev", with: authorized, body: `{"startingPoint":"{first}"}`, want: http.StatusCreated},
	{row: "W8", name: "branch that is there", ask: "POST /api/models/acme/new/branch/dev", with: authorized, body: `{}`, want: 409, json: `{"error":"~.+"}`},
	{row: "W8", name: "branch of the head", ask: "POST /api/models/acme/new/branch/head", with: authorized, body: `{}`, want: http.StatusCreated},
	{row: "W8", name: "branch from nowhere", ask: "POST /api/models/acme/new/branch/x", with: authorized, body: `{"startingPoint":"nope"}`, want: 404, headers: missing("RevisionNotFound")},
	{row: "W8", name: "tag", ask: "POST /api/models/acme/new/tag/{second}", with: authorized, body: `{"tag":"v1","message":"one"}`, want: http.StatusCreated},
	{row: "W8", name: "tag that is there", ask: "POST /api/models/acme/new/tag/main", with: authorized, body: `{"tag":"v1"}`, want: 409, json: `{"error":"~.+"}`},
	{row: "W8", name: "tag of nothing", ask: "POST /api/models/acme/new/tag/nope", with: authorized, body: `{"tag":"v2"}`, want: 404, headers: missing("RevisionNotFound")},
	{row: "W8", name: "refs", ask: "GET /api/models/acme/new/refs", want: 200, json: `{"branches":[{"name":"dev","targetCommit":"{first}"},{"name":"head","targetCommit":"{third}"},` +
		`{"name":"main","targetCommit":"{third}"}],"tags":[{"name":"v1","targetCommit":"{second}"}]}`},
	{row: "W8", name: "commit to a branch", ask: "POST /api/models/acme/new/commit/dev", with: ndjson, body: lines(header("dev", ""), inline("dev.txt", "dev")), want: 200},
	{row: "W8", name: "the others stay", ask: "GET /api/models/acme/new/revision/main", want: 200, json: `{"sha":"{third}"}`},
	{row: "W8", name: "delete a branch", ask: "DELETE /api/models/acme/new/branch/head", with: authorized, want: 200},
	{row: "W8", name: "delete a tag", ask: "DELETE /api/models/acme/new/tag/v1", with: authorized, want: 200},
	{row: "W8", name: "delete it again", ask: "DELETE /api/models/acme/new/tag/v1", with: authorized, want: 404, headers: missing("RevisionNotFound")},
}

var lastTable = []exchange{
	{row: "W9", name: "large files", ask: "GET /api/models/acme/new/lfs-files", with: authorized, want: 200},
	{row: "W9", name: "settings", ask: "PUT /api/models/acme/new/settings", with: authorized, body: `{"private":false}`, want: 200},
	{row: "W9", name: "squash", ask: "POST /api/models/acme/new/super-squash/dev", with: authorized, body: `{"message":"squashed"}`, want: 200},
	{row: "W9", name: "one commit is left", ask: "GET /api/models/acme/new/commits/dev", want: 200, json: `[{"title":"squashed"}]`},
	{row: "W9", name: "delete", ask: "DELETE /api/repos/delete", with: authorized, body: `{"name":"new","organization":"acme","type":"model"}`, want: 200},
	{row: "W9", name: "delete again", ask: "DELETE /api/repos/delete", with: authorized, body: `{"name":"new","organization":"acme"}`, want: 404, headers: missing("RepoNotFound")},
	{row: "W9", name: "nothing is left", ask: "GET /api/models/acme/new", with: authorized, want: 404, headers: missing("RepoNotFound")},
}
