package access_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/signature"
)

// restRows has a row for every operation of registry.yaml.
func restRows() []row {
	var rows []row
	for _, some := range [][]row{registryRows(), accessRows(), versionRows(), signatureRows(), tagRows(), pushRows(), nodeRows()} {
		rows = append(rows, some...)
	}
	return rows
}

func get(path string) func(*cell) request { return func(*cell) request { return request{path: path} } }

func post(path, body string) func(*cell) request {
	return func(*cell) request { return request{method: "POST", path: path, body: body} }
}

func registryRows() []row {
	return []row{
		{"getRoot", all, get("/"), nil},
		{"getDocs", all, get("/docs"), nil},
		{"getHealth", all, get("/healthz"), nil},
		{"getSpec", all, get("/openapi.yaml"), nil},
		{"getMetrics", upkeep, get("/metrics"), nil},
		{"getStats", all, get("/v1/stats"), nil},
		{"getSummary", all, get("/v1/summary"), nil},
		{"collectGarbage", upkeep, post("/v1/gc", `{"dry_run":true}`), nil},
		{"verifyStore", upkeep, post("/v1/verify", `{"deep":false}`), nil},
		{"compactStore", upkeep, post("/v1/compact", `{}`), nil},
		{"listUpstreams", upkeep, get("/v1/upstreams"), nil},
		{"registerUpstream", upkeep, func(*cell) request {
			return request{method: "PUT", path: "/v1/upstreams/archive", body: `{"url":"http://127.0.0.1:9","ttl":60}`}
		}, nil},
		{"forgetUpstream", upkeep, func(c *cell) request {
			c.root(http.StatusNoContent, request{method: "PUT", path: "/v1/upstreams/archive", body: `{"url":"http://127.0.0.1:9","ttl":60}`}, nil)
			return request{method: "DELETE", path: "/v1/upstreams/archive"}
		}, nil},
		{"listQuotas", all, get("/v1/quotas"), nil},
		{"getQuota", reads, func(c *cell) request {
			namespace, _, _ := strings.Cut(c.repo, "/")
			return request{path: "/v1/quotas/" + namespace}
		}, nil},
		{"setQuota", runsOf, func(*cell) request {
			return request{method: "PUT", path: "/v1/quotas/acme", body: `{"max_bytes":1073741824}`}
		}, nil},
		{"clearQuota", runsOf, func(c *cell) request {
			c.root(http.StatusOK, request{method: "PUT", path: "/v1/quotas/acme", body: `{"max_bytes":1073741824}`}, nil)
			return request{method: "DELETE", path: "/v1/quotas/acme"}
		}, nil},
		{"listRepos", all, get("/v1/repos"), nil},
		{"getDiff", reads, func(c *cell) request { return request{path: "/v1/diff?a=" + c.repo + "&b=" + c.repo} }, nil},
	}
}

func accessRows() []row {
	protect := func(pattern string) request {
		return request{method: "PUT", path: "/v1/protections", body: `{"pattern":` + quoted(pattern) + `}`}
	}
	return []row{
		{"whoami", all, get("/v1/whoami"), nil},
		{"beginSession", all, func(c *cell) request {
			return request{method: "POST", path: "/v1/session", body: `{"token":` + quoted(c.tokens[pull]) + `}`}
		}, nil},
		{"endSession", all, func(*cell) request { return request{method: "DELETE", path: "/v1/session"} }, nil},
		{"listTokens", all, get("/v1/tokens"), nil},
		{"createToken", rules, post("/v1/tokens", `{"scopes":["acme/*:push"]}`), nil},
		{"revokeToken", outcomes{"401", "401", "404", "404", "404", "404", yes}, func(c *cell) request {
			var made openapi.NewToken
			c.root(http.StatusCreated, request{method: "POST", path: "/v1/tokens", body: `{"scopes":["acme/*:pull"]}`}, &made)
			return request{method: "DELETE", path: "/v1/tokens/" + made.ID}
		}, nil},
		// Who has a JWT of an issuer is somebody by that; this one is of nobody's.
		{"exchangeToken", outcomes{"403", "403", "403", "403", "403", "403", "403"}, post("/v1/tokens/exchange", `{"token":"e30.e30.e30"}`), nil},
		{"listProtections", all, get("/v1/protections"), nil},
		{"setProtection", rules, func(*cell) request { return protect("acme/*:frozen") }, nil},
		{"removeProtection", rules, func(c *cell) request {
			c.root(http.StatusOK, protect("acme/*:frozen"), nil)
			return request{method: "DELETE", path: "/v1/protections?pattern=acme/*:frozen"}
		}, nil},
	}
}

func versionRows() []row {
	retention := `{"keep_last":1000000}`
	ruled := func(c *cell) {
		c.root(http.StatusOK, request{method: "PUT", path: c.at("/retention"), body: retention}, nil)
	}
	ofVersion := func(path string) func(*cell) request {
		return func(c *cell) request {
			var t openapi.Tag
			c.root(http.StatusOK, request{path: c.at("/tags/main")}, &t)
			return request{path: c.at("/versions/" + t.Digest.String() + path)}
		}
	}
	return []row{
		{"listVersions", reads, func(c *cell) request { return request{path: c.at("/versions")} }, nil},
		{"getVersion", reads, ofVersion(""), nil},
		{"deleteVersion", admins, func(c *cell) request {
			return request{method: "DELETE", path: c.at("/versions/" + c.version("").digest)}
		}, nil},
		{"getFileHashes", reads, ofVersion("/sha256"), nil},
		{"getEncodings", reads, ofVersion("/encodings"), nil},
		{"getChunk", reads, ofVersion("/chunks/0"), nil},
		{"getChunks", reads, ofVersion("/chunks?i=0"), nil},
		{"getLayerMap", reads, ofVersion("/map"), nil},
		{"getRepoSummary", reads, func(c *cell) request { return request{path: c.at("/summary")} }, nil},
		{"getLog", reads, func(c *cell) request { return request{path: c.at("/log")} }, nil},
		{"getRetention", reads, func(c *cell) request {
			ruled(c)
			return request{path: c.at("/retention")}
		}, nil},
		{"setRetention", admins, func(c *cell) request {
			return request{method: "PUT", path: c.at("/retention"), body: retention}
		}, nil},
		{"applyRetention", admins, func(c *cell) request {
			ruled(c)
			return request{method: "POST", path: c.at("/retention/apply")}
		}, nil},
		{"clearRetention", admins, func(c *cell) request {
			ruled(c)
			return request{method: "DELETE", path: c.at("/retention")}
		}, nil},
	}
}

// signed returns the address of a signature of a new version, and the signature.
func (c *cell) signed() (path, bundle string) {
	c.t.Helper()
	key, err := signature.Generate()
	if err != nil {
		c.t.Fatal(err)
	}
	v := c.version("")
	text, err := signature.Sign(key, []byte(v.doc), signature.Claim{})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.at("/versions/" + v.digest + "/signatures/" + signature.ID(text).String()), string(text)
}

const mediaBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"

func signatureRows() []row {
	stored := func(c *cell) string {
		path, bundle := c.signed()
		c.root(http.StatusOK, request{method: "PUT", path: path, media: mediaBundle, body: bundle}, nil)
		return path
	}
	return []row{
		{"listSignatures", reads, func(c *cell) request {
			return request{path: c.at("/versions/" + c.mainOf().Digest.String() + "/signatures")}
		}, nil},
		{"getSignature", reads, func(c *cell) request { return request{path: stored(c)} }, nil},
		{"putSignature", pushes, func(c *cell) request {
			path, bundle := c.signed()
			return request{method: "PUT", path: path, media: mediaBundle, body: bundle}
		}, nil},
		{"deleteSignature", admins, func(c *cell) request { return request{method: "DELETE", path: stored(c)} }, nil},
	}
}

func tagRows() []row {
	return []row{
		{"listTags", reads, func(c *cell) request { return request{path: c.at("/tags")} }, nil},
		{"getTag", reads, func(c *cell) request { return request{path: c.at("/tags/main")} }, nil},
		{"setTag", pushes, func(c *cell) request {
			v := c.version("")
			return request{method: "PUT", path: c.at(fmt.Sprintf("/tags/set%d", c.made.Add(1))), body: `{"digest":` + quoted(v.digest) + `}`}
		}, nil},
		{"deleteTag", pushes, func(c *cell) request {
			tag, _ := c.tag()
			return request{method: "DELETE", path: c.at("/tags/" + tag)}
		}, nil},
	}
}

func pushRows() []row {
	return []row{
		{"startPush", pushes, func(c *cell) request { return request{method: "POST", path: c.at("/pushes")} }, nil},
		{"getPush", ofPush, func(c *cell) request { return request{path: "/v1/pushes/" + c.push()} }, nil},
		{"findMissing", ofPush, func(c *cell) request {
			return request{method: "POST", path: "/v1/pushes/" + c.push() + "/missing", media: openapi.MediaDigests, body: strings.Repeat("d", 32)}
		}, nil},
		{"putChunk", ofPush, func(c *cell) request {
			v := c.newVersion()
			return request{method: "PUT", path: "/v1/pushes/" + c.push() + "/chunks/" + v.chunk.Digest.String(), media: openapi.MediaChunk, body: v.encoded()}
		}, nil},
		{"putChunks", ofPush, func(c *cell) request {
			v := c.newVersion()
			return request{method: "POST", path: "/v1/pushes/" + c.push() + "/chunks", media: openapi.MediaChunks, body: string(openapi.AppendFrame(nil, v.chunk.Digest, []byte(v.encoded())))}
		}, nil},
		{"commitPush", ofPush, func(c *cell) request {
			v, id := c.newVersion(), c.push()
			chunk := request{method: "PUT", path: "/v1/pushes/" + id + "/chunks/" + v.chunk.Digest.String(), media: openapi.MediaChunk, body: v.encoded()}
			if a := c.ask(c.token(), chunk); a.status != http.StatusCreated {
				c.root(http.StatusCreated, chunk, nil)
			}
			return request{method: "POST", path: "/v1/pushes/" + id + "/commit", media: openapi.MediaManifest, body: v.doc}
		}, nil},
	}
}

func nodeRows() []row {
	report := `{"program":"test","ttl":60,"tiers":{"disk":{"used":0,"budget":0,"models":0},"ram":{"used":0,"budget":0,"models":0},"gpu":{"used":0,"budget":0,"models":0}},"models":[]}`
	return []row{
		{"listenEvents", all, get("/v1/events?match=*"), nil},
		{"listNodes", all, get("/v1/nodes"), nil},
		{"reportNode", named, func(c *cell) request {
			return request{method: "PUT", path: fmt.Sprintf("/v1/nodes/node-%d", c.role), body: report}
		}, nil},
		{"forgetNode", named, func(c *cell) request {
			return request{method: "DELETE", path: fmt.Sprintf("/v1/nodes/node-%d", c.role)}
		}, nil},
	}
}
