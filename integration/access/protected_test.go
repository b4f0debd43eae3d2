package access_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestProtectedTags moves and deletes a protected tag in every way that there is: who
// may push is refused, and an admin is not.
func TestProtectedTags(t *testing.T) {
	w := newWorld(t)
	root := &cell{world: w, role: runs, repo: "acme/llama"}
	root.root(http.StatusOK, request{method: "PUT", path: "/v1/protections", body: `{"pattern":"acme/*:prod*"}`}, nil)
	root.root(http.StatusOK, request{method: "PUT", path: "/v1/protections", body: `{"pattern":"acme/*:v*","create":true}`}, nil)
	// Every try has a tag of its own, so that none depends on the one before.
	made := func(kind string) string {
		tag := fmt.Sprintf("prod%d", w.made.Add(1))
		if kind == "branch" {
			root.root(http.StatusCreated, request{method: "POST", path: model(root, "/branch/"+tag), body: `{}`}, nil)
		} else {
			root.root(http.StatusCreated, request{method: "POST", path: model(root, "/tag/main"), body: `{"tag":` + quoted(tag) + `}`}, nil)
		}
		return tag
	}
	for what, ask := range map[string]func(c *cell) request{
		"REST, make": func(c *cell) request {
			return request{method: "PUT", path: c.at(fmt.Sprintf("/tags/prod%d", w.made.Add(1))), body: `{"digest":` + quoted(c.mainOf().Digest) + `}`}
		},
		"REST, move": func(c *cell) request {
			return request{method: "PUT", path: c.at("/tags/" + made("tag")), body: `{"digest":` + quoted(c.version("").digest) + `}`}
		},
		"REST, delete": func(c *cell) request { return request{method: "DELETE", path: c.at("/tags/" + made("tag"))} },
		"REST, commit": func(c *cell) request { return c.commitAs(made("tag")) },
		"Hub, commit": func(c *cell) request {
			return request{method: "POST", path: model(c, "/commit/"+made("branch")), media: mediaLines, body: commitBody(c)}
		},
		"Hub, squash": func(c *cell) request {
			return request{method: "POST", path: model(c, "/super-squash/"+made("branch")), body: `{}`}
		},
		"Hub, make a branch": func(c *cell) request {
			return request{method: "POST", path: model(c, fmt.Sprintf("/branch/prod%d", w.made.Add(1))), body: `{}`}
		},
		"Hub, make a tag": func(c *cell) request {
			return request{method: "POST", path: model(c, "/tag/main"), body: fmt.Sprintf(`{"tag":"prod%d"}`, w.made.Add(1))}
		},
		"Hub, delete a branch": func(c *cell) request { return request{method: "DELETE", path: model(c, "/branch/"+made("branch"))} },
		"Hub, delete a tag":    func(c *cell) request { return request{method: "DELETE", path: model(c, "/tag/"+made("tag"))} },
	} {
		for role, want := range map[role]int{push: http.StatusForbidden, admin: http.StatusOK} {
			c := &cell{world: w, role: role, repo: "acme/llama"}
			a := w.ask(c.token(), ask(c))
			if ok := a.status < http.StatusMultipleChoices; ok != (want == http.StatusOK) || !ok && a.status != want {
				t.Errorf("%s, as %s: %d %s", what, roleNames[role], a.status, a.body)
			}
			if a.status == http.StatusForbidden && !strings.Contains(string(a.body), "acme/*:prod*") {
				t.Errorf("%s: it does not say what protects the tag: %s", what, a.body)
			}
		}
	}
}

// TestReleasedTags may be made by who pushes, once.
func TestReleasedTags(t *testing.T) {
	w := newWorld(t)
	c := &cell{world: w, role: push, repo: "acme/llama"}
	c.root(http.StatusOK, request{method: "PUT", path: "/v1/protections", body: `{"pattern":"acme/*:v*","create":true}`}, nil)
	first := c.version("").digest
	set := func(d string) request {
		return request{method: "PUT", path: c.at("/tags/v1"), body: `{"digest":` + quoted(d) + `}`}
	}
	w.do(http.StatusOK, c.token(), set(first), nil)
	w.do(http.StatusOK, c.token(), set(first), nil) // it is where it is to go: the first answer may have been lost
	w.do(http.StatusForbidden, c.token(), set(c.version("").digest), nil)
	w.do(http.StatusForbidden, c.token(), request{method: "DELETE", path: c.at("/tags/v1")}, nil)
	var tag openapi.Tag
	w.do(http.StatusOK, c.token(), request{path: c.at("/tags/v1")}, &tag)
	if tag.Digest.String() != first {
		t.Errorf("the tag is at %s, want %s", tag.Digest, first)
	}
}

// TestRefusedCommit leaves nothing to be seen of a version whose tag is protected.
func TestRefusedCommit(t *testing.T) {
	w := newWorld(t)
	c := &cell{world: w, role: push, repo: "acme/llama"}
	c.root(http.StatusOK, request{method: "PUT", path: "/v1/protections", body: `{"pattern":"acme/*:prod"}`}, nil)
	before := c.versions()
	w.do(http.StatusForbidden, c.token(), c.commitAs("prod"), nil)
	if after := c.versions(); after != before {
		t.Errorf("%d versions, %d before", after, before)
	}
}

func (c *cell) versions() int {
	c.t.Helper()
	var list openapi.VersionList
	c.root(http.StatusOK, request{path: c.at("/versions?limit=1000")}, &list)
	return len(list.Versions)
}

// commitAs is the commit of a new version, which the role has uploaded, under a tag.
func (c *cell) commitAs(tag string) request {
	c.t.Helper()
	v, id := c.newVersion(), c.push()
	c.do(http.StatusCreated, c.token(), request{method: "PUT", path: "/v1/pushes/" + id + "/chunks/" + v.chunk.Digest.String(), media: openapi.MediaChunk, body: v.encoded()}, nil)
	return request{method: "POST", path: "/v1/pushes/" + id + "/commit?tag=" + tag, media: openapi.MediaManifest, body: v.doc}
}
