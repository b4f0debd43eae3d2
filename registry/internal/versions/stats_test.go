package versions_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// TestStats weighs two namespaces that share a chunk, one of which has a name
// whose keys sort before the other's.
func TestStats(t *testing.T) {
	w := newWorld(t)
	first := newVersion(t, chunker.Digest{}, large(1), small(2))
	second := newVersion(t, first.digest, large(1), small(3))
	foreign := newVersion(t, chunker.Digest{}, large(1), large(4))
	w.push(alice, model, first, "main")
	w.push(alice, model, second, "next")
	w.push(alice, other, first, "main")
	w.push(alice, name.Repo{Namespace: "acme-2", Name: "x"}, foreign, "main")

	one, two := int64(len(large(1))), int64(len(small(2)))
	encoded := func(v *version, plains ...[]byte) (n int64) {
		for _, plain := range plains {
			n += int64(len(v.chunks[chunker.Sum(plain)]))
		}
		return n
	}
	acme := openapi.NamespaceStats{
		Namespace: "acme", Repos: 2, Tags: 3, Versions: 3, Total: 3 * (one + two), Unique: one + 2*two,
		Stored: encoded(first, large(1), small(2)) + encoded(second, small(3)),
	}
	acme2 := openapi.NamespaceStats{
		Namespace: "acme-2", Repos: 1, Tags: 1, Versions: 1, Total: 2 * one, Unique: 2 * one,
		Stored: encoded(foreign, large(1), large(4)),
	}
	all, err := w.Stats(t.Context(), alice, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := []openapi.NamespaceStats{acme, acme2}; !reflect.DeepEqual(all.Namespaces, want) {
		t.Errorf("namespaces %+v, want %+v", all.Namespaces, want)
	}
	if all.Repos != 3 || all.Tags != 4 || all.Versions != 4 || all.Total != acme.Total+acme2.Total || all.Unique != 2*one+2*two {
		t.Errorf("all: %+v", all)
	}
	got, err := w.Stats(t.Context(), alice, "acme")
	want := openapi.Stats{
		Repos: acme.Repos, Tags: acme.Tags, Versions: acme.Versions, Total: acme.Total, Unique: acme.Unique,
		Stored: acme.Stored, Blobs: 3, Namespaces: []openapi.NamespaceStats{acme},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("acme: %+v, %v, want %+v", got, err, want)
	}
}

func TestStatsStopsWithItsCaller(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Stats(ctx, alice, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the caller is gone", err)
	}
}

// TestTally compares a tally that is too small for what it counts with one that
// is not.
func TestTally(t *testing.T) {
	things := func(add func(thing int, n uint32)) {
		for range 2 {
			for i := range 100_000 {
				add(i, uint32(1000+i%1000))
			}
		}
	}
	bytes, count := versions.Tally(100_000, things)
	if want := int64(100_000 * 1000 * 3 / 2); count != 100_000 || bytes < want-100_000 || bytes > want {
		t.Errorf("%d bytes in %d things, want %d in 100000", bytes, count, want)
	}
	reckoned, counted := versions.Tally(8192, things)
	// Of some 6000 kept the standard error is 1.3 %; this is six of them.
	if off := float64(reckoned)/float64(bytes) - 1; off < -0.08 || off > 0.08 || counted < 92_000 || counted > 108_000 {
		t.Errorf("reckoned %d bytes in %d things, want about %d in 100000", reckoned, counted, bytes)
	}
}

// TestStatsTellSomeNamespacesApart has one more than are told apart: copies of one
// record, since a push for each takes long.
func TestStatsTellSomeNamespacesApart(t *testing.T) {
	w, v := newWorld(t), newVersion(t, chunker.Digest{}, small(1))
	w.push(alice, model, v, "")
	record, _, err := w.engine.Get(t.Context(), "m/acme/model/"+v.digest.String())
	if err != nil {
		t.Fatal(err)
	}
	for i := range openapi.MaxNamespaces {
		key := fmt.Sprintf("m/n%d/x/%s", i, v.digest)
		if _, err := w.engine.CAS(t.Context(), key, registers.Absent, record); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.Stats(t.Context(), alice, "")
	if err != nil || len(got.Namespaces) != openapi.MaxNamespaces || got.Versions != openapi.MaxNamespaces+1 || got.Unique != int64(len(small(1))) {
		t.Errorf("%d namespaces, %d versions, %d unique, %v", len(got.Namespaces), got.Versions, got.Unique, err)
	}
}
