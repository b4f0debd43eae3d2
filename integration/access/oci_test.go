package access_test

import (
	"encoding/json"
	"net/http"
)

func ociRows() []row {
	of := func(path string) func(*cell) request {
		return func(c *cell) request { return request{path: "/v2/" + c.repo + path} }
	}
	refused := outcomes{"405", "405", "405", "405", "405", "405", "405"}
	return []row{
		{"GET /v2/", outcomes{"401", "401", yes, yes, yes, yes, yes}, get("/v2/"), nil},
		{"GET tags", reads, of("/tags/list"), nil},
		{"GET a manifest by tag", reads, of("/manifests/main"), nil},
		{"GET a manifest by digest", reads, func(c *cell) request {
			return request{path: "/v2/" + c.repo + "/manifests/" + c.artifact().digest}
		}, nil},
		{"HEAD a manifest", reads, func(c *cell) request {
			return request{method: "HEAD", path: "/v2/" + c.repo + "/manifests/main"}
		}, nil},
		{"GET a blob", reads, func(c *cell) request {
			return request{path: "/v2/" + c.repo + "/blobs/" + c.artifact().blob}
		}, nil},
		{"HEAD a blob", reads, func(c *cell) request {
			return request{method: "HEAD", path: "/v2/" + c.repo + "/blobs/" + c.artifact().blob}
		}, nil},
		{"GET referrers", reads, func(c *cell) request {
			return request{path: "/v2/" + c.repo + "/referrers/" + c.artifact().digest}
		}, nil},
		{"POST an upload, or mount a blob", refused, func(c *cell) request {
			return request{method: "POST", path: "/v2/" + c.repo + "/blobs/uploads/?mount=" + c.artifact().blob + "&from=other/llama"}
		}, nil},
		{"PUT a manifest", refused, func(c *cell) request {
			return request{method: "PUT", path: "/v2/" + c.repo + "/manifests/main", body: "{}"}
		}, nil},
		{"DELETE a manifest", refused, func(c *cell) request {
			return request{method: "DELETE", path: "/v2/" + c.repo + "/manifests/main"}
		}, nil},
	}
}

// artifact is main of the repository as OCI has it.
type artifact struct{ digest, blob string }

func (c *cell) artifact() artifact {
	c.t.Helper()
	var doc struct{ Layers []struct{ Digest string } }
	a := c.root(http.StatusOK, request{path: "/v2/" + c.repo + "/manifests/main"}, nil)
	if err := json.Unmarshal(a.body, &doc); err != nil || len(doc.Layers) == 0 {
		c.t.Fatalf("%s: %v", a.body, err)
	}
	return artifact{a.header.Get("Docker-Content-Digest"), doc.Layers[0].Digest}
}
