package blobstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// list returns the names that List yields, whose blobs hold their own names.
func list(t testing.TB, s blobs.Store, prefix, after string) []string {
	t.Helper()
	names := []string{}
	for info, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		if info.Size != int64(len(info.Name)) {
			t.Errorf("%s is listed with %d bytes", info.Name, info.Size)
		}
		if !recent(info.Modified) {
			t.Errorf("%s is listed as made at %v", info.Name, info.Modified)
		}
		names = append(names, info.Name)
	}
	return names
}

func testList(t *testing.T, s blobs.Store) {
	if got := list(t, s, "", ""); len(got) != 0 {
		t.Fatalf("an empty store has %q", got)
	}
	// '-' and '.' come before '/': the order of names is not that of folders.
	names := []string{"a", "a-b", "a.b", "b-", "b.c/d", "b/a", "b/a.a", "b/aa/x", "b/aa/y", "b/ab", "c/x", "cc"}
	for _, name := range names {
		put(t, s, name, name)
	}
	cursors := slices.Concat(names, []string{"", "b", "b/", "b/aa", "b/aa/", "b.", "c", "zz", ".", "..", "../"})
	for _, prefix := range cursors {
		for _, after := range cursors {
			want := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
				return n <= after || !strings.HasPrefix(n, prefix)
			})
			if got := list(t, s, prefix, after); !slices.Equal(got, want) {
				t.Errorf("List(%q, %q) = %q, want %q", prefix, after, got, want)
			}
		}
	}
}

func testListEnds(t *testing.T, s blobs.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("l/%d", i), "x")
	}
	n := 0
	for _, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs []error
	for _, err := range s.List(ctx, "", "") {
		errs = append(errs, err)
		cancel()
	}
	if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], context.Canceled) {
		t.Errorf("a list whose context ends yields %v, want one blob and context.Canceled", errs)
	}
}

// testListDuringPuts lists while blobs are made around those that were there.
func testListDuringPuts(t *testing.T, s blobs.Store) {
	const old, made = 30, 60
	for i := range old {
		put(t, s, fmt.Sprintf("k/%02d/old", i), "x")
	}
	var putting sync.WaitGroup
	putting.Go(func() {
		for i := range made {
			if err := s.Put(t.Context(), fmt.Sprintf("k/%02d/new%d", i%old, i/old)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 5 {
		var names []string
		for info, err := range s.List(t.Context(), "k/", "") {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, info.Name)
		}
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("a list is not in order: %q", names)
		}
		kept := slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, "old") })
		if len(kept) != old {
			t.Errorf("%d of the %d old blobs are listed", len(kept), old)
		}
	}
	putting.Wait()
}
