package access_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// model is the address of something of the repository on the Hub.
func model(c *cell, path string) string { return "/api/models/" + c.repo + path }

// commitBody is a commit of one small file.
func commitBody(c *cell) string {
	return fmt.Sprintf("{\"key\":\"header\",\"value\":{\"summary\":\"a\"}}\n{\"key\":\"file\",\"value\":{\"path\":\"f%d\",\"content\":\"aGVsbG8=\",\"encoding\":\"base64\"}}\n", c.made.Add(1))
}

const mediaLines = "application/x-ndjson"

// hubRepo is the body of a question about a repository.
func hubRepo(repo string) string { return `{"type":"model","name":` + quoted(repo) + `}` }

// fresh returns a repository of the same namespace that only this cell knows.
func (c *cell) fresh() string {
	namespace, _, _ := strings.Cut(c.repo, "/")
	return fmt.Sprintf("%s/fresh%d", namespace, c.made.Add(1))
}

// created is fresh, and there.
func (c *cell) created() string {
	c.t.Helper()
	repo := c.fresh()
	c.root(http.StatusOK, request{method: "POST", path: "/api/repos/create", body: hubRepo(repo)}, nil)
	return repo
}

// ref has a branch or tag made.
func (c *cell) ref(kind string) string {
	c.t.Helper()
	ref := fmt.Sprintf("ref%d", c.made.Add(1))
	q := request{method: "POST", path: model(c, "/branch/"+ref), body: `{}`}
	if kind == "tag" {
		q = request{method: "POST", path: model(c, "/tag/main"), body: `{"tag":` + quoted(ref) + `}`}
	}
	c.root(http.StatusCreated, q, nil)
	return ref
}

// lfsObject is a file that nobody has uploaded.
func lfsObject(c *cell) (oid, content string) {
	content = fmt.Sprintf("object %d", c.made.Add(1))
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:]), content
}

func lfsBatch(oid, content string) string {
	return fmt.Sprintf(`{"operation":"upload","transfers":["basic"],"objects":[{"oid":%q,"size":%d}],"hash_algo":"sha256"}`, oid, len(content))
}

const mediaLFS = "application/vnd.git-lfs+json"

// address is where the role is told to upload a file; where it is told nothing, one that
// nobody was given.
func (c *cell) address(oid, content string) string {
	c.t.Helper()
	path := "/" + c.repo + ".git/info/lfs/objects/"
	a := c.ask(c.token(), request{method: "POST", path: path + "batch", media: mediaLFS, body: lfsBatch(oid, content)})
	var told struct {
		Objects []struct {
			Actions struct{ Upload struct{ Href string } }
		}
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &told) != nil || len(told.Objects) == 0 || told.Objects[0].Actions.Upload.Href == "" {
		return path + "upload?token=" + strings.Repeat("e", 40) + ".e30"
	}
	return told.Objects[0].Actions.Upload.Href
}

func hubRows() []row {
	return append(hubReads(), hubWrites()...)
}

func hubReads() []row {
	of := func(path string) func(*cell) request {
		return func(c *cell) request { return request{path: model(c, path)} }
	}
	return []row{
		{"GET whoami-v2", outcomes{"401", "401", yes, yes, yes, yes, yes}, get("/api/whoami-v2"), nil},
		{"GET models", all, get("/api/models?limit=10"), nil},
		{"GET a model", reads, of(""), nil},
		{"GET a revision", reads, of("/revision/main"), nil},
		{"GET a tree", reads, of("/tree/main"), nil},
		{"POST paths-info", reads, func(c *cell) request {
			return request{method: "POST", path: model(c, "/paths-info/main"), body: `{"paths":["config.json"]}`}
		}, nil},
		{"GET refs", reads, of("/refs"), nil},
		{"GET commits", reads, of("/commits/main"), nil},
		{"GET auth-check", reads, of("/auth-check"), nil},
		{"GET lfs-files", reads, of("/lfs-files"), nil},
		{"GET xet-read-token", reads, of("/xet-read-token/main"), nil},
		{"HEAD a file", reads, func(c *cell) request {
			return request{method: "HEAD", path: "/" + c.repo + "/resolve/main/config.json"}
		}, nil},
		{"GET a file", reads, func(c *cell) request { return request{path: "/" + c.repo + "/resolve/main/config.json"} }, nil},
		{"GET a file, raw", reads, func(c *cell) request { return request{path: "/" + c.repo + "/raw/main/config.json"} }, nil},
	}
}

func hubWrites() []row {
	return []row{
		{"POST repos/create", outcomes{"401", "401", "403", yes, yes, "404", yes}, func(c *cell) request {
			return request{method: "POST", path: "/api/repos/create", body: hubRepo(c.fresh())}
		}, nil},
		{"DELETE repos/delete", admins, func(c *cell) request {
			return request{method: "DELETE", path: "/api/repos/delete", body: hubRepo(c.created())}
		}, nil},
		{"POST repos/move", admins, func(c *cell) request {
			return request{method: "POST", path: "/api/repos/move", body: fmt.Sprintf(`{"fromRepo":%q,"toRepo":%q,"type":"model"}`, c.created(), c.fresh())}
		}, nil},
		{"PUT settings, as they are", reads, func(c *cell) request {
			return request{method: "PUT", path: model(c, "/settings"), body: `{"private":false}`}
		}, nil},
		{"POST preupload", pushes, func(c *cell) request {
			return request{method: "POST", path: model(c, "/preupload/main"), body: `{"files":[{"path":"a","size":5}]}`}
		}, nil},
		{"POST commit", pushes, func(c *cell) request {
			return request{method: "POST", path: model(c, "/commit/main"), media: mediaLines, body: commitBody(c)}
		}, nil},
		{"POST branch", pushes, func(c *cell) request {
			return request{method: "POST", path: model(c, fmt.Sprintf("/branch/new%d", c.made.Add(1))), body: `{}`}
		}, nil},
		{"DELETE branch", pushes, func(c *cell) request {
			return request{method: "DELETE", path: model(c, "/branch/"+c.ref("branch"))}
		}, nil},
		{"POST tag", pushes, func(c *cell) request {
			return request{method: "POST", path: model(c, "/tag/main"), body: fmt.Sprintf(`{"tag":"new%d"}`, c.made.Add(1))}
		}, nil},
		{"DELETE tag", pushes, func(c *cell) request {
			return request{method: "DELETE", path: model(c, "/tag/"+c.ref("tag"))}
		}, nil},
		{"POST super-squash", pushes, func(c *cell) request {
			return request{method: "POST", path: model(c, "/super-squash/main"), body: `{}`}
		}, nil},
		{"GET xet-write-token", pushes, func(c *cell) request { return request{path: model(c, "/xet-write-token/main")} }, nil},
		{"POST LFS batch", pushes, func(c *cell) request {
			return request{method: "POST", path: "/" + c.repo + ".git/info/lfs/objects/batch", media: mediaLFS, body: lfsBatch(lfsObject(c))}
		}, nil},
		{"PUT LFS upload, at the address told", outcomes{"403", "403", "403", yes, yes, "403", yes}, func(c *cell) request {
			oid, content := lfsObject(c)
			return request{method: "PUT", path: c.address(oid, content), media: "application/octet-stream", body: content, token: "-"}
		}, nil},
		{"POST LFS verify", reads, func(c *cell) request {
			oid, content := lfsObject(c)
			root := &cell{world: c.world, role: runs, repo: c.repo}
			c.root(http.StatusOK, request{method: "PUT", path: root.address(oid, content), media: "application/octet-stream", body: content, token: "-"}, nil)
			return request{method: "POST", path: "/" + c.repo + ".git/info/lfs/objects/verify", media: mediaLFS, body: fmt.Sprintf(`{"oid":%q,"size":%d}`, oid, len(content))}
		}, nil},
		{"POST validate-yaml", all, func(*cell) request {
			return request{method: "POST", path: "/api/validate-yaml", body: `{"content":"---"}`}
		}, nil},
	}
}

// mainOf returns where main of the repository points.
func (c *cell) mainOf() openapi.Tag {
	c.t.Helper()
	var t openapi.Tag
	c.root(http.StatusOK, request{path: c.at("/tags/main")}, &t)
	return t
}
