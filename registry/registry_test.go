package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
)

func open(t *testing.T, data string) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), registry.Config{Data: data, Reserve: -1, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	return r
}

func closeAtEnd(t *testing.T, r *registry.Registry) {
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A registry in a test of something else.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "ingot-example-")
	if err != nil {
		panic(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			panic(err)
		}
	}()
	r, err := registry.Open(context.Background(), registry.Config{Data: filepath.Join(dir, "data"), Reserve: -1})
	if err != nil {
		panic(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			panic(err)
		}
	}()
	server := httptest.NewServer(r.Handler())
	defer server.Close()

	resp, err := http.Get(server.URL + "/v1/repos")
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 {"repos":[]}
}

func TestOpenMakesTheDirectory(t *testing.T) {
	data := filepath.Join(t.TempDir(), "a", "b", "data")
	r, err := registry.Open(t.Context(), registry.Config{Data: data, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(data, "ingot.json")); err != nil || string(b) != "{\"format\":1}\n" {
		t.Errorf("ingot.json: %q, %v", b, err)
	}
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory can be read by others: %v, %v", info, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, data) // again, as a registry that was restarted
}

func TestOneProcessAtATime(t *testing.T) {
	data := t.TempDir()
	open(t, data)
	if _, err := registry.Open(t.Context(), registry.Config{Data: data}); !errors.Is(err, bolt.ErrInUse) || !strings.Contains(err.Error(), data) {
		t.Errorf("a second registry on the directory: %v, want an ErrInUse that names it", err)
	}
}

// TestWhatIsInTheDirectory begins registries on directories that hold files.
func TestWhatIsInTheDirectory(t *testing.T) {
	for _, tc := range []struct {
		what, file, content string
		want                error
	}{
		{"somebody's file", "notes.txt", "x", registry.ErrNotData},
		{"registers without a label", "meta.db", "x", registry.ErrNotData},
		{"a newer format", "ingot.json", `{"format":2}`, registry.ErrNotData},
		{"no format", "ingot.json", `{}`, registry.ErrNotData},
		{"a damaged label", "ingot.json", `{"for`, registry.ErrNotData},
		{"a start that was cut short", "ingot.json.new", `{"for`, nil},
		{"a disk of its own", "lost+found/", "", nil},
	} {
		t.Run(tc.what, func(t *testing.T) {
			data := t.TempDir()
			plant(t, filepath.Join(data, tc.file), strings.HasSuffix(tc.file, "/"), tc.content)
			r, err := registry.Open(t.Context(), registry.Config{Data: data, Reserve: -1})
			if !errors.Is(err, tc.want) {
				t.Errorf("open: %v, want %v", err, tc.want)
			}
			if err == nil {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if !strings.Contains(err.Error(), data) {
				t.Errorf("the error does not name the directory: %v", err)
			}
			if entries, err := os.ReadDir(data); err != nil || len(entries) != 1 {
				t.Errorf("a refused directory was changed: %v, %v", entries, err)
			}
		})
	}
}

func plant(t *testing.T, path string, folder bool, content string) {
	t.Helper()
	var err error
	if folder {
		err = os.Mkdir(path, 0o755)
	} else {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoDirectory(t *testing.T) {
	if _, err := registry.Open(t.Context(), registry.Config{}); err == nil {
		t.Error("a registry without a data directory was opened")
	}
	file := filepath.Join(t.TempDir(), "file")
	plant(t, file, false, "x")
	if _, err := registry.Open(t.Context(), registry.Config{Data: file}); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestDefaultReserve(t *testing.T) {
	for _, tc := range []struct{ disk, want int64 }{
		{10 << 40, 10 << 40 / 50}, // 2 %
		{40 << 30, 1 << 30},
		{8 << 30, 512 << 20}, // a 16th
		{0, 0},
	} {
		if got := registry.DefaultReserve(tc.disk); got != tc.want {
			t.Errorf("disk of %d bytes: %d held back, want %d", tc.disk, got, tc.want)
		}
	}
}

// TestNoSpace fills the disk, as far as the registry can tell.
func TestNoSpace(t *testing.T) {
	r, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir(), Reserve: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	p := pusher{t, r.Handler()}
	push := p.start()
	got := p.put(push, []byte("plain"))
	var doc openapi.ErrorBody
	if err := json.Unmarshal(got.Body.Bytes(), &doc); err != nil || got.Code != http.StatusInsufficientStorage || doc.Error.Code != openapi.CodeNoSpace {
		t.Errorf("upload to a full disk: %d %s", got.Code, got.Body)
	}
	if got := p.do("GET", "/v1/repos", "", nil); got.Code != http.StatusOK {
		t.Errorf("read from a full disk: %d %s", got.Code, got.Body)
	}
}
