package bolt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
)

// openIndex opens an index that the test closes.
func openIndex(t testing.TB, path string) *bolt.Index {
	t.Helper()
	x, err := bolt.OpenIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func closeIndex(t testing.TB, x *bolt.Index) {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

// refs returns n chunks of a set.
func refs(set string, n int) []chunker.Ref {
	list := make([]chunker.Ref, n)
	for i := range list {
		list[i] = chunker.Ref{Digest: chunker.Sum(binary.BigEndian.AppendUint32([]byte(set), uint32(i))), Size: 1}
	}
	return list
}

func digests(refs []chunker.Ref) []chunker.Digest {
	list := make([]chunker.Digest, len(refs))
	for i := range refs {
		list[i] = refs[i].Digest
	}
	return list
}

// source returns a source; version stands for its digest.
func source(repo, version string) bolt.Source {
	return bolt.Source{Repo: repo, Version: chunker.Sum([]byte(version))}
}

func add(t testing.TB, x *bolt.Index, s bolt.Source, chunks []chunker.Ref) {
	t.Helper()
	if err := x.Add(t.Context(), s.Repo, s.Version, chunks); err != nil {
		t.Fatal(err)
	}
}

// find checks the sources of every one of the chunks.
func find(t testing.TB, x *bolt.Index, chunks []chunker.Ref, want ...bolt.Source) {
	t.Helper()
	got, err := x.Lookup(t.Context(), digests(chunks), "ns", nil)
	if err != nil || len(got) != len(chunks) {
		t.Fatalf("%d answers for %d chunks, %v", len(got), len(chunks), err)
	}
	for i := range got {
		if !slices.Equal(got[i], want) {
			t.Fatalf("chunk %d of %d: sources %v, want %v", i, len(chunks), got[i], want)
		}
	}
}

func TestIndex(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "index.db"))
	defer closeIndex(t, x)
	shared, only := refs("shared", 30), refs("only", 30)
	a1, a2 := source("ns/a", "1"), source("ns/a", "2")
	b1, c1, d1, e1 := source("ns/b", "1"), source("ns/c", "1"), source("ns/d", "1"), source("ns/e", "1")
	find(t, x, shared)
	add(t, x, a1, slices.Concat(only, shared, shared))
	find(t, x, shared, a1)
	add(t, x, b1, shared)
	find(t, x, shared, b1, a1)
	add(t, x, a2, shared) // takes the place of the older version of its repository
	find(t, x, shared, a2, b1)
	add(t, x, b1, shared) // again
	find(t, x, shared, b1, a2)
	add(t, x, b1, shared) // is in front already
	find(t, x, shared, b1, a2)
	add(t, x, c1, shared)
	add(t, x, d1, shared)
	find(t, x, shared, d1, c1, b1, a2)
	add(t, x, e1, shared) // the fifth repository
	find(t, x, shared, e1, d1, c1, b1)
	find(t, x, only, a1)
	find(t, x, refs("absent", 3))
	find(t, x, nil)
	add(t, x, a1, nil)
}

// TestIndexNamespaces has other namespaces add the same chunks as often as they like:
// what is said to one does not depend on it.
func TestIndexNamespaces(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "index.db"))
	defer closeIndex(t, x)
	chunks, mine := refs("shared", 10), source("mine/a", "1")
	add(t, x, mine, chunks)
	only := func(repo string) bool { return repo == mine.Repo }
	for i := range 40 {
		add(t, x, source(fmt.Sprintf("other%d/a", i), "1"), chunks)
		for _, near := range []string{"mine", "other0", "unknown"} {
			got, err := x.Lookup(t.Context(), digests(chunks), near, only)
			if err != nil || !slices.Equal(got[9], []bolt.Source{mine}) {
				t.Fatalf("with %d other namespaces, near %s: %v, %v", i+1, near, got[9], err)
			}
		}
	}
	got, err := x.Lookup(t.Context(), digests(chunks), "other39", nil)
	if err != nil || len(got[0]) != 16 || got[0][0] != source("other39/a", "1") {
		t.Errorf("without a limit: %v, %v", got[0], err)
	}
}

// TestIndexMixed asks for known and unknown chunks at once, in no order.
func TestIndexMixed(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "index.db"))
	defer closeIndex(t, x)
	known, unknown := refs("known", 20_000), refs("unknown", 20_000) // more than one transaction
	add(t, x, source("ns/a", "1"), known)
	var ask []chunker.Digest
	for i := range known {
		ask = append(ask, known[i].Digest, unknown[i].Digest)
	}
	got, err := x.Lookup(t.Context(), ask, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if len(got[i]) != 1-i%2 {
			t.Fatalf("chunk %d has %d sources", i, len(got[i]))
		}
	}
}

func TestIndexConcurrent(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "index.db"))
	defer closeIndex(t, x)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			mine, s := refs(fmt.Sprint(i), 500), source(fmt.Sprintf("ns/%d", i), "1")
			if err := x.Add(t.Context(), s.Repo, s.Version, mine); err != nil {
				t.Error(err)
			}
			got, err := x.Lookup(t.Context(), digests(mine), "ns", nil)
			if err != nil || !slices.Equal(got[0], []bolt.Source{s}) {
				t.Errorf("sources %v, %v", got, err)
			}
		})
	}
	all.Wait()
}

// TestIndexFresh goes through every way of finding the file again.
func TestIndexFresh(t *testing.T) {
	chunks, s := refs("", 100), source("ns/a", "1")
	nothing := func(*testing.T, string) {}
	remove := func(suffix string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.Remove(path + suffix); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(suffix string, content []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path+suffix, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name    string
		rebuilt bool
		between func(t *testing.T, path string)
		fresh   bool
	}{
		{"closed", true, nothing, false},
		{"closed before it was rebuilt", false, nothing, true},
		{"not closed", true, remove(".clean"), true},
		{"other format", true, write(".clean", []byte("ingot index 1\n")), true},
		{"marker cut short", true, write(".clean", []byte("ingot")), true},
		{"file removed", true, remove(""), true},
		{"file emptied", true, write("", nil), true},
		{"file overwritten", true, write("", bytes.Repeat([]byte("junk"), 10_000)), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "index.db")
			x := openIndex(t, path)
			if !x.Fresh() {
				t.Error("a new index is not fresh")
			}
			add(t, x, s, chunks)
			if tt.rebuilt {
				x.Rebuilt()
			}
			closeIndex(t, x)
			tt.between(t, path)
			x = openIndex(t, path)
			defer closeIndex(t, x)
			if x.Fresh() != tt.fresh {
				t.Fatalf("fresh is %v, want %v", x.Fresh(), tt.fresh)
			}
			if _, err := os.Stat(path + ".clean"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the marker is there while the index is open: %v", err)
			}
			if tt.fresh {
				find(t, x, chunks)
				add(t, x, s, chunks)
			}
			find(t, x, chunks, s)
		})
	}
}

func TestIndexInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	x := openIndex(t, path)
	x.Rebuilt()
	add(t, x, source("ns/a", "1"), refs("", 10))
	if _, err := bolt.OpenIndex(path); !errors.Is(err, bolt.ErrInUse) {
		t.Errorf("second open: %v, want ErrInUse", err)
	}
	closeIndex(t, x)
	x = openIndex(t, path)
	defer closeIndex(t, x)
	find(t, x, refs("", 10), source("ns/a", "1"))
}

func TestIndexEnds(t *testing.T) {
	x := openIndex(t, filepath.Join(t.TempDir(), "index.db"))
	s := source("ns/a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Add(ctx, s.Repo, s.Version, refs("", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("add: %v, want Canceled", err)
	}
	if _, err := x.Lookup(ctx, digests(refs("", 1)), "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("lookup: %v, want Canceled", err)
	}
	closeIndex(t, x)
	if err := x.Add(t.Context(), s.Repo, s.Version, refs("", 1)); !errors.Is(err, bolt.ErrClosed) {
		t.Errorf("add: %v, want ErrClosed", err)
	}
	if _, err := x.Lookup(t.Context(), digests(refs("", 1)), "", nil); !errors.Is(err, bolt.ErrClosed) {
		t.Errorf("lookup: %v, want ErrClosed", err)
	}
}

// The benchmarks work on the chunks of a 140 GB model, among those of ten others.

func BenchmarkIndexAdd(b *testing.B) {
	x := openIndex(b, filepath.Join(b.TempDir(), "index.db"))
	defer closeIndex(b, x)
	for i := range 10 {
		add(b, x, source(fmt.Sprintf("ns/%d", i), "1"), refs(fmt.Sprint(i), 70_000))
	}
	for i := 0; b.Loop(); i++ {
		add(b, x, source("ns/new", fmt.Sprint(i)), refs(fmt.Sprint(i%20), 70_000))
	}
}

func BenchmarkIndexLookup(b *testing.B) {
	x := openIndex(b, filepath.Join(b.TempDir(), "index.db"))
	defer closeIndex(b, x)
	for i := range 10 {
		add(b, x, source(fmt.Sprintf("ns/%d", i), "1"), refs(fmt.Sprint(i), 70_000))
	}
	ask := digests(refs("3", 70_000))
	for b.Loop() {
		if _, err := x.Lookup(b.Context(), ask, "ns", nil); err != nil {
			b.Fatal(err)
		}
	}
}
