package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
)

// A folder is pushed as a version, the version gets a second name, and is pulled
// by it.
func Example() {
	folder, address, done := exampleRegistry()
	defer done()

	ctx := context.Background()
	r, err := client.New(address, client.Options{}) // "http://127.0.0.1:7070"
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()

	ref, err := name.ParseRef("acme/llama:v1")
	if err != nil {
		log.Fatal(err)
	}
	pushed, err := r.Push(ctx, filepath.Join(folder, "model"), ref, client.PushOptions{
		Annotations: map[string]string{"license": "MIT"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pushed", pushed.Files, "files of", pushed.BytesTotal, "bytes")

	// A tag is moved only if it is where we think it is: here, if it is not there.
	version, err := r.Resolve(ctx, ref)
	if err != nil {
		log.Fatal(err)
	}
	prod, err := r.SetTag(ctx, ref.Repo, "prod", openapi.SetTag{Digest: version, Expect: openapi.ExpectNone})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("tagged", prod.Name)

	for tag, err := range r.Tags(ctx, ref.Repo) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(ref.Repo, tag.Name, tag.Digest == version)
	}

	copied := filepath.Join(folder, "copy")
	pulled, err := r.Pull(ctx, name.Ref{Repo: ref.Repo, Tag: "prod"}, copied, client.PullOptions{Sync: true})
	if err != nil {
		log.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(copied, "config.json"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("pulled %d files, config.json is %s\n", pulled.Files, config)
	// Output:
	// pushed 2 files of 3007 bytes
	// tagged prod
	// acme/llama prod true
	// acme/llama v1 true
	// pulled 2 files, config.json is {"a":1}
}

// A second version sends only what the first has not.
func ExampleRegistry_Push() {
	folder, address, done := exampleRegistry()
	defer done()
	ctx, model := context.Background(), filepath.Join(folder, "model")
	r, err := client.New(address, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()

	ref := name.Ref{Repo: name.Repo{Namespace: "acme", Name: "llama"}, Tag: name.DefaultTag}
	if _, err := r.Push(ctx, model, ref, client.PushOptions{}); err != nil {
		log.Fatal(err)
	}
	parent, err := r.Resolve(ctx, ref)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte(`{"a":2}`), 0o666); err != nil {
		log.Fatal(err)
	}
	// It fails with tag_moved if somebody else has pushed in the meantime.
	second, err := r.Push(ctx, model, ref, client.PushOptions{Parent: parent, Expect: parent.String()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d chunks are new\n", second.ChunksNew, second.ChunksTotal)
	// Output: 1 of 2 chunks are new
}

// Failures that the registry tells have a code.
func ExampleRegistry_Tag() {
	_, address, done := exampleRegistry()
	defer done()
	r, err := client.New(address, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()

	_, err = r.Tag(context.Background(), name.Repo{Namespace: "acme", Name: "llama"}, "prod")
	fmt.Println(errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}))
	// Output: true
}

// exampleRegistry serves a registry on a new folder, in which there is a small
// model too.
func exampleRegistry() (folder, address string, done func()) {
	folder, err := os.MkdirTemp("", "ingot-example-")
	if err != nil {
		log.Fatal(err)
	}
	model := filepath.Join(folder, "model")
	if err := os.Mkdir(model, 0o777); err != nil {
		log.Fatal(err)
	}
	for file, content := range map[string]string{"config.json": `{"a":1}`, "weights.bin": string(make([]byte, 3000))} {
		if err := os.WriteFile(filepath.Join(model, file), []byte(content), 0o666); err != nil {
			log.Fatal(err)
		}
	}
	reg, err := registry.Open(context.Background(), registry.Config{Data: filepath.Join(folder, "data"), Reserve: -1})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(reg.Handler())
	return folder, server.URL, func() {
		server.Close()
		if err := errors.Join(reg.Close(), os.RemoveAll(folder)); err != nil {
			log.Fatal(err)
		}
	}
}
