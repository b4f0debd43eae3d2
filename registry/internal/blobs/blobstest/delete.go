package blobstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// testDelete deletes from stores that can. Those that cannot say so by their type.
func testDelete(t *testing.T, s blobs.Store) {
	sweeper, ok := s.(blobs.Sweeper)
	if !ok {
		t.Fatalf("%T is no blobs.Sweeper", s)
	}
	const many = 1200 // more than stores delete at a time
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprintf("d/%03x/%d", i%16, i)
		put(t, s, names[i], names[i])
	}
	put(t, s, "d/kept", "d/kept")
	if err := sweeper.Delete(t.Context(), slices.Concat(names, []string{"d/never", "e/never"})); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, "", ""); !slices.Equal(got, []string{"d/kept"}) {
		t.Errorf("%d blobs are left, %.100q", len(got), got)
	}
	if _, err := s.Stat(t.Context(), names[0]); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("stat of a deleted blob: %v", err)
	}
	if err := sweeper.Delete(t.Context(), names[:2]); err != nil {
		t.Errorf("second deletion: %v", err)
	}
	if err := sweeper.Delete(t.Context(), nil); err != nil {
		t.Errorf("deletion of nothing: %v", err)
	}
	if err := sweeper.Delete(t.Context(), []string{"d/kept", "../x"}); !errors.Is(err, blobs.ErrName) {
		t.Errorf("deletion of a bad name: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sweeper.Delete(ctx, []string{"d/kept"}); !errors.Is(err, context.Canceled) {
		t.Errorf("deletion after the context: %v", err)
	}
}
