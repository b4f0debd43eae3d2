package versions

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// body is a parsed body. It is never changed.
type body struct {
	name     string
	document []byte
	manifest *manifest.Manifest
	types    []chunker.DType // of the chunks
	entries  []placement.Entry
	order    []uint32 // indexes of the chunks, by digest
}

// errDamaged reports a body that is there and cannot be read.
var errDamaged = errors.New("body is damaged")

// parseBody parses b and checks that document and entries go together. The body
// shares no memory with b.
func parseBody(name string, b []byte) (*body, error) {
	p, err := placement.ReadBody(name, b)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Parse(p.Document)
	if err != nil {
		return nil, err
	}
	if len(m.Chunks) != len(p.Entries) {
		return nil, fmt.Errorf("%d chunks in %d places: %w", len(m.Chunks), len(p.Entries), placement.ErrInvalid)
	}
	o := &body{
		name: name, document: bytes.Clone(p.Document), manifest: m, types: m.Types(), entries: p.Entries,
		order: make([]uint32, len(m.Chunks)),
	}
	for i := range o.order {
		o.order[i] = uint32(i)
	}
	slices.SortFunc(o.order, func(a, b uint32) int { return compareDigests(m.Chunks[a].Digest, m.Chunks[b].Digest) })
	return o, nil
}

func compareDigests(a, b chunker.Digest) int { return slices.Compare(a[:], b[:]) }

// find returns the index of the chunk in the table.
func (b *body) find(d chunker.Digest) (int, bool) {
	at, ok := slices.BinarySearchFunc(b.order, d, func(i uint32, d chunker.Digest) int {
		return compareDigests(b.manifest.Chunks[i].Digest, d)
	})
	if !ok {
		return 0, false
	}
	return int(b.order[at]), true
}

// cost is about what the body takes in memory, in bytes.
func (b *body) cost() int64 {
	bases := 0
	for i := range b.entries {
		bases += len(b.entries[i].Closure)
	}
	return 4*int64(len(b.document)) + 168*int64(len(b.entries)) + 64*int64(bases)
}

// loadBody returns the body of that name, from the cache if it is there. Several
// callers that want the same one share the work.
func (s *Service) loadBody(ctx context.Context, name string) (*body, error) {
	if b := s.bodies.get(name); b != nil {
		return b, nil
	}
	ctx = context.WithoutCancel(ctx) // one caller's going away is not the others' fault
	v, err, _ := s.bodies.loading.Do(name, func() (any, error) {
		raw, err := blobs.Read(ctx, s.Blobs, name, placement.MaxBody)
		if err != nil {
			return nil, err
		}
		b, err := parseBody(name, raw)
		if err != nil {
			return nil, fmt.Errorf("read body %q: %w: %w", name, errDamaged, err)
		}
		s.bodies.put(b)
		return b, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*body), nil
}

// bodyCache keeps the bodies used last, up to a limit in bytes.
type bodyCache struct {
	limit   int64
	loading singleflight.Group

	mu    sync.Mutex // protects the fields below
	used  int64
	order *list.List // of *body, the one used last in front
	byKey map[string]*list.Element
}

func newBodyCache(limit int64) *bodyCache {
	return &bodyCache{limit: limit, order: list.New(), byKey: map[string]*list.Element{}}
}

func (c *bodyCache) get(name string) *body {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[name]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*body)
}

// put keeps b. One that is larger than the limit stays alone.
func (c *bodyCache) put(b *body) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[b.name]; ok {
		return
	}
	c.byKey[b.name] = c.order.PushFront(b)
	c.used += b.cost()
	for c.used > c.limit && c.order.Len() > 1 {
		last := c.order.Back()
		old := c.order.Remove(last).(*body)
		delete(c.byKey, old.name)
		c.used -= old.cost()
	}
}
