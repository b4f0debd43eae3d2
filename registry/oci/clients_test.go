package oci_test

import (
	"context"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/registry/remote"
)

// serve returns the address of a server of the world, without scheme.
func (w *world) serve() string {
	server := httptest.NewServer(w.handler)
	w.t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestOras(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", plain)
	ctx := context.Background()
	repo, err := remote.NewRepository(w.serve() + "/acme/tiny")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	dir := t.TempDir()
	store, err := file.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }() // it is a temporary folder
	got, err := oras.Copy(ctx, repo, "main", store, "main", oras.DefaultCopyOptions)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range plain {
		if b, err := os.ReadFile(filepath.Join(dir, p)); err != nil || string(b) != want {
			t.Errorf("%s: %d bytes, %v", p, len(b), err)
		}
	}
	if pinned, err := repo.Resolve(ctx, got.Digest.String()); err != nil || pinned.Size != got.Size {
		t.Errorf("by digest: %+v, %v", pinned, err)
	}
	var tags []string
	if err := repo.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil || !slices.Equal(tags, []string{"main"}) {
		t.Errorf("tags %v, %v", tags, err)
	}
	referrers := 0
	if err := repo.Referrers(ctx, got, "", func(list []ocispec.Descriptor) error { referrers += len(list); return nil }); err != nil || referrers != 0 {
		t.Errorf("%d referrers, %v", referrers, err)
	}
}

func TestCrane(t *testing.T) {
	w := newWorld(t)
	w.commit("acme/tiny", plain)
	for _, tag := range []string{"v1", "v2", "v3"} {
		w.models["acme/tiny"].refs[tag] = w.models["acme/tiny"].refs["main"]
	}
	repo := w.serve() + "/acme/tiny"
	tags, err := crane.ListTags(repo, crane.Insecure)
	if err != nil || !slices.Equal(tags, []string{"main", "v1", "v2", "v3"}) {
		t.Errorf("tags %v, %v", tags, err)
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
	if err != nil || len(layers) != len(plain) {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	var contents []string
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r) // compared with the digest as it comes
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(b))
	}
	for p, want := range plain {
		if !slices.Contains(contents, want) {
			t.Errorf("no layer is %s", p)
		}
	}
	if _, err := crane.Manifest(repo+":nothing", crane.Insecure); err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("unknown tag: %v", err)
	}
	if err := crane.Save(image, repo+":v1", filepath.Join(t.TempDir(), "model.tar")); err != nil {
		t.Errorf("save: %v", err)
	}
}
