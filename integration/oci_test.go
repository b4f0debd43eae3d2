package integration_test

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"oras.land/oras-go/v2"
	orasfile "oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/registry/remote"
)

// ociModel makes a folder of weights, small files, and a GGUF file of one key.
func ociModel(t *testing.T) string {
	t.Helper()
	gguf := []byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")
	for _, text := range []string{"general.architecture", "llama"} {
		gguf = append(binary.LittleEndian.AppendUint64(gguf, uint64(len(text))), text...)
		if text != "llama" {
			gguf = binary.LittleEndian.AppendUint32(gguf, 8) // a text follows
		}
	}
	gguf = append(gguf, make([]byte, 64-len(gguf)%32)...)
	weights := make([]byte, 5<<20)
	for i := range weights {
		weights[i] = byte(i * i >> 7)
	}
	dir := t.TempDir()
	for path, content := range map[string][]byte{
		"tiny-Q8_0.gguf": gguf, "model.bin": weights, "config.json": []byte(`{"model_type":"llama"}`),
		"sub/notes.txt": []byte("notes"), "empty": nil, "template": []byte("{{ .Prompt }}"),
	} {
		at := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// imported is what import prints with --json.
type imported struct {
	Versions []receipt `json:"versions"`
}

// TestOCI reads a model with the libraries of crane and oras and the calls of ollama,
// before and after the server was killed, and takes it back in from there.
func TestOCI(t *testing.T) {
	t.Parallel()
	r := servePlain(t)
	dir := ociModel(t)
	pushed := r.push(dir, "acme/tiny:v1")
	repo := r.addr + "/acme/tiny"
	digest, err := crane.Digest(repo+":v1", crane.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	r.push(dir, "acme/tiny:main", "--annotation", "step=1")
	r.push(dir, "acme/tiny:v1", "--annotation", "step=2")
	if tags, err := crane.ListTags(repo, crane.Insecure); err != nil || !slices.Equal(tags, []string{"main", "v1"}) {
		t.Errorf("tags %v, %v", tags, err)
	}
	image, err := crane.Pull(repo+":v1", crane.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := crane.Save(image, "tiny:v1", filepath.Join(t.TempDir(), "tiny.tar")); err != nil {
		t.Errorf("crane save: %v", err)
	}
	r.kill()
	r.start()
	now, err := crane.Digest(repo+":v1", crane.Insecure)
	if err != nil || now == digest {
		t.Errorf("two versions have the manifest %s, %v", now, err)
	}
	for _, pinned := range []string{now, digest} { // no tag leads to the second any more
		if _, err := crane.Manifest(repo+"@"+pinned, crane.Insecure); err != nil {
			t.Errorf("by digest after a restart: %v", err)
		}
	}
	compareTrees(t, orasPull(t, repo, "v1"), dir)
	compareTrees(t, orasPull(t, repo, now), dir)
	ollamaPull(t, "http://"+r.addr, "acme/tiny", "v1", filepath.Join(dir, "tiny-Q8_0.gguf"))

	var got imported
	r.json(&got, "import", "oci://"+repo+":v1", "acme/again:v1")
	if got.Versions[0].ChunksNew != 0 || got.Versions[0].BytesTotal != pushed.BytesTotal {
		t.Errorf("imported %+v after %+v", got.Versions, pushed)
	}
	r.pull("acme/again:v1", dir)
}

// orasPull pulls an artifact and returns the folder.
func orasPull(t *testing.T, from, reference string) string {
	t.Helper()
	repo, err := remote.NewRepository(from)
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	dir := t.TempDir()
	store, err := orasfile.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }() // it is a temporary folder
	if _, err := oras.Copy(t.Context(), repo, reference, store, "", oras.DefaultCopyOptions); err != nil {
		t.Fatalf("oras pull %s %s: %v", from, reference, err)
	}
	return dir
}

// ollamaPull makes the calls of "ollama pull" and compares the model with a file.
func ollamaPull(t *testing.T, base, repo, tag, want string) {
	t.Helper()
	ask := func(method, url string, headers ...string) *http.Response {
		q, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			q.Header.Set(headers[i], headers[i+1])
		}
		got, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = got.Body.Close() })
		return got
	}
	const media = "application/vnd.docker.distribution.manifest.v2+json"
	var m struct {
		Layers []struct {
			MediaType, Digest string
			Size              int64
		}
	}
	manifest := ask(http.MethodGet, base+"/v2/"+repo+"/manifests/"+tag, "Accept", media)
	if err := json.NewDecoder(manifest.Body).Decode(&m); err != nil || len(m.Layers) != 2 {
		t.Fatalf("manifest %+v, %v", m, err)
	}
	for _, l := range m.Layers {
		url := base + "/v2/" + repo + "/blobs/" + l.Digest
		if head := ask(http.MethodHead, url); head.ContentLength != l.Size {
			t.Errorf("%s: %d bytes, want %d", l.MediaType, head.ContentLength, l.Size)
		}
		at, err := ask(http.MethodGet, url).Location()
		if err != nil {
			t.Fatal(err)
		}
		part := ask(http.MethodGet, at.String(), "Range", "bytes=4-")
		got, err := io.ReadAll(part.Body)
		if err != nil || part.StatusCode != http.StatusPartialContent {
			t.Errorf("%s: %s, %v", l.MediaType, part.Status, err)
		}
		if model := strings.HasSuffix(l.MediaType, ".model"); model {
			if b, err := os.ReadFile(want); err != nil || string(b[4:]) != string(got) {
				t.Errorf("the model has %d bytes, want %d; %v", len(got), len(b)-4, err)
			}
		}
	}
}

// TestAirGap carries variants from one registry to another that was never near it, by
// a file and through a pipe, and kills both ends in between.
func TestAirGap(t *testing.T) {
	t.Parallel()
	from, to := servePlain(t), servePlain(t)
	base, tuned := weights(t, "minilm-bf16"), weights(t, "minilm-bf16-finetune")
	first := from.push(base, "acme/minilm:base")
	second := from.push(tuned, "acme/minilm:tuned", "--base", "acme/minilm:base")
	archive := filepath.Join(t.TempDir(), "minilm.ingot")
	var out struct {
		Bytes int64 `json:"bytes"`
	}
	from.json(&out, "export", "acme/minilm:base", "acme/minilm:tuned", archive)
	if second.SentDelta == 0 {
		t.Error("the second variant was not sent as differences")
	}
	atMost(t, "archive of two variants, whose chunks are whole", out.Bytes, 2, first.BytesStored, 64<<10)

	// An export that is killed goes on: here it was, in the middle.
	whole, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(archive+".part", whole[:len(whole)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	from.json(&out, "export", "acme/minilm:base", "acme/minilm:tuned", archive)
	if again, err := os.ReadFile(archive); err != nil || string(again) != string(whole) {
		t.Errorf("the export that went on has %d bytes, want %d; %v", len(again), len(whole), err)
	}

	// The import is cut off with the file, and goes on with the whole one.
	cut := filepath.Join(t.TempDir(), "minilm.ingot")
	if err := os.WriteFile(cut, whole[:len(whole)/3], 0o666); err != nil {
		t.Fatal(err)
	}
	if b, err := to.command("import", cut).CombinedOutput(); err == nil || !strings.Contains(string(b), "damaged") {
		t.Errorf("a third of an archive: %v, %s", err, b)
	}
	to.kill()
	to.start()
	var got imported
	to.json(&got, "import", archive)
	if got.Versions[0].Digest != first.Digest || got.Versions[1].Digest != second.Digest {
		t.Fatalf("imported %+v", got)
	}
	if sent := got.Versions[0].BytesSent; sent >= first.BytesSent {
		t.Errorf("sent %d bytes, of %d some of which had come before", sent, first.BytesSent)
	}
	to.pull("acme/minilm:base", base)
	to.pull("acme/minilm:tuned", tuned)

	// A variant alone: what its base has is not sent, and its parent stays behind.
	lone := servePlain(t)
	export := from.command("export", "acme/minilm:tuned", "-")
	pipe, err := export.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := export.Start(); err != nil {
		t.Fatal(err)
	}
	in := lone.command("import", "-", "acme/alone:v1")
	in.Stdin = pipe
	if b, err := in.CombinedOutput(); err != nil {
		t.Errorf("import from a pipe: %v, %s", err, b)
	}
	if err := export.Wait(); err != nil {
		t.Errorf("export to a pipe: %v", err)
	}
	lone.pull("acme/alone:v1", tuned)
	to.json(&got, "import", archive)
	if got.Versions[0].BytesSent+got.Versions[1].BytesSent != 0 {
		t.Errorf("the second time: %+v", got)
	}
}
