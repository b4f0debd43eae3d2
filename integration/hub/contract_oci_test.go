package hub_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// ociRows are the end points of the distribution specification that are answered, and
// what those that are not are told.
var ociRows = []string{"end-1", "end-2", "end-3", "end-8a", "end-8b", "end-12a", "push", "ollama"}

var ociType = map[string]string{"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, " + dockerManifest}

// TestOCIContract holds a registry to every row of OCI.
func TestOCIContract(t *testing.T) {
	t.Parallel()
	registry := serve(t)
	dir := writeTiny(t, 1)
	commit := registry.push(t, dir, "acme/tiny")
	for _, tag := range []string{"v1", "v2", "v3"} {
		registry.ingot(t, nil, "tag", "acme/tiny:main", tag)
	}
	registry.push(t, writeGGUF(t), "acme/gguf")
	c := newContract(t, registry.url)
	c.know(dir, commit)
	manifest := exchange{row: "end-3", name: "tag", ask: "GET /v2/acme/tiny/manifests/v1", with: ociType, want: 200,
		headers: map[string]string{"Content-Type": "application/vnd.oci.image.manifest.v1+json", "Docker-Content-Digest": "~sha256:[0-9a-f]{64}"},
		json: `{"schemaVersion":2,"artifactType":"application/vnd.cncf.model.manifest.v1+json","config":{"mediaType":"application/vnd.cncf.model.config.v1+json"},` +
			`"layers":[{},{},{},{},{},{"mediaType":"~application/vnd[.]cncf[.]model[.]weight[.]v1[.]raw","digest":"sha256:{sum}","size":{size},` +
			`"annotations":{"org.cncf.model.filepath":"{shard}","org.opencontainers.image.title":"{shard}"}},{},{}]}`}
	body := c.run(manifest)
	var m struct{ Config struct{ Digest string } }
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	c.vars["config"], c.vars["manifest"], c.vars["length"] = m.Config.Digest, "sha256:"+sumOf(body), fmt.Sprint(len(body))
	c.all(ociTable)
	content := read(t, dir, firstShard)
	c.all([]exchange{
		{row: "end-3", name: "the same for each tag", ask: "GET /v2/acme/tiny/manifests/main", with: ociType, want: 200, bytes: body},
		{row: "end-3", name: "digest", ask: "GET /v2/acme/tiny/manifests/{manifest}", with: ociType, want: 200, bytes: body},
		{row: "end-2", name: "blob", ask: "GET /v2/acme/tiny/blobs/sha256:{sum}", want: 200, bytes: content,
			headers: map[string]string{"Docker-Content-Digest": "sha256:{sum}", "Accept-Ranges": "bytes", "Location": "~(http://.+)?/v2/.+"}},
		{row: "end-2", name: "range", ask: "GET /v2/acme/tiny/blobs/sha256:{sum}", with: map[string]string{"Range": "bytes=100-999"}, want: 206, bytes: content[100:1000]},
	})
	c.checkRows(ociRows...)
}

var ociTable = []exchange{
	{row: "end-1", name: "version", ask: "GET /v2/", want: 200},
	{row: "end-3", name: "HEAD", ask: "HEAD /v2/acme/tiny/manifests/v1", with: ociType, want: 200,
		headers: map[string]string{"Docker-Content-Digest": "{manifest}", "Content-Length": "{length}"}, bytes: []byte{}},
	{row: "end-3", name: "no such tag", ask: "GET /v2/acme/tiny/manifests/v9", with: ociType, want: 404, json: `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"~.+"}]}`},
	{row: "end-3", name: "no such digest", ask: "GET /v2/acme/tiny/manifests/sha256:{sum}", with: ociType, want: 404, json: `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`},
	{row: "end-3", name: "no such model", ask: "GET /v2/acme/none/manifests/main", with: ociType, want: 404, json: `{"errors":[{"code":"NAME_UNKNOWN"}]}`},
	{row: "end-2", name: "HEAD", ask: "HEAD /v2/acme/tiny/blobs/sha256:{sum}", want: 200, headers: map[string]string{"Content-Length": "{size}"}, bytes: []byte{}},
	{row: "end-2", name: "config", ask: "GET /v2/acme/tiny/blobs/{config}", want: 200, json: `{"modelfs":{"type":"layers","diffIds":["~sha256:.*","~.*","~.*","~.*","~.*","~.*","~.*","~.*"]}}`},
	{row: "end-2", name: "no such blob", ask: "GET /v2/acme/tiny/blobs/{manifest}0", want: 400, json: `{"errors":[{"code":"DIGEST_INVALID"}]}`},
	{row: "end-2", name: "blob of another model", ask: "GET /v2/acme/gguf/blobs/sha256:{sum}", want: 404, json: `{"errors":[{"code":"BLOB_UNKNOWN"}]}`},
	{row: "end-2", name: "beyond the end", ask: "GET /v2/acme/tiny/blobs/sha256:{sum}", with: map[string]string{"Range": "bytes=90000000-"}, want: 416},
	{row: "end-8a", name: "tags", ask: "GET /v2/acme/tiny/tags/list", want: 200, json: `{"name":"acme/tiny","tags":["main","v1","v2","v3"]}`},
	{row: "end-8b", name: "page", ask: "GET /v2/acme/tiny/tags/list?n=2", want: 200, json: `{"tags":["main","v1"]}`, headers: map[string]string{"Link": `~<.*n=2.*>; rel="next"`}},
	{row: "end-8b", name: "next page", ask: "GET /v2/acme/tiny/tags/list?n=2&last=v1", want: 200, json: `{"tags":["v2","v3"]}`, headers: map[string]string{"Link": ""}},
	{row: "end-8b", name: "bad number", ask: "GET /v2/acme/tiny/tags/list?n=x", want: 400, json: `{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}`},
	{row: "end-12a", name: "referrers", ask: "GET /v2/acme/tiny/referrers/{manifest}", want: 200,
		json: `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`, headers: map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"}},
	{row: "push", name: "blob", ask: "POST /v2/acme/tiny/blobs/uploads/", want: 405, json: `{"errors":[{"code":"UNSUPPORTED","message":"~.+"}]}`},
	{row: "push", name: "manifest", ask: "PUT /v2/acme/tiny/manifests/v9", body: "{}", want: 405, json: `{"errors":[{"code":"UNSUPPORTED"}]}`},
	{row: "push", name: "delete", ask: "DELETE /v2/acme/tiny/manifests/v1", want: 405, json: `{"errors":[{"code":"UNSUPPORTED"}]}`},
	{row: "ollama", name: "quantisation", ask: "GET /v2/acme/gguf/manifests/Q8_0", with: map[string]string{"Accept": dockerManifest}, want: 200,
		json: `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json"},"layers":[{"mediaType":"application/vnd.ollama.image.model"}]}`},
	{row: "ollama", name: "no such quantisation", ask: "GET /v2/acme/gguf/manifests/Q2_K", with: map[string]string{"Accept": dockerManifest}, want: 404, json: `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`},
	{row: "ollama", name: "no GGUF", ask: "GET /v2/acme/tiny/manifests/latest", with: map[string]string{"Accept": dockerManifest}, want: 404, json: `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`},
}
