package ingest_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// safetensors makes a file with one tensor of n bytes.
func safetensors(seed byte, n int) []byte {
	header := []byte(`{"w":{"dtype":"U8","shape":[` + itoa(n) + `],"data_offsets":[0,` + itoa(n) + `]}}`)
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), noise(seed, n)...)
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func TestKeep(t *testing.T) {
	tests := []struct {
		name, path, format string
		bytes              []byte
	}{
		{"weights", "a/model.safetensors", "safetensors", safetensors(1, 9<<20)},
		{"malformed weights", "model.safetensors", "opaque", noise(2, 1<<20)},
		{"empty", "empty", "opaque", nil},
		{"small", "config.json", "opaque", []byte("{}")},
	}
	w := newWorld(t, 0)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := w.keep(tt.bytes, tt.path)
			w.check(o, tt.bytes)
			if o.File.Format != tt.format {
				t.Errorf("format %q, want %q", o.File.Format, tt.format)
			}
			stored := w.blobs.stored.Load()
			again := w.keep(tt.bytes, "elsewhere")
			if again.From != o.From || w.blobs.stored.Load() != stored {
				t.Errorf("kept again as %v, %d bytes more", again.From, w.blobs.stored.Load()-stored)
			}
			list, ok, err := w.versions.KnownHashes(t.Context(), alice, mustUploads(t), o.From.Version)
			if err != nil || !ok || list.Files[0].SHA256 != sumOf(tt.bytes) {
				t.Errorf("hashes of the version: %v, %v, %v", list, ok, err)
			}
		})
	}
}

func mustUploads(t *testing.T) name.Repo {
	t.Helper()
	u, err := model.Uploads()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestKeepChunks stores of a variant only the chunks that differ.
func TestKeepChunks(t *testing.T) {
	w := newWorld(t, 0)
	b := safetensors(1, 3<<20)
	w.keep(b, "model.safetensors")
	before := w.blobs.stored.Load()
	push, err := w.versions.StartPush(t.Context(), alice, mustUploads(t))
	if err != nil {
		t.Fatal(err)
	}
	for n, again := range []bool{false, true} {
		f := w.arrive(b, 1<<20)
		objects, err := w.Send(t.Context(), alice, push.ID, again, []ingest.Input{{Path: "m", Content: f, Size: f.Size()}, {Path: "n", Content: f, Size: f.Size()}})
		if err != nil || len(objects) != 2 || len(objects[0].Refs) != len(objects[1].Refs) {
			t.Fatalf("%d objects, %v", len(objects), err)
		}
		if got := w.blobs.stored.Load() - before; n == 1 && got != 0 {
			t.Errorf("sent again it takes %d bytes more", got)
		}
		before = w.blobs.stored.Load()
	}
}

// TestRefuse keeps nothing that is not what was announced.
func TestRefuse(t *testing.T) {
	w := newWorld(t, 0)
	b := noise(1, 100_000)
	tests := []struct {
		name string
		want ingest.Want
	}{
		{"sha256", ingest.Want{SHA256: sumOf(nil), Size: int64(len(b))}},
		{"size", ingest.Want{SHA256: sumOf(b), Size: 7}},
		{"git", ingest.Want{SHA256: sumOf(b), Size: int64(len(b)), GitSHA1: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.Keep(t.Context(), alice, model, w.arrive(b, 1000), "x", tt.want)
			if !errors.Is(err, &openapi.Error{Code: openapi.CodeBadRequest}) {
				t.Errorf("got %v", err)
			}
			if _, ok, err := w.Find(t.Context(), alice, model, sumOf(b)); ok || err != nil || w.blobs.stored.Load() != 0 {
				t.Errorf("something was kept: %v, %v, %d bytes", ok, err, w.blobs.stored.Load())
			}
		})
	}
	if got, err := ingest.GitBlob(w.arrive(nil, 1), 0); err != nil || got != "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" {
		t.Errorf("the empty blob of git is %s, %v", got, err)
	}
}

// TestSum hashes what comes in any order, and what is written twice.
func TestSum(t *testing.T) {
	w := newWorld(t, 0)
	b := noise(3, 10_000)
	tests := []struct {
		name   string
		pieces [][2]int
	}{
		{"in order", [][2]int{{0, 4000}, {4000, 10_000}}},
		{"backwards", [][2]int{{4000, 10_000}, {0, 4000}}},
		{"twice", [][2]int{{0, 4000}, {1000, 3000}, {4000, 10_000}}},
		{"overlapping", [][2]int{{0, 4000}, {3000, 10_000}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := w.arrive(make([]byte, len(b)), 0+len(b))
			fresh, err := w.Spool(int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = fresh.Close() }()
			for _, s := range []*ingest.Spooled{f, fresh} {
				for _, p := range tt.pieces {
					if _, err := s.WriteAt(b[p[0]:p[1]], int64(p[0])); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := w.Keep(t.Context(), alice, model, s, "x", ingest.Want{SHA256: sumOf(b), Size: int64(len(b))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSpool bounds the room, and leaves nothing in the folder.
func TestSpool(t *testing.T) {
	dir := t.TempDir()
	s, err := ingest.New(ingest.Config{Dir: dir, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Spool(600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spool(500); !errors.Is(err, ingest.ErrSpoolFull) {
		t.Errorf("more than there is: %v", err)
	}
	if _, err := s.Spool(1001); !errors.Is(err, &openapi.Error{Code: openapi.CodeTooLarge}) {
		t.Errorf("more than there ever is: %v", err)
	}
	if _, err := s.Spool(-1); err == nil {
		t.Error("room for less than nothing")
	}
	for _, at := range []int64{-1, 599} {
		if _, err := f.WriteAt([]byte("xx"), at); err == nil {
			t.Errorf("written at %d", at)
		}
	}
	if _, err := f.WriteAt([]byte("x"), 10); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 600))
	if err != nil || len(got) != 600 || got[10] != 'x' || got[599] != 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if full, err := ingest.New(ingest.Config{Dir: dir, Reserve: 1 << 62}); err != nil {
		t.Fatal(err)
	} else if _, err := full.Spool(1); !errors.Is(err, &openapi.Error{Code: openapi.CodeNoSpace}) {
		t.Errorf("room that is to stay free: %v", err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			f, err := s.Spool(100)
			if err != nil {
				t.Error(err)
				return
			}
			_ = f.Close()
		})
	}
	wg.Wait()
	if f, err = s.Spool(1000); err != nil {
		t.Errorf("room that was given back: %v", err)
	} else {
		_ = f.Close()
	}
}

// TestFindInVersions finds a file of a version that was pushed in another way.
func TestFindInVersions(t *testing.T) {
	w := newWorld(t, 0)
	b := noise(5, 300_000)
	o := w.keep(b, "x")
	doc, err := w.versions.Manifest(t.Context(), alice, mustUploads(t), o.From.Version)
	if err != nil {
		t.Fatal(err)
	}
	push, err := w.versions.StartPush(t.Context(), alice, model)
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.versions.CommitFrom(t.Context(), alice, push.ID, doc, "main", "", []versions.Source{o.From})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.versions.DeleteTag(t.Context(), alice, mustUploads(t), ingest.TagOf(o.SHA256), ""); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := w.Find(t.Context(), alice, model, o.SHA256); ok || err != nil {
		t.Fatalf("found without hashes: %v", err)
	}
	if _, err := w.versions.FileHashes(t.Context(), alice, model, done.Digest); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, ok, err := w.Find(t.Context(), alice, model, o.SHA256)
		if err != nil || !ok || got.From.Repo != model.String() {
			t.Fatalf("got %v, %v, %v", got.From, ok, err)
		}
		w.check(got, b)
	}
	if _, ok, err := w.Find(t.Context(), alice, name.Repo{Namespace: "acme", Name: "other"}, o.SHA256); ok || err != nil {
		t.Errorf("another repository has it: %v", err)
	}
}
