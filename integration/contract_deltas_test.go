package integration_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
)

// alike returns plain bytes and others that differ a little, and a delta between them.
func alike(t *testing.T, n int) (base, plain, delta []byte) {
	t.Helper()
	base = noise(7, n)
	plain = bytes.Clone(base)
	for i := 0; i < n; i += 1000 {
		plain[i]++
	}
	delta, ok := codec.AppendDelta(nil, plain, base, chunker.Sum(base), chunker.Opaque, n)
	if !ok {
		t.Fatal("no delta")
	}
	return base, plain, delta
}

// testDeltas pushes a version as a delta of another, and reads it in every way.
func (s *session) testDeltas() {
	s.t.Helper()
	before, after, delta := alike(s.t, 300<<10)
	old, now := newVersion(s.t, chunker.Digest{}, before), newVersion(s.t, chunker.Digest{}, after)
	var got openapi.Received
	push := s.start()
	s.get(http.StatusOK, "POST", push+"/chunks", openapi.MediaChunks, old.frames(old.chunks...), &got)
	s.commit(push+"/commit?tag=before", old)
	named := "acme/llama@" + old.digest.String()
	push = s.start()
	s.get(http.StatusCreated, "PUT", push+"/chunks/"+now.chunks[0].Digest.String()+"?base="+named, openapi.MediaChunk, delta, &got)
	if got.New != 1 || got.Stored != int64(len(delta)) {
		s.t.Errorf("a delta of %d bytes: %+v", len(delta), got)
	}
	push = s.start()
	s.get(http.StatusOK, "POST", push+"/chunks?base="+named, openapi.MediaChunks, openapi.AppendFrame(nil, now.chunks[0].Digest, delta), &got)
	if got.New != 1 || got.Stored > 10_000 {
		s.t.Errorf("a delta of %d bytes in a batch: %+v", len(delta), got)
	}
	s.commit(push+"/commit?tag=after", now)
	whole := s.send(http.StatusOK, "GET", now.url()+"/chunks/0", "", nil)
	if plain, err := codec.Decode(nil, whole.body); err != nil || !bytes.Equal(plain, after) {
		s.t.Errorf("whole: %v", err)
	}
	frames := s.frames(now.url() + "/chunks/0?delta=yes")
	if len(frames) != 2 || !bytes.Equal(frames[1], delta) {
		s.t.Errorf("%d frames with the base", len(frames))
	}
	for url, want := range map[string]int{
		now.url() + "/chunks?i=0&delta=yes":                                        2,
		now.url() + "/chunks?i=0&delta=yes&h=0&have=" + named:                      1,
		now.url() + "/chunks?i=0&delta=yes&h=9&have=" + named:                      2,
		now.url() + "/chunks?i=0&delta=yes&h=0&have=other/x@" + named[11:]:         2,
		old.url() + "/chunks?i=0&delta=yes&h=0&have=acme/llama@" + now.hex():       1,
		old.url() + "/chunks?i=0-0,0&delta=yes&h=0,0&have=acme/llama@" + now.hex(): 2,
	} {
		if got := s.frames(url); len(got) != want || want == 1 && len(got[0]) > 10_000 {
			s.t.Errorf("%s: %d frames, want %d", url, len(got), want)
		}
	}
}

func (v version) hex() string { return v.digest.String() }

// frames returns the chunks of a batch.
func (s *session) frames(path string) (chunks [][]byte) {
	s.t.Helper()
	got := s.send(http.StatusOK, "GET", path, "", nil)
	r := openapi.NewFrameReader(bytes.NewReader(got.body), codec.MaxEncoded(chunker.MaxSize))
	for {
		_, enc, err := r.Next(nil)
		if err != nil {
			return chunks
		}
		chunks = append(chunks, enc)
	}
}

// deltaMistakes are uploads of deltas that cannot be decoded.
func deltaMistakes(t *testing.T, push string, v version) []mistake {
	_, plain, delta := alike(t, 10_000)
	put, frame := push+"/chunks/"+chunker.Sum(plain).String(), openapi.AppendFrame(nil, chunker.Sum(plain), delta)
	return []mistake{
		{openapi.CodeNoBase, "PUT", put, openapi.MediaChunk, delta},
		{openapi.CodeNoBase, "PUT", put + "?base=acme/llama@" + v.hex(), openapi.MediaChunk, delta},
		{openapi.CodeNoBase, "POST", push + "/chunks", openapi.MediaChunks, frame},
		{openapi.CodeNoBase, "POST", push + "/chunks?base=nobody/none@" + v.hex(), openapi.MediaChunks, frame},
		{openapi.CodeBadName, "PUT", put + "?base=acme/llama", openapi.MediaChunk, delta},
		{openapi.CodeBadName, "GET", v.url() + "/chunks?i=0&delta=yes&h=0&have=acme/llama", "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/chunks?i=0&delta=yes&h=1-0&have=acme/llama@" + v.hex(), "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/chunks/0?delta=no", "", nil},
	}
}
