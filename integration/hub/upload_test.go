package hub_test

import (
	"io"
	"net/http"
	"testing"
)

// TestUploadVariant uploads a model and a variant of it with upload_folder. Whichever
// way the bytes take, the variant adds what it adds when ingot itself pushes it: its
// changed chunks.
func TestUploadVariant(t *testing.T) {
	t.Parallel()
	s := serve(t)
	base, variant := weights(t, "minilm-bf16"), weights(t, "minilm-bf16-layer")
	s.push(t, base, "pushed/model")
	first := s.unique(t, "pushed")
	s.push(t, variant, "pushed/model")
	want := s.unique(t, "pushed") - first
	tests := []struct {
		space string
		env   python
	}{
		{"lfs", python{venv: "hub0"}},
		{"lfs1", python{venv: "hub1", vars: []string{withoutXet}}},
		{"xet2", python{venv: "hub2"}},
	}
	for _, tt := range tests {
		t.Run(tt.space, func(t *testing.T) {
			env := tt.env.tokened()
			same(t, env.run(t, s.url, "upload.py", tt.space+"/model", base).Snapshot, base, ".gitattributes")
			first := s.unique(t, tt.space)
			same(t, env.run(t, s.url, "upload.py", tt.space+"/model", variant).Snapshot, variant, ".gitattributes")
			got := s.unique(t, tt.space) - first
			t.Logf("the variant adds %d bytes; when ingot pushes it, %d", got, want)
			if got > want+want/100 {
				t.Errorf("the variant adds %d bytes, and %d when ingot pushes it", got, want)
			}
		})
	}
}

// unique returns how many bytes the distinct chunks of a namespace have.
func (s *server) unique(t *testing.T, namespace string) int64 {
	t.Helper()
	var got struct {
		Unique int64 `json:"bytes_unique"`
	}
	s.ingot(t, &got, "stats", namespace)
	if got.Unique == 0 {
		t.Fatalf("namespace %s has nothing", namespace)
	}
	return got.Unique
}

// TestUploadInParts uploads to a registry that takes large files in parts.
func TestUploadInParts(t *testing.T) {
	t.Parallel()
	s := serve(t, "--hub-part-size", "5MiB")
	tiny, plain := writeTiny(t, 51), writePlain(t)
	for _, env := range []python{{venv: "hub0"}, {venv: "hub2", vars: []string{withoutXet}}} {
		got := env.tokened().run(t, s.url, "upload.py", env.venv+"/new", tiny)
		same(t, got.Snapshot, tiny, ".gitattributes")
	}
	javascript(t, s.url, "js.cjs", "write", "js/new", plain)
}

// TestParallelWriters has four writers commit to one branch at a time: every commit is
// there in the end.
func TestParallelWriters(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, venv := range []string{"hub0", "hub2"} {
		python{venv: venv}.tokened().run(t, s.url, "parallel.py", venv+"/shared", "4", "3")
	}
}

// TestReaderLeaves has readers leave in the middle of a file, again and again. The
// registry serves the next one the whole of it.
func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	s := serve(t)
	dir := writeTiny(t, 61)
	s.push(t, dir, "acme/tiny")
	url := s.url + "/acme/tiny/resolve/main/" + firstShard
	for i := range 20 {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, int64(i*100_000)); err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil { // which ends the connection
			t.Fatal(err)
		}
	}
	c := newContract(t, s.url)
	c.run(exchange{row: "R2", name: "after them", ask: "GET /acme/tiny/resolve/main/" + firstShard, want: 200, bytes: read(t, dir, firstShard)})
}
