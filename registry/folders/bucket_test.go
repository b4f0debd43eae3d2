package folders_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/folders"
)

// stores are started when a test wants them, and end with the tests.
var stores storetest.Group

func TestMain(m *testing.M) { os.Exit(stores.Run(m)) }

// TestBucket shows a part of a bucket as it is, and notices what changes.
func TestBucket(t *testing.T) {
	for called, store := range map[string]func(testing.TB) *storetest.Store{"minio": stores.MinIO, "versity": stores.Versity} {
		t.Run(called, func(t *testing.T) {
			s := store(t)
			s.Setenv(t)
			bucket := s.Bucket(t)
			put := func(key, text string) { s.Want(t, 200, "PUT", bucket+"/"+key, "", []byte(text)) }
			for key, text := range map[string]string{
				"models/tiny/config.json": "{}", "models/tiny/sub/w.bin": strings.Repeat("w", 600_000), "models/tiny/.hidden": "x",
				"models/big/model.gguf": "gguf", "models/.cache/x": "x", "models/a-file": "x", "elsewhere/other/x": "x", "modelsother/x/y": "x",
			} {
				put(key, text)
			}
			root, err := folders.OpenBucket(t.Context(), s.URL(bucket, "models"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = root.Close() }()
			f := folders.New(root, "archive", nil)
			models, err := f.Models(t.Context(), catalog.Query{})
			if err != nil || len(models) != 2 || models[0].Repo.Name != "big" || models[1].Repo != tiny {
				t.Fatalf("models %+v, %v", models, err)
			}
			r, err := f.Revision(t.Context(), tiny, models[1].Commit)
			if err != nil || len(r.Files) != 2 {
				t.Fatalf("%+v, %v", r, err)
			}
			if got, err := read(t, f, r, "config.json", 0, -1); err != nil || got != "{}" {
				t.Errorf("%q, %v", got, err)
			}
			if got, err := read(t, f, r, "sub/w.bin", 100_000, 400_000); err != nil || got != strings.Repeat("w", 400_000) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			c, err := f.Open(t.Context(), r, r.File("config.json"))
			if err != nil {
				t.Fatal(err)
			}
			put("models/tiny/config.json", "[]")
			if err := c.Send(t.Context(), &meddler{}, 0, 2); !errors.Is(err, folders.ErrChanged) {
				t.Errorf("an object that has changed: %v", err)
			}
			now, err := f.Revision(t.Context(), tiny, "main")
			if err != nil || now.Commit == r.Commit {
				t.Errorf("after a change it is %+v, %v", now, err)
			}
			if _, err := f.Open(t.Context(), r, r.File("config.json")); !errors.Is(err, folders.ErrChanged) {
				t.Errorf("opened as it was: %v", err)
			}
		})
	}
}

// TestNoBucket says what is wrong with a source.
func TestNoBucket(t *testing.T) {
	s := stores.MinIO(t)
	s.Setenv(t)
	for _, url := range []string{"s3://", "s3://no-such-bucket-here/x", "s3://UPPER/x"} {
		if _, err := folders.OpenBucket(t.Context(), url); err == nil {
			t.Errorf("%s is opened", url)
		}
	}
}
