package registerstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

func testList(t *testing.T, e registers.Engine) {
	var want []registers.Entry
	for _, key := range []string{"a", "a-b", "b/x", "b/x-y", "b/xx", "b/y/z", "b/y/z.z", "b-x", "b.c/d", "b0", "c/x", "_"} {
		want = append(want, registers.Entry{Key: key, Version: write(t, e, key, registers.Absent, "v")})
	}
	slices.SortFunc(want, func(a, b registers.Entry) int { return strings.Compare(a.Key, b.Key) })
	for _, prefix := range []string{"", "a", "b", "b/", "b/x", "b/y/", "c", "zz", "b/y/z/z"} {
		for _, after := range []string{"", ".", "a", "b", "b/", "b/w", "b/x", "b/x0", "b/y/z", "b0", "z", "_"} {
			for _, n := range []int{1, 2, registers.MaxList} {
				checkList(t, e, prefix, after, n, want)
			}
		}
	}
}

// checkList compares one List with what it should be, of all entries there are.
func checkList(t *testing.T, e registers.Engine, prefix, after string, n int, all []registers.Entry) {
	t.Helper()
	var want []registers.Entry
	for _, entry := range all {
		if strings.HasPrefix(entry.Key, prefix) && entry.Key > after && len(want) < n {
			want = append(want, entry)
		}
	}
	got, err := e.List(t.Context(), prefix, after, n)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("list of %d of %q after %q: %q, %v; want %q", n, prefix, after, got, err, want)
	}
}

// scan lists all keys with a prefix in pages of n.
func scan(t testing.TB, e registers.Engine, prefix string, n int) []string {
	var keys []string
	for after := ""; ; {
		entries, err := e.List(t.Context(), prefix, after, n)
		if err != nil {
			t.Error(err)
			return nil
		}
		for _, entry := range entries {
			keys = append(keys, entry.Key)
		}
		if len(entries) < n {
			return keys
		}
		after = keys[len(keys)-1]
	}
}

func testListPages(t *testing.T, e registers.Engine) {
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("m/%03d", i))
		write(t, e, want[i], registers.Absent, "v")
	}
	write(t, e, "n", registers.Absent, "v")
	for _, n := range []int{1, 7, 10, 50, 51} {
		if got := scan(t, e, "m/", n); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q", n, got)
		}
	}
}

// testListDuringWrites scans while keys are made and changed between and at the
// ones that were there before.
func testListDuringWrites(t *testing.T, e registers.Engine) {
	var old []string
	versions := map[string]registers.Version{}
	for i := range 60 {
		key := fmt.Sprintf("k/%03d", i)
		old = append(old, key)
		versions[key] = write(t, e, key, registers.Absent, "v")
	}
	var writers sync.WaitGroup
	defer writers.Wait()
	writers.Go(func() {
		for i, key := range old {
			_, made := e.CAS(t.Context(), fmt.Sprintf("%s-%d", key, i), registers.Absent, nil)
			_, changed := e.CAS(t.Context(), key, versions[key], []byte("w"))
			if made != nil || changed != nil {
				t.Errorf("write during a scan: %v, %v", made, changed)
			}
		}
	})
	for range 10 {
		got := scan(t, e, "k/", 7)
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("keys out of order or repeated: %q", got)
		}
		for _, key := range old {
			if _, found := slices.BinarySearch(got, key); !found {
				t.Errorf("a scan missed %q, which was there throughout", key)
			}
		}
	}
}
