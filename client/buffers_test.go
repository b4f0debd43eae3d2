package client_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/client"
)

func TestPushBuffers(t *testing.T) {
	if client.PushBuffers > 128<<20 {
		t.Errorf("a push holds %d bytes, want at most 128 MiB", client.PushBuffers)
	}
}

func TestPoolLendsNoMore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := client.NewPool(2, 10)
	a, errA := p.Get(ctx)
	b, errB := p.Get(ctx)
	if err := errors.Join(errA, errB); err != nil || len(a) != 0 || cap(a) != 10 {
		t.Fatalf("%d of %d bytes, %v", len(a), cap(a), err)
	}
	p.Put(append(b, 1, 2, 3))
	again, err := p.Get(ctx)
	if err != nil || len(again) != 0 || cap(again) != 10 || &again[:1][0] != &b[:1][0] {
		t.Errorf("%d of %d bytes, %v: want the one that was given back", len(again), cap(again), err)
	}
	cancel()
	if _, err := p.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a third buffer, or %v", err)
	}
}

// TestMoreChunksThanBuffers pushes more chunks than a push may hold at a time: it
// would hang if one of its stages waited for more than there can be.
func TestMoreChunksThanBuffers(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	dir := t.TempDir()
	for i := range 300 {
		put(t, filepath.Join(dir, fmt.Sprintf("file%d", i)), fmt.Sprint(i))
	}
	put(t, filepath.Join(dir, "twice"), "7")
	r := f.client()
	got := push(t, r, dir, "acme/many", client.PushOptions{})
	if got.ChunksTotal != 300 || got.ChunksNew != 300 || got.Files != 301 {
		t.Errorf("%+v", got)
	}
	if n := f.requests("POST /v1/pushes/{p}/chunks"); n != 1 {
		t.Errorf("%d batches for 300 small chunks, want 1", n)
	}
	if n := f.requests("PUT /v1/pushes/{p}/chunks/{d}"); n != 0 {
		t.Errorf("%d small chunks came alone", n)
	}
	target := t.TempDir()
	pull(t, r, "acme/many", target, client.PullOptions{})
	sameTree(t, target, dir)
	if n := f.requests("GET /v1/repos/{ns}/{m}/versions/{d}/chunks"); n != 1 {
		t.Errorf("%d batches for 300 small chunks, want 1", n)
	}
}

func TestRanges(t *testing.T) {
	for want, indexes := range map[string][]uint32{
		"3": {3}, "0-15,20": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20}, "1-2,4-5": {1, 2, 4, 5}, "9,3": {9, 3},
	} {
		if got := client.Ranges(indexes); got != want {
			t.Errorf("%v: %q, want %q", indexes, got, want)
		}
	}
}
