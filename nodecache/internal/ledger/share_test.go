package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
)

func admit(t *testing.T, l *ledger.Ledger, e ledger.Entry) ledger.Eviction {
	t.Helper()
	out, err := l.Admit(e, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// bytes is a cost that is the size itself.
func bytes(size uint32) int64 { return int64(size) }

// A version that shares all it has costs nothing, so throwing it out would help
// nobody.
func TestSpared(t *testing.T) {
	l := ledger.New(ledger.Limits{Bytes: 30}, bytes)
	base := entry(0, 9, 10) // 10 and 11 bytes
	admit(t, l, entry(1, 9))
	admit(t, l, base)
	admit(t, l, entry(2, 6)) // 7
	if err := l.Lease(base.Key, time.Time{}); err != nil {
		t.Fatal(err)
	}
	out := admit(t, l, entry(3, 5)) // 6
	if !slices.Equal(out.Keys, []ledger.Key{key(2)}) || !slices.Equal(out.Freed, []ledger.Chunk{{Digest: digest(6)}}) {
		t.Errorf("%v left, want only the one that frees something", out)
	}
	if own, shared := l.Weigh(key(1)); own != 0 || shared != 10 || l.Used() != 27 {
		t.Errorf("own %d, shared %d, used %d", own, shared, l.Used())
	}
}

// The chunks that a version brings to life again do not leave on its account.
func TestReplaced(t *testing.T) {
	l := ledger.New(ledger.Limits{Bytes: 25, Count: 1}, bytes)
	admit(t, l, entry(0, 9, 10))
	out := admit(t, l, entry(1, 9, 3))
	if !slices.Equal(out.Keys, []ledger.Key{key(0)}) || !slices.Equal(out.Freed, []ledger.Chunk{{Digest: digest(10)}}) {
		t.Errorf("%v left", out)
	}
	if !l.Holds(ledger.Chunk{Digest: digest(9)}) || l.Used() != 14 {
		t.Errorf("%d bytes are used", l.Used())
	}
}

func TestWhyFull(t *testing.T) {
	l := ledger.New(ledger.Limits{Bytes: 30, Count: 2}, bytes)
	admit(t, l, entry(0, 9, 10))
	admit(t, l, entry(1, 9))
	l.Pin(key(0), true)
	if err := l.Lease(key(1), time.Time{}); err != nil {
		t.Fatal(err)
	}
	l.Hold("old memory", 5)
	_, most := l.Admit(entry(2, 8, 9, 10), time.Time{})
	_, count := l.Admit(entry(2, 1), time.Time{})
	_, room := l.Admit(entry(2, 7), time.Time{})
	_, ballast := l.TryHold("window", 9, time.Time{})
	for want, err := range map[string]error{
		"needs 9 bytes more, and 4 of 30 are neither in use nor pinned": most,
		"would be more than 2 versions, and 3 are in use or pinned":     count,
		"needs 8 bytes more, and 4 of 30 are neither":                   room,
		"window needs 9 bytes more, and 4 of 30":                        ballast,
	} {
		if !errors.Is(err, ledger.ErrFull) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	var full *ledger.FullError
	if !errors.As(room, &full) || len(full.Holders) != 3 || full.Holders[0].Key != key(0) || full.Holders[2].Name != "old memory" {
		t.Errorf("%+v", full)
	}
	if _, err := l.TryHold("window", 31, time.Time{}); !errors.Is(err, ledger.ErrTooLarge) || !strings.Contains(err.Error(), "window takes 31 bytes, and the budget is 30") {
		t.Error(err)
	}
}

func TestUnleaseNobody(t *testing.T) {
	l := ledger.New(ledger.Limits{Bytes: 30}, bytes)
	admit(t, l, entry(0, 9))
	defer func() {
		if recover() == nil {
			t.Error("a lease ended that nobody had")
		}
	}()
	l.Unlease(key(0), time.Time{})
}

// Many use an account at once, and it comes out even.
func TestConcurrent(t *testing.T) {
	l := ledger.New(ledger.Limits{Bytes: 60}, bytes)
	var all sync.WaitGroup
	for worker := range uint64(4) {
		rnd := rand.New(rand.NewPCG(worker, 0))
		all.Go(func() {
			for range 500 {
				e := entry(rnd.IntN(8), rnd.Perm(20)[:4]...)
				if _, err := l.Admit(e, time.Time{}); err == nil && l.Lease(e.Key, time.Time{}) == nil {
					if !l.Has(e.Key) || l.Used() > 60 {
						t.Error("what is leased left, or the budget did not hold")
					}
					_, _, _ = l.Would(entry(9, rnd.IntN(20)))
					l.Unlease(e.Key, time.Time{})
				}
			}
		})
	}
	all.Wait()
	l.Trim(0)
	if l.Used() != 0 || l.Len() != 0 {
		t.Errorf("%d bytes and %d versions are left", l.Used(), l.Len())
	}
}

func BenchmarkAdmit(b *testing.B) {
	for _, shape := range []struct{ models, chunks int }{{1000, 100}, {10, 70_000}} {
		b.Run(fmt.Sprintf("%dx%d", shape.models, shape.chunks), func(b *testing.B) {
			models := make([]ledger.Entry, shape.models)
			for i := range models {
				models[i].Key = key(i)
				for c := range shape.chunks {
					models[i].Chunks = append(models[i].Chunks, chunker.Ref{Digest: digest(i*shape.chunks + c), Size: 1})
				}
			}
			l := ledger.New(ledger.Limits{Bytes: int64(shape.models * shape.chunks / 2)}, bytes)
			b.ResetTimer()
			for i := range b.N {
				if _, err := l.Admit(models[i%len(models)], time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*shape.chunks), "ns/chunk")
		})
	}
}

// Files of a version are an entry of their own, which no limit of versions counts.
func TestFiles(t *testing.T) {
	l := ledger.New(ledger.Limits{Bytes: 100, Count: 2}, bytes)
	now := time.Time{}
	files := func(i int, size uint32) ledger.Entry {
		return ledger.Entry{Key: key(i).AsFiles(), Domain: "files", Chunks: []chunker.Ref{{Digest: digest(50 + i), Size: size}}}
	}
	version := func(i int) ledger.Entry {
		return ledger.Entry{Key: key(i), Chunks: []chunker.Ref{{Digest: digest(i), Size: 20}}}
	}
	want := func(what string, out ledger.Eviction, err error, keys ...ledger.Key) {
		t.Helper()
		if err != nil || !slices.Equal(out.Keys, keys) {
			t.Errorf("%s: %v left, %v; want %v", what, out.Keys, err, keys)
		}
	}
	put := func(e ledger.Entry, keys ...ledger.Key) {
		t.Helper()
		out, err := l.Admit(e, now)
		want(e.Key.String(), out, err, keys...)
	}
	put(version(0))
	put(files(0, 20))
	put(version(1))
	put(files(1, 20))
	if l.Len() != 2 || l.Used() != 80 {
		t.Errorf("%d versions of %d bytes", l.Len(), l.Used())
	}
	put(version(2), key(0)) // by count: the files stay
	put(files(2, 40), key(0).AsFiles())
	if err := l.Lease(key(1).AsFiles(), now); err != nil {
		t.Fatal(err)
	}
	l.Touch(key(2), now)
	put(files(3, 20), key(1)) // its files are leased
	if l.Len() != 1 || !l.Has(key(1).AsFiles()) {
		t.Errorf("%d versions", l.Len())
	}
}
