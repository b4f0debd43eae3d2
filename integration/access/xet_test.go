package access_test

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// cas is where the role sends and fetches by Xet.
type cas struct {
	URL   string `json:"casUrl"`
	Token string `json:"accessToken"`
}

// cas asks for a token, to read or to write. Where the role gets none it has nothing but
// the address.
func (c *cell) cas(kind string) cas {
	c.t.Helper()
	var got cas
	path := "/api/models/" + c.repo + "/xet-" + kind + "-token/main"
	if a := c.ask(c.token(), request{path: path}); a.status == http.StatusOK {
		if err := json.Unmarshal(a.body, &got); err != nil {
			c.t.Fatal(err)
		}
		return got
	}
	c.root(http.StatusOK, request{path: path}, &got)
	got.Token = "-"
	return got
}

// sha256 returns that of the one file of main.
func (c *cell) sha256() string {
	c.t.Helper()
	var sums openapi.FileHashes
	c.root(http.StatusOK, request{path: c.at("/versions/" + c.mainOf().Digest.String() + "/sha256")}, &sums)
	for _, f := range sums.Files {
		if f.Path == "config.json" {
			return f.SHA256
		}
	}
	c.t.Fatalf("%+v", sums)
	return ""
}

func xetRows() []row {
	readers := outcomes{"401", yes, yes, yes, yes, "401", yes}
	hash := strings.Repeat("ab", 32)
	// What is sent is no xorb, and no shard: who may send is told so.
	told := []int{http.StatusBadRequest}
	return []row{
		{"GET a reconstruction, with the token for reading", readers, func(c *cell) request {
			a := c.cas("read")
			return request{path: a.URL + "/v1/reconstructions/" + c.sha256(), token: a.Token}
		}, nil},
		{"GET a row, at the address told", outcomes{"403", yes, yes, yes, yes, "403", yes}, func(c *cell) request {
			return request{path: c.rowAddress(), token: "-"}
		}, nil},
		{"GET a chunk that others have", outcomes{"401", "404", "404", "404", "404", "401", "404"}, func(c *cell) request {
			a := c.cas("read")
			return request{path: a.URL + "/v1/chunks/default/" + hash, token: a.Token}
		}, nil},
		{"POST a xorb, with the token for writing", granted, func(c *cell) request {
			a := c.cas("write")
			return request{method: "POST", path: a.URL + "/v1/xorbs/default/" + hash, media: "application/octet-stream", body: "x", token: a.Token}
		}, told},
		{"POST a xorb, with the token for reading", outcomes{"401", "403", "403", "403", "403", "401", "403"}, func(c *cell) request {
			a := c.cas("read")
			return request{method: "POST", path: a.URL + "/v1/xorbs/default/" + hash, media: "application/octet-stream", body: "x", token: a.Token}
		}, told},
		{"POST a shard, with the token for writing", granted, func(c *cell) request {
			a := c.cas("write")
			return request{method: "POST", path: a.URL + "/v1/shards", media: "application/octet-stream", body: "x", token: a.Token}
		}, told},
		{"POST telemetry", readers, func(c *cell) request {
			a := c.cas("read")
			return request{method: "POST", path: a.URL + "/v1/telemetry", body: "{}", token: a.Token}
		}, nil},
	}
}

// rowAddress is an address that the role is told for bytes of main; where it is told
// none, one that nobody was given.
func (c *cell) rowAddress() string {
	c.t.Helper()
	access := c.cas("read")
	var plan struct {
		Infos map[string][]struct{ URL string } `json:"fetch_info"`
	}
	a := c.ask(access.Token, request{path: access.URL + "/v1/reconstructions/" + c.sha256(), token: access.Token})
	if a.status == http.StatusOK {
		if err := json.Unmarshal(a.body, &plan); err != nil {
			c.t.Fatal(err)
		}
		for _, infos := range plan.Infos {
			return infos[0].URL
		}
		c.t.Fatalf("%s", a.body)
	}
	return access.URL + "/v1/rows/0?grant=" + strings.Repeat("e", 40) + ".e30"
}
