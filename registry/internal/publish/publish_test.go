package publish_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
)

func TestRepos(t *testing.T) {
	w := newWorld(t, 2)
	const create, remove = "/api/repos/create", "/api/repos/delete"
	w.create()
	again := w.want("create again", w.do("POST", create, `{"name":"model","organization":"acme"}`), 409, "already created")
	if got := again.field("url"); !strings.HasSuffix(got, "/acme/model") {
		t.Errorf("the conflict has url %q", got)
	}
	w.want("create of one's own", w.do("POST", create, `{"name":"acme/own","type":"model"}`), 200, "acme/own")
	if got := w.do("POST", create, `{"name":"acme/own","visibility":"private"}`); got.status != 409 || !strings.Contains(got.header.Get("X-HF-Warning"), "access") {
		t.Errorf("a private one: %d, warned of %q", got.status, got.header.Get("X-HF-Warning"))
	}
	w.want("create a data set", w.do("POST", create, `{"name":"acme/x","type":"dataset"}`), 400, "models only")
	w.want("create with a bad name", w.do("POST", create, `{"name":"acme/x y"}`), 400, "acme/x y")
	w.want("create uploads", w.do("POST", create, `{"name":"acme/x.git"}`), 400, ".git")
	w.want("create with no JSON", w.do("POST", create, `{`), 400, "body")
	w.want("create elsewhere", w.do("POST", create, `{"name":"other/x"}`), 403, "may not push")
	w.want("create by GET", w.do("GET", create, ""), 405, "")
	w.want("info", w.do("GET", "/api/models/acme/model", ""), 200, `"sha"`)
	w.want("nothing like it", w.do("POST", "/api/repos/rename", "{}"), 404, "")

	w.want("settings", w.do("PUT", "/api/models/acme/model/settings", `{"private":false}`), 200, "")
	w.want("settings of others", w.do("PUT", "/api/models/acme/model/settings", `{"private":true}`), 403, "private")
	w.want("card", w.do("POST", "/api/validate-yaml", `{"content":"---\n","repoType":"model"}`), 200, `"errors":[]`)

	w.want("move", w.do("POST", "/api/repos/move", `{"fromRepo":"acme/own","toRepo":"acme/moved","type":"model"}`), 200, "")
	w.want("what was moved", w.do("GET", "/api/models/acme/moved", ""), 200, `"sha"`)
	w.want("where it was", w.do("GET", "/api/models/acme/own", ""), 404, "Repository not found")
	w.want("move onto another", w.do("POST", "/api/repos/move", `{"fromRepo":"acme/moved","toRepo":"acme/model"}`), 409, "exists")
	w.want("move of others", w.as("guest", "POST", "/api/repos/move", `{"fromRepo":"acme/moved","toRepo":"guest/x"}`), 403, "may not delete")
	w.want("move nothing", w.do("POST", "/api/repos/move", `{"fromRepo":"acme/own","toRepo":"acme/x"}`), 404, "Repository not found")

	w.upload([]byte("left behind"))
	w.want("delete of others", w.as("guest", "DELETE", remove, `{"name":"model","organization":"acme"}`), 403, "")
	w.want("delete", w.do("DELETE", remove, `{"name":"model","organization":"acme"}`), 200, "")
	w.want("delete again", w.do("DELETE", remove, `{"name":"model","organization":"acme"}`), 404, "Repository not found")
	w.want("what was deleted", w.do("GET", "/api/models/acme/model", ""), 404, "Repository not found")
	w.create()
	if w.has([]byte("left behind")) {
		t.Error("uploads outlive their repository")
	}
}

func TestUploadAndCommit(t *testing.T) {
	w := newWorld(t, 2)
	w.create()
	small, large := []byte(`{"a":1}`), noise(1, 90_000)
	w.want("preupload", w.do("POST", "/api/models/acme/model/preupload/main",
		`{"files":[{"path":"config.json","size":7,"sample":""},{"path":"w","size":6000000}]}`), 200,
		`[{"path":"config.json","uploadMode":"regular","shouldIgnore":false},{"path":"w","uploadMode":"lfs","shouldIgnore":false}]`)
	w.want("preupload elsewhere", w.do("POST", "/api/models/acme/none/preupload/main", `{"files":[]}`), 404, "Repository not found")
	w.want("preupload to no branch", w.do("POST", "/api/models/acme/model/preupload/dev", `{"files":[]}`), 404, "revision")

	up := w.batch(`"basic","multipart","xet"`, large)
	href, verify := up.field("objects", "0", "actions", "upload", "href"), up.field("objects", "0", "actions", "verify", "href")
	if up.field("transfer") != "basic" || href == "" {
		t.Fatalf("batch: %s", up.body)
	}
	w.want("verify before", w.do("POST", verify, fmt.Sprintf(`{"oid":%q,"size":900}`, sumOf(large))), 404, "nothing")
	w.want("commit before", w.commit(header(""), lfsFile("w", large)), 400, "upload it")
	for range 2 {
		w.want("upload", w.as("", "PUT", href, string(large)), 200, "")
	}
	w.want("verify", w.do("POST", verify, fmt.Sprintf(`{"oid":%q,"size":90000}`, sumOf(large))), 200, "")
	w.want("verify another size", w.do("POST", verify, fmt.Sprintf(`{"oid":%q,"size":9}`, sumOf(large))), 400, "has 90000 bytes, not 9")

	made := w.want("commit", w.commit(header(""), file("config.json", string(small)), lfsFile("w", large), file("empty", "")), 200, "commitOid")
	commit := made.field("commitOid")
	if len(commit) != 40 || !strings.HasSuffix(made.field("commitUrl"), "/acme/model/commit/"+commit) {
		t.Errorf("the commit is %s", made.body)
	}
	for _, at := range []string{"main", commit} {
		w.read(at, "config.json", small)
		w.read(at, "w", large)
		w.read(at, "empty", nil)
	}
	w.want("history", w.do("GET", "/api/models/acme/model/commits/main", ""), 200, `"message":"and more"`)
	w.want("preupload again", w.do("POST", "/api/models/acme/model/preupload/main", `{"files":[{"path":"config.json","size":7}]}`), 200,
		`"oid":"daa5053ecf5f9a37b2de733d0751cc1ab53ac010"`) // as git hash-object says
	if !w.has(large) || !w.has(small) || w.has([]byte("else")) {
		t.Error("the repository has other files")
	}
	w.want("copy", w.commit(header(commit), fmt.Sprintf(`{"key":"lfsFile","value":{"path":"w2","algo":"sha256","oid":%q}}`, sumOf(large)),
		`{"key":"copyFile","value":{"path":"c2","srcPath":"config.json","srcRevision":"main"}}`,
		`{"key":"copyFile","value":{"path":"c3","srcPath":"config.json","srcRevision":"`+commit+`"}}`), 200, "commitOid")
	for _, p := range []string{"c2", "c3", "config.json"} {
		w.read("main", p, small)
	}
	w.read("main", "w2", large)
	w.want("a stale parent", w.commit(header(commit), file("x", "1")), 412, "look at what came between")
	w.want("delete", w.commit(header(""), `{"key":"deletedFile","value":{"path":"w2"}}`, `{"key":"deletedFile","value":{"path":"c2"}}`), 200, "")
	w.want("what was deleted", w.do("GET", "/acme/model/resolve/main/w2", ""), 404, "w2")
	w.want("files", w.do("GET", "/api/models/acme/model/lfs-files", ""), 200, "[")
}

func TestBadUploads(t *testing.T) {
	w := newWorld(t, 1)
	w.create()
	b := noise(2, 10_000)
	href := w.batch(`"basic"`, b).field("objects", "0", "actions", "upload", "href")
	for what, r := range map[string]reply{
		"other bytes":        w.as("", "PUT", href, string(noise(3, 10_000))),
		"fewer bytes":        w.as("", "PUT", href, string(b[1:])),
		"more bytes":         w.as("", "PUT", href, string(b)+"x"),
		"no parts":           w.as("", "POST", href, `{"oid":"`+sumOf(b)+`","parts":[]}`),
		"parts of another":   w.as("", "POST", href, `{"oid":"`+sumOf(nil)+`","parts":[]}`),
		"unknown parts":      w.as("", "POST", href, `{"parts":[{"partNumber":1,"etag":"`+sumOf(nil)+`"}]}`),
		"parts of no hub":    w.as("", "POST", href, `{"parts":[{"partNumber":1,"etag":"x"}]}`),
		"a part twice":       w.as("", "POST", href, `{"parts":[{"partNumber":1,"etag":"`+sumOf(nil)+`"},{"partNumber":1,"etag":"`+sumOf(nil)+`"}]}`),
		"another repository": w.as("", "PUT", strings.Replace(href, "acme/model.git", "acme/other.git", 1), string(b)),
	} {
		w.want(what, r, 400, "")
	}
	for what, address := range map[string]string{
		"no permission": href[:strings.Index(href, "?")], "another permission": href[:len(href)-4] + "AAAA",
	} {
		w.want(what, w.do("PUT", address, string(b)), 403, "ask for another")
	}
	w.want("by another method", w.as("", "GET", href, ""), 405, "")
	if w.has(b) {
		t.Error("something was kept")
	}
	w.now = w.now.Add(25 * time.Hour)
	w.want("too late", w.as("", "PUT", href, string(b)), 403, "was good until")
	bad := w.want("bad objects", w.do("POST", "/acme/model.git/info/lfs/objects/batch",
		`{"operation":"upload","objects":[{"oid":"x","size":1},{"oid":"`+sumOf(b)+`","size":-1},{"oid":"`+sumOf(b)+`","size":10000}]}`), 200, "")
	if bad.field("objects", "0", "error", "code") != "422" || bad.field("objects", "1", "error", "code") != "422" || bad.field("objects", "2", "actions") == "" {
		t.Errorf("bad objects: %s", bad.body)
	}
	batch := "/acme/model.git/info/lfs/objects/batch"
	w.want("a download", w.do("POST", batch, `{"operation":"download"}`), 400, "resolve")
	w.want("another hash", w.do("POST", batch, `{"operation":"upload","hash_algo":"sha1"}`), 400, "sha256")
	w.want("no such repository", w.do("POST", "/acme/none.git/info/lfs/objects/batch", `{"operation":"upload"}`), 404, "Repository not found")
	w.want("a guest", w.as("guest", "POST", batch, `{"operation":"upload","objects":[{"oid":"`+sumOf(b)+`","size":10000}]}`), 403, "may not push")
	w.want("no such path", w.do("POST", "/acme/model.git/info/lfs/locks/verify", `{}`), 404, "")
}

// TestParts uploads a file in parts that go to several replicas.
func TestParts(t *testing.T) {
	w := newWorld(t, 3)
	w.create()
	b := noise(4, int(2*partSize)+1000)
	up := w.batch(`"basic","multipart"`, b)
	action := []string{"objects", "0", "actions", "upload"}
	href := up.field(append(action, "href")...)
	if up.field("transfer") != "multipart" || up.field(append(action, "header", "chunk_size")...) != fmt.Sprint(partSize) || up.field(append(action, "header", "00004")...) != "" {
		t.Fatalf("batch: %s", up.body)
	}
	complete := func(from, n int) string {
		var parts []string
		for i := from; i <= n; i++ {
			part := b[int64(i-1)*partSize : min(int64(len(b)), int64(i)*partSize)]
			parts = append(parts, fmt.Sprintf(`{"partNumber":%d,"etag":"\"%s\""}`, i, sumOf(part)))
		}
		return fmt.Sprintf(`{"oid":%q,"parts":[%s]}`, sumOf(b), strings.Join(parts, ","))
	}
	for i := 3; i >= 1; i-- {
		w.want("before its parts", w.as("", "POST", href, complete(1, 3)), 400, "was not uploaded")
		part := b[int64(i-1)*partSize : min(int64(len(b)), int64(i)*partSize)]
		r := w.want("part", w.as("", "PUT", up.field(append(action, "header", fmt.Sprintf("%05d", i))...), string(part)), 200, "")
		if got := strings.Trim(r.header.Get("ETag"), `"`); got != sumOf(part) {
			t.Errorf("part %d has etag %s", i, got)
		}
	}
	w.want("without the last", w.as("", "POST", href, complete(1, 2)), 400, "the parts have")
	w.want("without the first", w.as("", "POST", href, complete(2, 3)), 400, "part 1 is missing")
	for range 2 {
		w.want("complete", w.as("", "POST", href, complete(1, 3)), 200, "")
	}
	w.want("commit", w.commit(header(""), lfsFile("w", b)), 200, "")
	w.read("main", "w", b)
	if w.has(b[:partSize]) {
		t.Error("a part outlives the file")
	}
}

func TestBadCommits(t *testing.T) {
	w := newWorld(t, 1)
	w.create()
	w.want("a tag", w.do("POST", "/api/models/acme/model/tag/main", `{"tag":"v1"}`), 201, "")
	w.want("a commit", w.commit(header(""), file("a", "1")), 200, "")
	tests := []struct {
		name  string
		lines []string
		code  int
		says  string
	}{
		{"unknown key", []string{`{"key":"x","value":{}}`}, 400, "unknown key"},
		{"no JSON", []string{`{"key":"file"`}, 400, "line 2"},
		{"not base64", []string{`{"key":"file","value":{"content":"a?","path":"p"}}`}, 400, "content of a file"},
		{"short base64", []string{`{"key":"file","value":{"content":"YWJj","path":"p"}}`, `{"key":"file","value":{"content":"Y","path":"p"}}`}, 400, "content of a file"},
		{"cut off", []string{`{"key":"file","value":{"content":"YWJj`}, 400, "ends in the middle"},
		{"no content", []string{`{"key":"file","value":{"path":"p"}}`}, 400, "base64"},
		{"another encoding", []string{`{"key":"file","value":{"content":"YWJj","path":"p","encoding":"utf-8"}}`}, 400, "base64"},
		{"another hash", []string{`{"key":"lfsFile","value":{"path":"p","algo":"sha1","oid":"x"}}`}, 400, "sha256"},
		{"a long line", []string{`{"key":"file","value":{"path":"` + strings.Repeat("x", 70_000) + `"}}`}, 400, "longer lines"},
		{"a bad path", []string{file("../x", "1")}, 400, "../x"},
		{"a path twice over", []string{file("a/b", "1")}, 400, "a"},
		{"delete nothing", []string{`{"key":"deletedFile","value":{"path":"b"}}`}, 404, "delete file"},
		{"copy nothing", []string{`{"key":"copyFile","value":{"path":"b","srcPath":"c"}}`}, 404, "copy"},
		{"copy from nowhere", []string{`{"key":"copyFile","value":{"path":"b","srcPath":"c","srcRevision":"dev"}}`}, 404, "revision"},
		{"wrong size", []string{`{"key":"lfsFile","value":{"path":"p","algo":"sha256","oid":"` + sumOf([]byte("1")) + `","size":2}}`}, 400, "the commit says 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := *w
			v.t = t
			v.want("commit", v.commit(append([]string{header("")}, tt.lines...)...), tt.code, tt.says)
			v.read("main", "a", []byte("1"))
			if r := v.do("GET", "/api/models/acme/model/tree/main", ""); strings.Count(r.body, `"path"`) != 1 {
				t.Errorf("half a commit is there: %s", r.body)
			}
		})
	}
	line := header("") + "\n" + file("x", "1")
	w.want("no header", w.commit(file("x", "1")), 400, "header")
	w.want("nothing at all", w.commit("\n"), 400, "header")
	w.want("a pull request", w.do("POST", "/api/models/acme/model/commit/main?create_pr=1", line), 400, "pull requests")
	w.want("to a tag", w.do("POST", "/api/models/acme/model/commit/v1", line), 400, "is a tag")
	w.want("to no branch", w.do("POST", "/api/models/acme/model/commit/dev", line), 404, "no branch")
	w.want("to a commit", w.do("POST", "/api/models/acme/model/commit/"+strings.Repeat("a", 40), line), 404, "no branch")
	w.want("to no repository", w.do("POST", "/api/models/acme/none/commit/main", line), 404, "Repository not found")
	w.want("to a branch of git", w.do("POST", "/api/models/acme/model/commit/refs%2Fheads%2Fmain", line), 200, "")
	w.want("by a guest", w.as("guest", "POST", "/api/models/acme/model/commit/main", header("")+"\n"+file("x", "2")), 403, "may not push")
	w.read("main", "x", []byte("1"))
}

func TestRefs(t *testing.T) {
	w := newWorld(t, 2)
	w.create()
	const api = "/api/models/acme/model"
	first := w.want("commit", w.commit(header(""), file("a", "1")), 200, "").field("commitOid")
	w.want("another", w.commit(header(""), file("a", "2")), 200, "")
	w.want("branch", w.do("POST", api+"/branch/dev", `{"startingPoint":"`+first+`"}`), 201, "")
	w.want("branch of the head", w.do("POST", api+"/branch/same", ``), 201, "")
	w.want("branch again", w.do("POST", api+"/branch/dev", `{}`), 409, "already exists")
	w.want("branch from nowhere", w.do("POST", api+"/branch/x", `{"startingPoint":"nope"}`), 404, "revision")
	w.want("branch of a bad name", w.do("POST", api+"/branch/a%2Fb", `{}`), 400, "a/b")
	w.want("empty branch", w.do("POST", api+"/branch/x", `{"emptyBranch":true}`), 400, "empty")
	w.want("branch elsewhere", w.do("POST", "/api/models/acme/none/branch/x", `{}`), 404, "Repository not found")
	w.want("branch by a guest", w.as("guest", "POST", api+"/branch/x", `{}`), 403, "may not push")
	w.want("tag", w.do("POST", api+"/tag/"+first, `{"tag":"v1","message":"m"}`), 201, "")
	w.want("tag again", w.do("POST", api+"/tag/main", `{"tag":"v1"}`), 409, "already exists")
	w.want("commit to the branch", w.do("POST", api+"/commit/dev", header("")+"\n"+file("b", "3")), 200, "")
	w.read("dev", "a", []byte("1"))
	w.read("dev", "b", []byte("3"))
	w.read("main", "a", []byte("2"))
	w.read("v1", "a", []byte("1"))
	refs := w.want("refs", w.do("GET", api+"/refs", ""), 200, "")
	if refs.field("branches", "0", "name") != "dev" || refs.field("branches", "2", "name") != "same" || refs.field("tags", "0", "name") != "v1" {
		t.Errorf("refs: %s", refs.body)
	}
	w.want("delete a tag as a branch", w.do("DELETE", api+"/branch/v1", ""), 404, "no such reference")
	w.want("delete a branch as a tag", w.do("DELETE", api+"/tag/dev", ""), 404, "no such reference")
	w.want("delete the branch", w.do("DELETE", api+"/branch/dev", ""), 200, "")
	w.want("delete it again", w.do("DELETE", api+"/branch/dev", ""), 404, "no such reference")
	w.want("delete the default branch", w.do("DELETE", api+"/branch/main", ""), 403, "default branch")
	w.want("delete the tag", w.do("DELETE", api+"/tag/v1", ""), 200, "")
	w.want("squash", w.do("POST", api+"/super-squash/main", `{"message":"one"}`), 200, "")
	if log := w.do("GET", api+"/commits/main", ""); log.field("0", "title") != "one" || log.field("1", "title") != "" {
		t.Errorf("history: %s", log.body)
	}
	w.read("main", "a", []byte("2"))
	w.want("squash nothing", w.do("POST", api+"/super-squash/nope", `{}`), 404, "no branch")
}

// TestParallelCommits has clients commit at once at several replicas.
func TestParallelCommits(t *testing.T) {
	w := newWorld(t, 3)
	w.create()
	var group sync.WaitGroup
	for i := range 12 {
		v := *w
		v.turn = i
		group.Go(func() {
			if r := v.commit(header(""), file(fmt.Sprintf("f%d", i), "x")); r.status != 200 {
				t.Errorf("commit %d: %d %s", i, r.status, r.body)
			}
		})
	}
	group.Wait()
	for i := range 12 {
		w.read("main", fmt.Sprintf("f%d", i), []byte("x"))
	}
}

// TestUploadsExpire drops what nobody committed, and nothing else.
func TestUploadsExpire(t *testing.T) {
	w := newWorld(t, 1)
	w.create()
	kept, lost, late := noise(5, 30_000), noise(6, 30_000), noise(7, 30_000)
	w.upload(kept)
	w.upload(lost)
	w.want("commit", w.commit(header(""), lfsFile("w", kept)), 200, "")
	w.now = w.now.Add(4 * 24 * time.Hour)
	w.upload(late)
	w.now = w.now.Add(4 * 24 * time.Hour)
	if !w.has(late) { // which makes it last
		t.Error("an upload of four days is gone")
	}
	n, err := w.versions.DropUploads(t.Context(), w.now.Add(-ingest.Lasts))
	if n != 2 || err != nil {
		t.Errorf("%d uploads dropped, %v", n, err)
	}
	if w.has(lost) || !w.has(kept) || !w.has(late) {
		t.Error("other uploads were dropped")
	}
	w.now = w.now.Add(4 * 24 * time.Hour)
	if n, err := w.versions.DropUploads(t.Context(), w.now.Add(-ingest.Lasts)); n != 0 || err != nil {
		t.Errorf("%d uploads dropped that somebody asked for, %v", n, err)
	}
	w.read("main", "w", kept)
	w.upload(lost)
	w.want("commit", w.commit(header(""), lfsFile("l", lost)), 200, "")
	w.read("main", "l", lost)
	list, err := w.versions.Repos(t.Context(), access.Principal{}, "", "", 10)
	if err != nil || len(list.Repos) != 1 {
		t.Errorf("repositories: %v, %v", list.Repos, err)
	}
	if r := w.do("GET", "/api/models/acme/model.git", ""); r.status != 404 {
		t.Errorf("uploads are shown: %d", r.status)
	}
	if bytes.Contains([]byte(w.do("GET", "/api/models", "").body), []byte(".git")) {
		t.Error("uploads are listed")
	}
}
