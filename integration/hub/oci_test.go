package hub_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/registry/remote"
)

// ociChecks are for the clients of OCI registries, which are Go modules.
func ociChecks() []check {
	return []check{
		{"crane", []column{reads}, func(t *testing.T, w *world) story { return craneReads(t, w) }},
		{"oras", []column{reads}, func(t *testing.T, w *world) story { return orasReads(t, w) }},
	}
}

// module returns the version of a module that this test is built with.
func module(t *testing.T, path string) string {
	t.Helper()
	for line := range strings.Lines(string(read(t, "../..", "go.mod"))) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), path+" v"); ok {
			return version
		}
	}
	t.Fatalf("go.mod does not have %s", path)
	return ""
}

// craneReads pulls acme/tiny and compares each layer with the file that it is.
func craneReads(t *testing.T, w *world) story {
	repo := strings.TrimPrefix(w.registry.url, "http://") + "/acme/tiny"
	tags, err := crane.ListTags(repo, crane.Insecure)
	if err != nil || !slices.Equal(tags, []string{"main", "v1"}) {
		t.Errorf("tags: %v, %v", tags, err)
	}
	digest, err := crane.Digest(repo+":v1", crane.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := crane.Pull(repo+"@"+digest, crane.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range layers {
		got = append(got, layerSum(t, l))
	}
	var want []string
	for _, s := range tree(t, w.tiny) {
		want = append(want, s)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("layers %v, want %v", got, want)
	}
	if _, err := crane.Manifest(repo+":v9", crane.Insecure); err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("unknown tag: %v", err)
	}
	return story{Version: module(t, "github.com/google/go-containerregistry"), Ran: []string{"crane ls", "crane digest", "crane pull", "crane manifest"}}
}

// layerSum returns the sha256 of a layer's bytes as they come.
func layerSum(t *testing.T, l v1.Layer) string {
	t.Helper()
	r, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// orasReads pulls acme/tiny into a folder.
func orasReads(t *testing.T, w *world) story {
	repo, err := remote.NewRepository(strings.TrimPrefix(w.registry.url, "http://") + "/acme/tiny")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	dir := t.TempDir()
	store, err := file.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := oras.Copy(context.Background(), repo, "v1", store, "v1", oras.DefaultCopyOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, dir, w.tiny)
	again, err := repo.Resolve(t.Context(), got.Digest.String())
	if err != nil || again.Digest != got.Digest || again.Size != got.Size {
		t.Errorf("by digest: %+v, %v", again, err)
	}
	return story{Version: module(t, "oras.land/oras-go/v2"), Ran: []string{"oras pull", "oras resolve"}}
}
