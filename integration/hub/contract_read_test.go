package hub_test

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// readRows are the rows of what clients of the Hub ask for, and of how they are told
// that something is not there.
var readRows = []string{"R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "errors", "optional"}

// TestReadContract holds a registry and a node to every row of reading.
func TestReadContract(t *testing.T) {
	t.Parallel()
	registry := serve(t)
	dir := writeTiny(t, 1)
	commit := registry.push(t, dir, "acme/tiny")
	registry.ingot(t, nil, "tag", "acme/tiny:main", "v1")
	node := registry.agent(t)
	for name, url := range map[string]string{"registry": registry.url, "node": node.url} {
		t.Run(name, func(t *testing.T) {
			c := newContract(t, url)
			c.know(dir, commit)
			c.all(resolveTable(t, dir))
			c.all(rangeTable(t, dir))
			c.all(infoTable)
			c.all(treeTable)
			c.all(refsTable)
			c.all(missingTable)
			c.checkRows(readRows...)
		})
	}
}

// know tells the contract of the model acme/tiny.
func (c *contract) know(dir, commit string) {
	shard := read(c.t, dir, firstShard)
	odd := read(c.t, dir, oddPath)
	for name, value := range map[string]string{
		"commit": commit, "shard": firstShard, "size": strconv.Itoa(len(shard)), "sum": sumOf(shard),
		"odd": url.PathEscape(oddPath), "oddsize": strconv.Itoa(len(odd)), "oddsum": sumOf(odd),
		"oid": "~[0-9a-f]{40}|[0-9a-f]{64}", "time": "~[0-9-]{10}T[0-9:]{8}[.][0-9]{3}Z",
	} {
		c.vars[name] = value
	}
}

// aboutShard is told of the first shard with every answer.
var aboutShard = map[string]string{
	"Etag": `"{sum}"`, "X-Linked-Etag": `~("{sum}")?`, "X-Linked-Size": `~({size})?`, "X-Repo-Commit": "{commit}",
	"Accept-Ranges": "bytes", "Content-Encoding": "",
}

// and returns headers with more of them.
func and(headers map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for name, value := range headers {
		all[name] = value
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// resolveTable asks for what is told of files.
func resolveTable(t *testing.T, dir string) (table []exchange) {
	shard := and(aboutShard, "Content-Length", "{size}")
	for _, revision := range []string{"main", "v1", "{commit}", "refs%2Fheads%2Fmain", "refs%2Ftags%2Fv1", "HEAD"} {
		table = append(table, exchange{row: "R1", name: "revision " + revision, ask: "HEAD /acme/tiny/resolve/" + revision + "/{shard}",
			with: map[string]string{"Accept-Encoding": "identity"}, want: 200, headers: shard})
	}
	return append(table,
		exchange{row: "R1", name: "odd path", ask: "HEAD /acme/tiny/resolve/main/{odd}", want: 200,
			headers: map[string]string{"Etag": `"{oddsum}"`, "Content-Length": "{oddsize}", "X-Repo-Commit": "{commit}"}},
		exchange{row: "R1", name: "empty file", ask: "HEAD /acme/tiny/resolve/main/empty.txt", want: 200, headers: map[string]string{"Content-Length": "0"}},
		exchange{row: "R1", name: "have it", ask: "HEAD /acme/tiny/resolve/main/{shard}", with: map[string]string{"If-None-Match": `"{sum}"`}, want: 304},
		exchange{row: "R2", name: "whole", ask: "GET /acme/tiny/resolve/main/{shard}", want: 200, headers: shard, bytes: read(t, dir, firstShard)},
		exchange{row: "R2", name: "as it is", ask: "GET /acme/tiny/resolve/main/{shard}", with: map[string]string{"Accept-Encoding": "gzip, deflate"},
			want: 200, headers: shard, bytes: read(t, dir, firstShard)},
		exchange{row: "R2", name: "odd path", ask: "GET /acme/tiny/resolve/{commit}/{odd}", want: 200, bytes: read(t, dir, oddPath)},
		exchange{row: "R2", name: "odd path, slashes as they are", ask: "GET /acme/tiny/resolve/main/a%20folder/%C3%BC+%2541&b.txt", want: 200, bytes: read(t, dir, oddPath)},
		exchange{row: "R2", name: "empty file", ask: "GET /acme/tiny/resolve/main/empty.txt", want: 200, bytes: []byte{}},
		exchange{row: "R2", name: "download=true", ask: "GET /acme/tiny/resolve/main/config.json?download=true", want: 200, bytes: read(t, dir, "config.json")},
		exchange{row: "R2", name: "have it", ask: "GET /acme/tiny/resolve/main/{shard}", with: map[string]string{"If-None-Match": `"{sum}"`},
			want: 304, headers: map[string]string{"Etag": `"{sum}"`}},
	)
}

// rangeTable asks for parts.
func rangeTable(t *testing.T, dir string) (table []exchange) {
	content := read(t, dir, firstShard)
	size := len(content)
	for _, r := range []struct {
		asked    string
		from, to int
	}{
		{"bytes=0-0", 0, 1}, {"bytes=1000-", 1000, size}, {"bytes=-77", size - 77, size}, {"bytes=123456-3456789", 123456, 3456790},
		{fmt.Sprintf("bytes=5-%d", size*9), 5, size}, {fmt.Sprintf("bytes=0-%d", size-1), 0, size},
	} {
		table = append(table, exchange{row: "R2", name: r.asked, ask: "GET /acme/tiny/resolve/main/{shard}", with: map[string]string{"Range": r.asked},
			want: 206, bytes: content[r.from:r.to], headers: and(aboutShard, "Content-Length", strconv.Itoa(r.to-r.from),
				"Content-Range", fmt.Sprintf("bytes %d-%d/%d", r.from, r.to-1, size))})
	}
	part := map[string]string{"Range": "bytes=10-19"}
	return append(table,
		exchange{row: "R2", name: "beyond the end", ask: "GET /acme/tiny/resolve/main/{shard}", with: map[string]string{"Range": "bytes=90000000-"},
			want: 416, headers: map[string]string{"Content-Range": "bytes */{size}"}},
		exchange{row: "R2", name: "of the same", ask: "GET /acme/tiny/resolve/main/{shard}", with: and(part, "If-Range", `"{sum}"`), want: 206, bytes: content[10:20]},
		exchange{row: "R2", name: "of another", ask: "GET /acme/tiny/resolve/main/{shard}", with: and(part, "If-Range", `"other"`), want: 200, bytes: content},
		// Whoever asks for a thousand ranges of a file is sent the file, or nothing.
		exchange{row: "R2", name: "a thousand ranges", ask: "GET /acme/tiny/resolve/main/{shard}",
			with: map[string]string{"Range": "bytes=" + strings.Repeat("0-9,", 999) + "0-9"}, want: 200, bytes: content},
		exchange{row: "R1", name: "part", ask: "HEAD /acme/tiny/resolve/main/{shard}", with: part, want: 206, headers: map[string]string{"Content-Length": "10"}},
	)
}

const (
	wantInfo = `{"id":"acme/tiny","sha":"{commit}","private":false,"gated":false,"disabled":false,"tags":[],"lastModified":"{time}","createdAt":"{time}"}`
	siblings = `{"siblings":[{"rfilename":"README.md"},{"rfilename":"a folder/ü+%41&b.txt"},{"rfilename":"additional_chat_templates/tool.jinja"},` +
		`{"rfilename":"config.json"},{"rfilename":"empty.txt"},{"rfilename":"{shard}"},{"rfilename":"model-00002-of-00002.safetensors"},{"rfilename":"model.safetensors.index.json"}]}`
	shardBlob = `{"siblings":[{},{},{},{},{"rfilename":"empty.txt","size":0},{"rfilename":"{shard}","size":{size},"lfs":{"sha256":"{sum}","size":{size},"pointerSize":135}},{},{}]}`
)

var infoTable = []exchange{
	{row: "R3", name: "model", ask: "GET /api/models/acme/tiny", want: 200, json: wantInfo, headers: map[string]string{"Content-Type": "~application/json.*"}},
	{row: "R3", name: "files", ask: "GET /api/models/acme/tiny", want: 200, json: siblings},
	{row: "R3", name: "HEAD", ask: "HEAD /api/models/acme/tiny", want: 200, bytes: []byte{}},
	{row: "R3", name: "branch", ask: "GET /api/models/acme/tiny/revision/main", want: 200, json: wantInfo},
	{row: "R3", name: "tag", ask: "GET /api/models/acme/tiny/revision/v1", want: 200, json: wantInfo},
	{row: "R3", name: "commit", ask: "GET /api/models/acme/tiny/revision/{commit}", want: 200, json: wantInfo},
	{row: "R3", name: "default branch", ask: "GET /api/models/acme/tiny/revision/HEAD", want: 200, json: wantInfo},
	{row: "R3", name: "escaped slashes", ask: "GET /api/models/acme/tiny/revision/refs%2Fheads%2Fmain", want: 200, json: wantInfo},
	{row: "R3", name: "blobs", ask: "GET /api/models/acme/tiny?blobs=true", want: 200, json: shardBlob},
	{row: "R3", name: "blobs of requests", ask: "GET /api/models/acme/tiny?blobs=True&securityStatus=True", want: 200, json: shardBlob},
	{row: "R3", name: "expand", ask: "GET /api/models/acme/tiny?expand=sha&expand=private", want: 200, json: `{"id":"acme/tiny","sha":"{commit}","private":false}`},
	{row: "R3", name: "expand what is unknown", ask: "GET /api/models/acme/tiny/revision/main?expand=xetEnabled", want: 200, json: `{"id":"acme/tiny"}`},
	{row: "R7", name: "token", ask: "GET /api/whoami-v2", with: map[string]string{"Authorization": "Bearer {token}"}, want: 200,
		json: `{"type":"user","name":"~.+","fullname":"~.*","orgs":[],"auth":{"type":"access_token","accessToken":{"displayName":"~.+","role":"~read|write"}}}`},
	{row: "R7", name: "no token", ask: "GET /api/whoami-v2", want: 401},
	{row: "optional", name: "models", ask: "GET /api/models?author=acme", want: 200, json: `[{"id":"acme/tiny"}]`},
	{row: "optional", name: "search", ask: "GET /api/models?search=TIN&limit=5&full=true", want: 200, json: `[{"id":"acme/tiny"}]`},
	{row: "optional", name: "nothing found", ask: "GET /api/models?search=nothing", want: 200, json: `[]`},
	{row: "optional", name: "datasets", ask: "GET /api/datasets", want: 200, json: `[]`},
	{row: "optional", name: "harnesses", ask: "GET /api/agent-harnesses", want: 404},
}

const (
	shardEntry = `{"type":"file","path":"{shard}","size":{size},"oid":"{oid}","lfs":{"oid":"{sum}","size":{size},"pointerSize":135}}`
	oddEntry   = `{"type":"file","path":"a folder/ü+%41&b.txt","size":{oddsize},"oid":"{oid}"}`
	folder     = `{"type":"directory","path":"a folder","size":0,"oid":"{oid}"}`
)

func fileEntry(path string) string {
	return fmt.Sprintf(`{"type":"file","path":%q,"oid":"{oid}"}`, path)
}

var treeTable = []exchange{
	{row: "R4", name: "top", ask: "GET /api/models/acme/tiny/tree/main", want: 200, headers: map[string]string{"Link": "", "X-Repo-Commit": "{commit}"},
		json: "[" + strings.Join([]string{fileEntry("README.md"), folder, `{"type":"directory","path":"additional_chat_templates"}`, fileEntry("config.json"),
			fileEntry("empty.txt"), shardEntry, fileEntry("model-00002-of-00002.safetensors"), fileEntry("model.safetensors.index.json")}, ",") + "]"},
	{row: "R4", name: "recursive", ask: "GET /api/models/acme/tiny/tree/{commit}?recursive=true&expand=false", want: 200, headers: map[string]string{"Link": ""},
		json: "[" + strings.Join([]string{fileEntry("README.md"), folder, oddEntry, `{"type":"directory","path":"additional_chat_templates"}`,
			fileEntry("additional_chat_templates/tool.jinja"), fileEntry("config.json"), fileEntry("empty.txt"), shardEntry,
			fileEntry("model-00002-of-00002.safetensors"), fileEntry("model.safetensors.index.json")}, ",") + "]"},
	{row: "R4", name: "folder", ask: "GET /api/models/acme/tiny/tree/main/a%20folder", want: 200, json: "[" + oddEntry + "]"},
	{row: "R4", name: "folder of a tag", ask: "GET /api/models/acme/tiny/tree/refs%2Ftags%2Fv1/additional_chat_templates?recursive=false", want: 200,
		json: "[" + fileEntry("additional_chat_templates/tool.jinja") + "]"},
	{row: "R4", name: "no such folder", ask: "GET /api/models/acme/tiny/tree/main/nope", want: 404, headers: map[string]string{"X-Error-Code": "EntryNotFound"}},
	{row: "R5", name: "form", ask: "POST /api/models/acme/tiny/paths-info/main", with: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		body: "paths={shard}&paths=nope&paths=a+folder&paths=a+folder%2F%C3%BC%2B%2541%26b.txt&expand=false", want: 200, json: "[" + shardEntry + "," + folder + "," + oddEntry + "]"},
	{row: "R5", name: "JSON", ask: "POST /api/models/acme/tiny/paths-info/v1", with: map[string]string{"Content-Type": "application/json"},
		body: `{"paths":["nope","{shard}"],"expand":true}`, want: 200, json: "[" + shardEntry + "]"},
	{row: "R5", name: "nothing", ask: "POST /api/models/acme/tiny/paths-info/main", with: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		body: "paths=nope", want: 200, json: "[]"},
}

var refsTable = []exchange{
	{row: "R6", name: "refs", ask: "GET /api/models/acme/tiny/refs", want: 200,
		json: `{"branches":[{"name":"main","ref":"refs/heads/main","targetCommit":"{commit}"}],"tags":[{"name":"v1","ref":"refs/tags/v1","targetCommit":"{commit}"}],"converts":[]}`},
	{row: "R6", name: "pull requests", ask: "GET /api/models/acme/tiny/refs?include_prs=1", want: 200, json: `{"pullRequests":[]}`},
	{row: "R8", name: "commits", ask: "GET /api/models/acme/tiny/commits/main", want: 200,
		json: `[{"id":"{commit}","title":"~.*","message":"~.*","date":"{time}","authors":[{"user":"~.+"}]}]`},
	{row: "R8", name: "formatted", ask: "GET /api/models/acme/tiny/commits/v1?expand[]=formatted&p=0", want: 200, json: `[{"id":"{commit}"}]`},
}

// missing is told of a failure.
func missing(code string) map[string]string {
	return map[string]string{"X-Error-Code": code, "X-Error-Message": "~.+", "Content-Type": "~application/json.*"}
}

var missingTable = []exchange{
	{row: "errors", name: "repository, no token", ask: "HEAD /acme/none/resolve/main/config.json", want: 401, headers: missing("RepoNotFound")},
	{row: "errors", name: "repository, token", ask: "GET /api/models/acme/none", with: map[string]string{"Authorization": "Bearer {token}"}, want: 404,
		headers: missing("RepoNotFound"), json: `{"error":"~.+"}`},
	{row: "errors", name: "namespace", ask: "GET /api/models/nobody/nothing/tree/main", want: 401, headers: missing("RepoNotFound")},
	{row: "errors", name: "without a namespace", ask: "GET /api/models/gpt2", want: 401, headers: missing("RepoNotFound")},
	{row: "errors", name: "bad name", ask: "GET /api/models/acme/..%2Fx", want: 401, headers: missing("RepoNotFound")},
	{row: "errors", name: "dataset", ask: "GET /api/datasets/acme/tiny", want: 401, headers: missing("RepoNotFound")},
	{row: "errors", name: "revision of a file", ask: "HEAD /acme/tiny/resolve/zzz/config.json", want: 404, headers: missing("RevisionNotFound")},
	{row: "errors", name: "revision of a model", ask: "GET /api/models/acme/tiny/revision/feature%2Fx", want: 404, headers: missing("RevisionNotFound")},
	{row: "errors", name: "revision of a tree", ask: "GET /api/models/acme/tiny/tree/zzz", want: 404, headers: missing("RevisionNotFound")},
	{row: "errors", name: "commit", ask: "GET /acme/tiny/resolve/0000000000000000000000000000000000000000/config.json", want: 404, headers: missing("RevisionNotFound")},
	{row: "errors", name: "file", ask: "HEAD /acme/tiny/resolve/main/nope.json", want: 404, headers: and(missing("EntryNotFound"), "X-Repo-Commit", "{commit}")},
	{row: "errors", name: "file, GET", ask: "GET /acme/tiny/resolve/{commit}/nope/x", want: 404, headers: and(missing("EntryNotFound"), "X-Repo-Commit", "{commit}"), json: `{"error":"~.+"}`},
	{row: "errors", name: "folder for a file", ask: "GET /acme/tiny/resolve/main/a%20folder", want: 404, headers: missing("EntryNotFound")},
	{row: "errors", name: "path that escapes", ask: "GET /acme/tiny/resolve/main/..%2F..%2Fx", want: 404, headers: missing("EntryNotFound")},
	{row: "errors", name: "method", ask: "PATCH /api/models/acme/tiny", want: 405},
	{row: "errors", name: "other path", ask: "GET /api/nothing", want: 404},
}
