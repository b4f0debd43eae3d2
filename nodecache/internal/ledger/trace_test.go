package ledger_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
)

const (
	traceModels = 1000
	traceRoom   = 20 // of the models
	traceSteps  = 20_000
)

// trace is which model each request is for: a few are popular, most are not.
func trace() []int {
	rnd := rand.New(rand.NewPCG(4, 2))
	zipf := rand.NewZipf(rnd, 1.1, 4, traceModels-1)
	names := rnd.Perm(traceModels)
	requests := make([]int, traceSteps)
	for i := range requests {
		requests[i] = names[zipf.Uint64()]
	}
	return requests
}

// leastRecent is how often a cache of so many models hits that throws out what was
// not used for the longest time.
func leastRecent(requests []int, room int) (hits int) {
	var cache []int
	for _, r := range requests {
		if i := slices.Index(cache, r); i >= 0 {
			hits++
			cache = slices.Delete(cache, i, i+1)
		} else if len(cache) == room {
			cache = cache[1:]
		}
		cache = append(cache, r)
	}
	return hits
}

// belady is how often one hits that throws out what is not used again for the
// longest time, which nobody can do better and nobody knows beforehand.
func belady(requests []int, room int) (hits int) {
	next := make([]int, len(requests)) // when the model is asked for again
	seen := map[int]int{}
	for i, r := range slices.Backward(requests) {
		next[i] = len(requests)
		if at, ok := seen[r]; ok {
			next[i] = at
		}
		seen[r] = i
	}
	cache := map[int]int{} // when each is asked for again
	for i, r := range requests {
		if _, ok := cache[r]; ok {
			hits++
		} else if len(cache) == room {
			last := -1
			for c, at := range cache {
				if last < 0 || at > cache[last] {
					last = c
				}
			}
			delete(cache, last)
		}
		cache[r] = next[i]
	}
	return hits
}

// replay is how often an account hits.
func replay(t *testing.T, requests []int, limits ledger.Limits, models []ledger.Entry) (hits int) {
	l := ledger.New(limits, func(size uint32) int64 { return int64(size) })
	var now time.Time
	for _, r := range requests {
		now = now.Add(time.Second)
		e := models[r]
		if l.Has(e.Key) {
			hits++
			l.Touch(e.Key, now)
			continue
		}
		if _, err := l.Admit(e, now); err != nil {
			t.Fatal(err)
		}
		if l.Used() > limits.Bytes || l.Len() > traceRoom {
			t.Fatalf("%d bytes and %d models, want at most %d and %d", l.Used(), l.Len(), limits.Bytes, traceRoom)
		}
	}
	return hits
}

// A thousand models of one size behind the room for twenty, limited by their bytes
// or by their number.
func TestTrace(t *testing.T) {
	const chunks, size = 3, 1 << 20
	models := make([]ledger.Entry, traceModels)
	for i := range models {
		models[i] = ledger.Entry{Key: key(i)}
		for c := range chunks {
			models[i].Chunks = append(models[i].Chunks, chunker.Ref{Digest: digest(i*chunks + c), Size: size})
		}
	}
	requests := trace()
	lru, best := leastRecent(requests, traceRoom), belady(requests, traceRoom)
	byBytes := replay(t, requests, ledger.Limits{Bytes: traceRoom*chunks*size + size}, models)
	byCount := replay(t, requests, ledger.Limits{Bytes: 1 << 40, Count: traceRoom}, models)
	t.Logf("of %d requests %d hit, %d with the best of all caches", len(requests), byBytes, best)
	if byBytes != lru || byCount != lru {
		t.Errorf("%d hits by bytes and %d by count, and a reference has %d", byBytes, byCount, lru)
	}
	if best < lru || lru == 0 {
		t.Errorf("the best has %d hits, the reference %d", best, lru)
	}
}
