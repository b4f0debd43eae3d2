package versions

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/placement"
)

const (
	// maxListBytes bounds the blob of a list: its names at about their longest.
	maxListBytes = 160 << 20
	// keptLists is how many lists are kept for pushes to share. One collection runs
	// at a time, and has two.
	keptLists = 2
)

func (s *Service) readList(ctx context.Context, blob string) (*condemned, error) {
	raw, err := s.readBlob(ctx, blob, maxListBytes)
	if err != nil {
		return nil, fmt.Errorf("read list of collection: %w", err)
	}
	names, err := placement.ParseList(raw)
	if err != nil {
		return nil, fmt.Errorf("read list of collection %q: %w", blob, err)
	}
	return &condemned{blob, names}, nil
}

// listCache keeps the lists of collection read last, which all pushes of that
// time need.
type listCache struct {
	mu    sync.Mutex   // protects lists
	lists []*condemned // the one read last in front
}

func (c *listCache) get(blob string) *condemned {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.lists, func(l *condemned) bool { return l.blob == blob }); i >= 0 {
		return c.lists[i]
	}
	return nil
}

func (c *listCache) put(l *condemned) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists = slices.Insert(c.lists, 0, l)
	c.lists = c.lists[:min(len(c.lists), keptLists)]
}
