package versions

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// weight is what versions take together. It is never changed.
type weight struct {
	openapi.Weighed
	took       time.Duration
	state      uint64           // of the heads that were weighed
	namespaces map[string]alone // each by itself
	each       int64            // what they store, added up
	places     int              // and in how many places, likewise
}

// alone is what the versions of one namespace take.
type alone struct{ unique, stored int64 }

// weightKey says what was weighed: what a principal may read, of one namespace or of
// all.
type weightKey struct {
	principal access.Principal
	namespace string
}

// maxWeights is how many weights are remembered.
const maxWeights = 16

// weights remembers weights.
type weights struct {
	loading singleflight.Group

	mu    sync.Mutex // protects known
	known map[weightKey]*weight
}

func (c *weights) get(key weightKey) *weight {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[key]
}

func (c *weights) put(key weightKey, w *weight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxWeights {
		c.known = map[weightKey]*weight{}
	}
	c.known[key] = w
}

// stateOf is the same as long as the heads of all these repositories are.
func stateOf(repos []surveyed) uint64 {
	var h maphash.Hash
	h.SetSeed(stateSeed)
	for _, r := range repos {
		maphash.WriteComparable(&h, r.repo)
		maphash.WriteComparable(&h, r.state)
	}
	return h.Sum64()
}

// weighNow returns what these repositories take. One caller works at a time, the others
// wait for it.
func (s *Service) weighNow(ctx context.Context, key weightKey, repos []surveyed) (*weight, error) {
	state := stateOf(repos)
	if w := s.weights.get(key); w != nil && w.state == state {
		return w, nil
	}
	if err := s.weighing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.weighing.Release(1)
	if w := s.weights.get(key); w != nil && w.state == state {
		return w, nil
	}
	w, err := s.weigh(ctx, repos)
	if err != nil {
		return nil, err
	}
	w.state = state
	s.weights.put(key, w)
	return w, nil
}

// maxWeighing bounds a weighing that nobody waits for any more.
const maxWeighing = 10 * time.Minute

// weighSoon is weighNow for who would rather have figures that are a little old, or
// none, than wait.
func (s *Service) weighSoon(ctx context.Context, key weightKey, repos []surveyed) (*openapi.Weighed, error) {
	last := s.weights.get(key)
	if last != nil && (last.state == stateOf(repos) || !old(s.Now().Sub(last.At), last.took)) {
		return &last.Weighed, nil
	}
	done := s.weights.loading.DoChan(fmt.Sprintf("%#v", key), func() (any, error) {
		working, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxWeighing)
		defer cancel()
		return s.weighNow(working, key, repos)
	})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return &r.Val.(*weight).Weighed, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
	}
	if last == nil {
		return nil, nil
	}
	return &last.Weighed, nil
}

// weigh reads all bodies. It takes at most six tallies, 75 MB, however much there is: up
// to 2^19 distinct chunks what a version or a namespace takes is exact, and up to 2^17
// what is saved by what.
func (s *Service) weigh(ctx context.Context, repos []surveyed) (*weight, error) {
	begun := time.Now()
	w := newWeighing()
	for _, r := range repos {
		w.begin(r.repo.Namespace)
		w.total += r.info.Total
		for _, name := range r.bodies {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b, err := s.loadBody(ctx, name)
			// One that cannot be read weighs nothing: whoever asks for the version is told
			// of the damage.
			if isGone(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			w.add(b)
		}
	}
	all := w.end()
	all.At, all.took = s.Now(), time.Since(begun)
	return all, nil
}

// place tells two chunks apart by where they lie.
type place struct {
	object string
	offset uint32
}

// weighing adds up what versions hold, one namespace after the other.
type weighing struct {
	weight
	now    string // the namespace that is weighed
	total  int64  // plain bytes of all files
	all    tally  // chunks of all namespaces, plain
	chunks tally  // chunks of this one, plain
	places tally  // and where they lie, encoded
	stored tally  // places of all namespaces, encoded
	own    tally  // those that are chunks of a version, encoded
	deltas tally  // those that are deltas, what they take less than their plain bytes
}

func newWeighing() *weighing {
	return &weighing{
		weight: weight{namespaces: map[string]alone{}},
		all:    newTally(maxTally), chunks: newTally(maxTally), places: newTally(maxTally),
		stored: newTally(maxTally / 4), own: newTally(maxTally / 4), deltas: newTally(maxTally / 4),
	}
}

// begin goes on with a namespace. Its repositories come one after the other.
func (w *weighing) begin(namespace string) {
	if w.now != namespace {
		w.endNamespace()
		w.now = namespace
	}
}

// add adds the chunks of a version.
func (w *weighing) add(b *body) {
	for i := range b.entries {
		e, chunk := &b.entries[i], b.manifest.Chunks[i]
		hash := hashOf(chunk.Digest)
		w.all.add(hash, chunk.Size)
		w.chunks.add(hash, chunk.Size)
		at := w.place(e)
		w.own.add(at, e.Length)
		if len(e.Closure) > 0 && e.Length < chunk.Size {
			w.deltas.add(at, chunk.Size-e.Length)
		}
		for j := range e.Closure {
			w.place(&e.Closure[j])
		}
	}
}

// place adds what lies somewhere.
func (w *weighing) place(e *placement.Entry) uint64 {
	hash := hashOf(placeOf(e))
	w.places.add(hash, e.Length)
	w.stored.add(hash, e.Length)
	return hash
}

func (w *weighing) endNamespace() {
	if w.now == "" {
		return
	}
	now := alone{w.chunks.bytes(), w.places.bytes()}
	w.namespaces[w.now] = now
	w.each += now.stored
	w.weight.places += w.places.count()
	w.chunks.reset()
	w.places.reset()
}

// end returns the figures.
func (w *weighing) end() *weight {
	w.endNamespace()
	all := w.weight
	all.Total, all.Unique, all.Stored = w.total, w.all.bytes(), w.stored.bytes()
	bases := all.Stored - w.own.bytes() // that are chunks of no version here
	all.Saved.Dedup = all.Total - all.Unique
	all.Saved.Delta = w.deltas.bytes() - bases
	all.Saved.Compression = all.Unique - all.Stored - all.Saved.Delta
	return &all
}
