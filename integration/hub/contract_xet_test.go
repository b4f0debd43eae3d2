package hub_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// xetRows are the end points that clients of Xet use.
var xetRows = []string{"tokens", "announced", "chunks", "xorbs", "shards", "telemetry", "reconstructions", "data"}

// bearer and reader are sent by who has a token to send files, and to fetch them.
var (
	bearer = map[string]string{"Authorization": "Bearer {xet}"}
	reader = map[string]string{"Authorization": "Bearer {xetread}"}
)

// TestXetContract holds a registry to every row of Xet, with what hf_xet has sent.
func TestXetContract(t *testing.T) {
	t.Parallel()
	registry := serve(t)
	content := safetensors("w", 4_500_000, 41) // large enough to be announced
	commit := registry.push(t, write(t, map[string][]byte{"model.safetensors": content, "small.txt": []byte("small\n")}), "acme/large")
	c := newContract(t, registry.url)
	c.vars["commit"], c.vars["sum"], c.vars["size"] = commit, sumOf(content), strconv.Itoa(len(content))
	c.testXetWrite()
	c.testXetRead(content)
	c.checkRows(xetRows...)
}

// golden returns what a real client has sent.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../registry/internal/xet/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hashText returns a hash as Xet writes it: four numbers.
func hashText(b []byte) (text string) {
	for i := 0; i < 32; i += 8 {
		text += fmt.Sprintf("%016x", binary.LittleEndian.Uint64(b[i:]))
	}
	return text
}

// testXetWrite sends a file as hf_xet does: its chunks in a xorb, then a shard that says
// which of them make the file, then a commit.
func (c *contract) testXetWrite() {
	c.t.Helper()
	xorb, shard, floats := golden(c.t, "hf_xet.xorb"), golden(c.t, "hf_xet.shard"), golden(c.t, "floats")
	c.vars["xorb"] = hashText(shard[96:])
	if sum := hashText(shard[384:]); sum != sumOf(floats) {
		c.t.Fatalf("the shard is of the file %s, want %s", sum, sumOf(floats))
	}
	c.vars["floats"], c.vars["floatsize"] = sumOf(floats), strconv.Itoa(len(floats))
	c.run(exchange{row: "tokens", name: "model to write to", ask: "POST /api/repos/create", with: authorized, body: `{"name":"xet","organization":"acme"}`, want: 200})
	c.run(exchange{row: "tokens", name: "no such model", ask: "GET /api/models/acme/none/xet-write-token/main", with: authorized, want: 404, headers: missing("RepoNotFound")})
	c.token("xet", "GET /api/models/acme/xet/xet-write-token/main")
	c.vars["other"] = strings.Repeat("0", 64)
	c.all([]exchange{
		{row: "chunks", name: "not known", ask: "GET {cas}/v1/chunks/default-merkledb/{other}", with: bearer, want: 404},
		{row: "chunks", name: "of JavaScript", ask: "GET {cas}/v1/chunks/default/{other}", with: bearer, want: 404},
		{row: "chunks", name: "no token", ask: "GET {cas}/v1/chunks/default/{other}", want: 401},
		{row: "shards", name: "of a xorb that nobody sent", ask: "POST {cas}/v1/shards", with: bearer, raw: shard, want: 404, json: `{"error":"~.+"}`},
		{row: "xorbs", name: "of another name", ask: "POST {cas}/v1/xorbs/default/{other}", with: bearer, raw: xorb, want: 400, json: `{"error":"~.+"}`},
		{row: "xorbs", name: "cut off", ask: "POST {cas}/v1/xorbs/default/{xorb}", with: bearer, raw: xorb[:len(xorb)/2], want: 400, json: `{"error":"~.+"}`},
		{row: "xorbs", name: "no token", ask: "POST {cas}/v1/xorbs/default/{xorb}", raw: xorb, want: 401},
		{row: "xorbs", name: "new", ask: "POST {cas}/v1/xorbs/default/{xorb}", with: bearer, raw: xorb, want: 200, json: `{"was_inserted":true}`},
		{row: "xorbs", name: "there already", ask: "POST {cas}/v1/xorbs/default/{xorb}", with: bearer, raw: xorb, want: 200, json: `{"was_inserted":false}`},
		{row: "shards", name: "no shard", ask: "POST {cas}/v1/shards", with: bearer, body: "HFRepoMetaData", want: 400, json: `{"error":"~.+"}`},
		{row: "shards", name: "version 1", ask: "POST {cas}/v1/shards", with: bearer, raw: shard, want: 200, json: `{"result":1}`},
		{row: "telemetry", name: "telemetry", ask: "POST {cas}/v1/telemetry", with: bearer, body: `{}`, want: 200},
		{row: "shards", name: "committed", ask: "POST /api/models/acme/xet/commit/main", with: ndjson, want: 200, json: `{"success":true}`,
			body: lines(header("floats", ""), large("floats", "{floats}", "{floatsize}"))},
		{row: "shards", name: "read back", ask: "GET /acme/xet/resolve/main/floats", want: 200, bytes: floats},
	})
	again := c.send(c.t, exchange{ask: "POST {cas}/v2/shards", with: bearer, raw: shard})
	c.seen["shards"] = true
	if code := again.StatusCode; code != 200 && code != 404 && code != 501 { // clients fall back to version 1
		c.t.Errorf("a shard of version 2: status %d: %.300s", code, again.body)
	}
}

// token asks for a token and keeps it under that name, and where the service is.
func (c *contract) token(name, ask string) {
	c.t.Helper()
	body := c.run(exchange{row: "tokens", name: name, ask: ask, with: authorized, want: 200, json: `{"casUrl":"~http://.+","accessToken":"~.+"}`,
		headers: map[string]string{"X-Xet-Cas-Url": "~http://.+", "X-Xet-Access-Token": "~.+", "X-Xet-Token-Expiration": "~[0-9]+"}})
	var got struct {
		CASURL      string `json:"casUrl"`
		AccessToken string `json:"accessToken"`
		Exp         int64  `json:"exp"`
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Exp == 0 {
		c.t.Fatalf("token: %.300s: %v", body, err)
	}
	c.vars["cas"], c.vars[name] = got.CASURL, got.AccessToken
}

// testXetRead fetches a file that was never sent by Xet.
func (c *contract) testXetRead(content []byte) {
	c.t.Helper()
	c.token("xetread", "GET /api/models/acme/large/xet-read-token/{commit}")
	c.all([]exchange{
		{row: "announced", name: "large file", ask: "HEAD /acme/large/resolve/main/model.safetensors", want: 200,
			headers: map[string]string{"X-Xet-Hash": "~[0-9a-f]{64}", "Link": `~<http://.*/xet-read-token/.*>; rel="xet-auth".*`, "Etag": `"{sum}"`, "Content-Length": "{size}"}},
		{row: "announced", name: "small file", ask: "HEAD /acme/large/resolve/main/small.txt", want: 200, headers: map[string]string{"X-Xet-Hash": "", "Link": ""}},
		{row: "announced", name: "of JavaScript", ask: "GET /acme/large/resolve/main/model.safetensors", want: 200,
			with: map[string]string{"Accept": "application/vnd.xet-fileinfo+json, */*", "Range": "bytes=0-0"}, json: `{"hash":"~[0-9a-f]{64}"}`,
			headers: map[string]string{"Content-Type": "application/vnd.xet-fileinfo+json", "X-Linked-Size": "{size}", "X-Xet-Hash": "~.+",
				"Link": `~.*<http://.*>; rel="xet-reconstruction-info".*`}},
		{row: "announced", name: "the bytes themselves", ask: "GET /acme/large/resolve/main/model.safetensors", want: 200, bytes: content},
		{row: "tokens", name: "no such revision", ask: "GET /api/models/acme/large/xet-read-token/nope", want: 404, headers: missing("RevisionNotFound")},
		{row: "reconstructions", name: "no token", ask: "GET {cas}/v2/reconstructions/{sum}", want: 401},
		{row: "reconstructions", name: "no such file", ask: "GET {cas}/v2/reconstructions/{floats}", with: reader, want: 404},
		{row: "reconstructions", name: "beyond the end", ask: "GET {cas}/v2/reconstructions/{sum}", with: and(reader, "Range", "bytes=90000000-90000009"), want: 416},
		{row: "xorbs", name: "token to read", ask: "POST {cas}/v1/xorbs/default/{xorb}", with: reader, body: "x", want: 403},
	})
	c.vars["hash"] = c.send(c.t, exchange{ask: "HEAD /acme/large/resolve/main/model.safetensors"}).Header.Get("X-Xet-Hash")
	for _, part := range []struct{ from, to int }{{0, len(content)}, {1_000_003, 9_000_001}} {
		c.reconstruct(content[part.from:part.to], part.from)
	}
}

// reconstructed is what is told of the bytes of a file.
type reconstructed struct {
	Offset int `json:"offset_into_first_range"`
	Terms  []struct {
		Hash   string
		Length int `json:"unpacked_length"`
		Range  span
	}
	Xorbs map[string][]struct {
		URL    string
		Ranges []struct{ Chunks, Bytes span }
	}
	Infos map[string][]struct {
		Range span
		URL   string
		Bytes span `json:"url_range"`
	} `json:"fetch_info"`
}

type span struct{ Start, End int }

// reconstruct fetches the bytes of a file from there on in both versions.
func (c *contract) reconstruct(want []byte, from int) {
	c.t.Helper()
	asked := and(reader, "Range", fmt.Sprintf("bytes=%d-%d", from, from+len(want)-1))
	for _, version := range []string{"v1", "v2"} {
		body := c.run(exchange{row: "reconstructions", name: fmt.Sprintf("%s from %d", version, from), ask: "GET {cas}/" + version + "/reconstructions/{hash}", with: asked, want: 200})
		var r reconstructed
		if err := json.Unmarshal(body, &r); err != nil {
			c.t.Fatal(err)
		}
		var got []byte
		for _, term := range r.Terms {
			got = append(got, c.term(&r, term.Hash, term.Length)...)
		}
		if len(got) < r.Offset+len(want) || !bytes.Equal(got[r.Offset:r.Offset+len(want)], want) {
			c.t.Errorf("%s from %d: %d other bytes", version, from, len(got))
		}
	}
}

// term fetches the chunks of a term, which are not packed, with no credentials.
func (c *contract) term(r *reconstructed, hash string, length int) (plain []byte) {
	c.t.Helper()
	var url string
	var at span
	if v2 := r.Xorbs[hash]; len(v2) == 1 && len(v2[0].Ranges) == 1 {
		url, at = v2[0].URL, v2[0].Ranges[0].Bytes
	} else if v1 := r.Infos[hash]; len(v1) == 1 {
		url, at = v1[0].URL, v1[0].Bytes
	} else {
		c.t.Fatalf("term %s: %+v", hash, r)
	}
	body := c.run(exchange{row: "data", name: fmt.Sprintf("%.8s from %d", hash, at.Start), ask: "GET " + url, want: 206,
		with: map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", at.Start, at.End)}})
	for len(body) > 0 {
		packed := int(body[1]) | int(body[2])<<8 | int(body[3])<<16
		if body[4] != 0 || len(body) < 8+packed {
			c.t.Fatalf("chunk of scheme %d and %d bytes of %d", body[4], packed, len(body))
		}
		plain = append(plain, body[8:8+packed]...)
		body = body[8+packed:]
	}
	if len(plain) != length {
		c.t.Errorf("term %s has %d bytes, want %d", hash, len(plain), length)
	}
	return plain
}
