package integration_test

import (
	"bytes"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// mistake is a request that somebody got wrong.
type mistake struct {
	want         openapi.Code
	method, path string
	media        string
	body         []byte
}

// testMistakes makes every operation fail in every way that a caller can bring
// about.
func (s *session) testMistakes(v version) {
	s.t.Helper()
	push := s.start()
	for _, list := range [][]mistake{
		routeMistakes(), nameMistakes(v), absentThings(), readMistakes(v), uploadMistakes(push, v), deltaMistakes(s.t, push, v), commitMistakes(push, v), nodeMistakes(v), upkeepMistakes(), historyMistakes(), summaryMistakes(v),
	} {
		for _, m := range list {
			s.fails(m.want, m.method, m.path, m.media, m.body)
		}
	}
}

func routeMistakes() []mistake {
	return []mistake{
		{openapi.CodeNotFound, "GET", "/docs/", "", nil},
		{openapi.CodeNotAllowed, "POST", "/", "", nil},
		{openapi.CodeNotFound, "GET", "/v3/repos", "", nil},
		{openapi.CodeNotFound, "GET", repoURL + "/nothing", "", nil},
		{openapi.CodeNotFound, "GET", "/v1/repos/../../etc/passwd", "", nil},
		{openapi.CodeNotAllowed, "POST", "/healthz", "", nil},
		{openapi.CodeNotAllowed, "PUT", "/v1/repos", "", nil},
		{openapi.CodeNotAllowed, "DELETE", repoURL + "/tags", "", nil},
	}
}

// nameMistakes misspells each kind of name in each operation that takes it.
func nameMistakes(v version) []mistake {
	tag := []byte(`{"digest":"` + v.digest.String() + `"}`)
	upper := strings.ToUpper(v.digest.String())
	list := []mistake{
		{openapi.CodeBadName, "GET", repoURL + "/tags/.x", "", nil},
		{openapi.CodeBadName, "GET", repoURL + "/tags/" + v.digest.String(), "", nil},
		{openapi.CodeBadName, "PUT", repoURL + "/tags/-x", mediaJSON, tag},
		{openapi.CodeBadRequest, "PUT", repoURL + "/tags/x", mediaJSON, []byte(`{"digest":"` + upper + `"}`)},
		{openapi.CodeBadName, "PUT", repoURL + "/tags/x", mediaJSON, []byte(`{"digest":"` + v.digest.String() + `","expect":"main"}`)},
		{openapi.CodeBadName, "DELETE", repoURL + "/tags/.x", "", nil},
		{openapi.CodeBadName, "DELETE", repoURL + "/tags/main?expect=none-at-all", "", nil},
		{openapi.CodeBadName, "GET", "/v1/repos/acme/.llama/tags", "", nil},
		{openapi.CodeBadName, "GET", "/v1/repos/acme/%2e%2e/versions", "", nil},
		{openapi.CodeBadName, "POST", "/v1/repos/ac%20me/llama/pushes", "", nil},
		{openapi.CodeBadName, "GET", "/v1/stats?namespace=..", "", nil},
		{openapi.CodeBadName, "GET", "/v1/repos?namespace=-", "", nil},
		{openapi.CodeBadName, "GET", "/v1/diff?a=acme/llama:main&b=llama", "", nil},
		{openapi.CodeBadName, "GET", "/v1/pushes/UPPER", "", nil},
		{openapi.CodeBadName, "GET", "/v1/pushes/abc", "", nil},
		{openapi.CodeBadName, "POST", "/v1/pushes/UPPER/missing", openapi.MediaDigests, make32(1)},
		{openapi.CodeBadName, "PUT", "/v1/pushes/UPPER/chunks/" + v.digest.String(), openapi.MediaChunk, []byte("x")},
		{openapi.CodeBadName, "POST", "/v1/pushes/UPPER/chunks", openapi.MediaChunks, frameOfOne()},
		{openapi.CodeBadName, "DELETE", repoURL + "/versions/" + upper, "", nil},
	}
	for _, below := range []string{"", "/sha256", "/chunks/0", "/chunks?i=0"} {
		list = append(list, mistake{openapi.CodeBadName, "GET", repoURL + "/versions/main" + below, "", nil})
	}
	return list
}

// absentThings asks for what is not there.
func absentThings() []mistake {
	nothing := chunker.Sum([]byte("nothing")).String()
	version := repoURL + "/versions/" + nothing
	push := "/v1/pushes/00000000000000000000"
	frame := openapi.AppendFrame(nil, chunker.Sum([]byte("x")), codec.Append(nil, []byte("x"), chunker.Opaque))
	empty, _ := (&manifest.Manifest{}).Encode() // valid
	return []mistake{
		{openapi.CodeNotFound, "GET", "/v1/repos/acme/other/tags", "", nil},
		{openapi.CodeNotFound, "GET", "/v1/repos/acme/other/versions", "", nil},
		{openapi.CodeNotFound, "GET", repoURL + "/tags/absent", "", nil},
		{openapi.CodeNotFound, "DELETE", repoURL + "/tags/absent", "", nil},
		{openapi.CodeNotFound, "GET", version, "", nil},
		{openapi.CodeNotFound, "DELETE", version, "", nil},
		{openapi.CodeNotFound, "GET", version + "/sha256", "", nil},
		{openapi.CodeNotFound, "GET", version + "/chunks/0", "", nil},
		{openapi.CodeNotFound, "GET", version + "/chunks?i=0", "", nil},
		{openapi.CodeNotFound, "GET", "/v1/diff?a=acme/llama:main&b=acme/llama:absent", "", nil},
		{openapi.CodeNotFound, "GET", push, "", nil},
		{openapi.CodeNotFound, "POST", push + "/missing", openapi.MediaDigests, make32(1)},
		{openapi.CodeNotFound, "PUT", push + "/chunks/" + chunker.Sum([]byte("x")).String(), openapi.MediaChunk, frame[openapi.FrameHeader:]},
		{openapi.CodeNotFound, "POST", push + "/chunks", openapi.MediaChunks, frame},
		{openapi.CodeNotFound, "POST", push + "/commit", openapi.MediaManifest, empty},
	}
}

// make32 returns n digests, back to back.
func make32(n int) []byte { return bytes.Repeat([]byte{7}, n*chunker.DigestSize) }

func readMistakes(v version) []mistake {
	return []mistake{
		{openapi.CodeBadRequest, "GET", "/v1/repos?limit=0", "", nil},
		{openapi.CodeBadRequest, "GET", "/v1/repos?limit=", "", nil},
		{openapi.CodeBadRequest, "GET", "/v1/diff?a=acme/llama", "", nil},
		{openapi.CodeBadRequest, "GET", repoURL + "/tags?limit=1001", "", nil},
		{openapi.CodeBadRequest, "GET", repoURL + "/versions?limit=x", "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/chunks", "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/chunks?i=1-0", "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/chunks?i=0,,1", "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/chunks/-1", "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/chunks/4294967296", "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/chunks/0?direct=no", "", nil},
		{openapi.CodeTooLarge, "GET", v.url() + "/chunks?i=0-4294967295", "", nil},
		{openapi.CodeTooLarge, "GET", v.url() + "/chunks?i=0-4095,0", "", nil},
		{openapi.CodeNotFound, "GET", v.url() + "/chunks/3", "", nil},
		{openapi.CodeNotFound, "GET", v.url() + "/chunks?i=0-3", "", nil},
		{openapi.CodeBadRequest, "PUT", repoURL + "/tags/x", "text/plain", []byte("{}")},
		{openapi.CodeBadRequest, "PUT", repoURL + "/tags/x", mediaJSON, []byte("{")},
		{openapi.CodeBadRequest, "PUT", repoURL + "/tags/x", mediaJSON, []byte("{}")},
		{openapi.CodeBadRequest, "PUT", repoURL + "/tags/x", mediaJSON, nil},
		{openapi.CodeTooLarge, "PUT", repoURL + "/tags/x", mediaJSON, make([]byte, openapi.MaxJSON+1)},
	}
}

func uploadMistakes(push string, v version) []mistake {
	large := v.chunks[0].Digest
	put, enc := push+"/chunks/"+large.String(), v.encoded[large]
	damaged := bytes.Clone(enc)
	damaged[len(damaged)/2] ^= 1
	one := openapi.AppendFrame(nil, v.chunks[1].Digest, v.encoded[v.chunks[1].Digest])
	return []mistake{
		{openapi.CodeBadRequest, "PUT", put, "application/octet-stream", enc},
		{openapi.CodeBadRequest, "PUT", put, openapi.MediaChunk, nil},
		{openapi.CodeBadChunk, "PUT", put, openapi.MediaChunk, damaged},
		{openapi.CodeBadChunk, "PUT", put, openapi.MediaChunk, v.encoded[v.chunks[1].Digest]},
		{openapi.CodeTooLarge, "PUT", put, openapi.MediaChunk, make([]byte, codec.MaxEncoded(chunker.MaxSize)+1)},
		{openapi.CodeBadRequest, "POST", push + "/chunks", openapi.MediaChunks, one[:len(one)-1]},
		{openapi.CodeBadRequest, "POST", push + "/chunks", openapi.MediaChunks, append(make([]byte, chunker.DigestSize), 255, 255, 255, 255)},
		{openapi.CodeBadChunk, "POST", push + "/chunks", openapi.MediaChunks, openapi.AppendFrame(bytes.Clone(one), large, damaged)},
		{openapi.CodeTooLarge, "POST", push + "/chunks", openapi.MediaChunks, bytes.Repeat(frameOfOne(), openapi.MaxBatchChunks+1)},
		{openapi.CodeTooLarge, "POST", push + "/chunks", openapi.MediaChunks, make([]byte, openapi.MaxBatch+1)},
		{openapi.CodeBadRequest, "POST", push + "/missing", openapi.MediaDigests, make32(2)[1:]},
		{openapi.CodeTooLarge, "POST", push + "/missing", openapi.MediaDigests, make32(openapi.MaxMissing + 1)},
	}
}

// frameOfOne is a frame that is well formed; its chunk is of one byte and is none.
func frameOfOne() []byte { return openapi.AppendFrame(nil, chunker.Sum([]byte("x")), []byte{0}) }

func commitMistakes(push string, v version) []mistake {
	commit := push + "/commit"
	return []mistake{
		{openapi.CodeBadRequest, "POST", commit, mediaJSON, v.doc},
		{openapi.CodeBadRequest, "POST", commit + "?expect=none", openapi.MediaManifest, v.doc},
		{openapi.CodeBadName, "POST", commit + "?tag=.x", openapi.MediaManifest, v.doc},
		{openapi.CodeBadName, "POST", commit + "?tag=x&expect=y", openapi.MediaManifest, v.doc},
		{openapi.CodeBadManifest, "POST", commit, openapi.MediaManifest, append(bytes.Clone(v.doc), 0)},
		{openapi.CodeBadManifest, "POST", commit, openapi.MediaManifest, []byte("{}")},
		{openapi.CodeTooLarge, "POST", commit, openapi.MediaManifest, make([]byte, manifest.MaxSize+1)},
	}
}

func nodeMistakes(v version) []mistake {
	report := func(ref string) []byte {
		const tier = `{"used":0,"budget":0,"models":0}`
		return []byte(`{"program":"v0","ttl":30,"tiers":{"disk":` + tier + `,"ram":` + tier + `,"gpu":` + tier + `},` +
			`"models":[{"ref":"` + ref + `","version":"` + v.digest.String() + `","tier":"ram","leases":0}]}`)
	}
	return []mistake{
		{openapi.CodeBadRequest, "GET", "/v1/events", "", nil},
		{openapi.CodeBadRequest, "GET", "/v1/events?match=acme", "", nil},
		{openapi.CodeNotAllowed, "POST", "/v1/events?match=*", "", nil},
		{openapi.CodeBadName, "GET", "/v1/nodes?repo=acme", "", nil},
		{openapi.CodeBadName, "PUT", "/v1/nodes/.x", mediaJSON, report("acme/llama:main")},
		{openapi.CodeBadName, "PUT", "/v1/nodes/x", mediaJSON, report("acme")},
		{openapi.CodeBadRequest, "PUT", "/v1/nodes/x", mediaJSON, []byte(`{"program":"v0","ttl":3601,"tiers":{},"models":[]}`)},
		{openapi.CodeTooLarge, "PUT", "/v1/nodes/x", mediaJSON, make([]byte, openapi.MaxNodeReport+1)},
		{openapi.CodeBadName, "DELETE", "/v1/nodes/.x", "", nil},
		{openapi.CodeNotFound, "DELETE", "/v1/nodes/x", "", nil},
		{openapi.CodeBadName, "PUT", "/v1/upstreams/.x", mediaJSON, []byte(`{"url":"http://127.0.0.1:9","ttl":60}`)},
		{openapi.CodeBadRequest, "PUT", "/v1/upstreams/archive", mediaJSON, []byte(`{"url":"http://127.0.0.1:9","ttl":0}`)},
		{openapi.CodeBadRequest, "PUT", "/v1/upstreams/archive", mediaJSON, []byte(`{"url":"ftp://127.0.0.1","ttl":60}`)},
		{openapi.CodeForbidden, "PUT", "/v1/upstreams/archive", mediaJSON, []byte(`{"url":"http://192.0.2.1","ttl":60}`)},
		{openapi.CodeTooLarge, "PUT", "/v1/upstreams/archive", mediaJSON, make([]byte, openapi.MaxJSON+1)},
		{openapi.CodeNotFound, "DELETE", "/v1/upstreams/archive", "", nil},
	}
}
