package versions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

const (
	// maxListBytes bounds the blob of a list: its names at about their longest.
	maxListBytes = 160 << 20
	// keptLists is how many lists are kept for pushes to share. One collection runs
	// at a time, and has two.
	keptLists = 2
)

// condemned is a list of collection. It is never changed.
type condemned struct {
	blob  string
	names []string // ascending
}

// condemn makes the names of a list of collection count as absent for u.
func (s *Service) condemn(ctx context.Context, u *upload, blob string) error {
	if u.knowsList(blob) {
		return nil
	}
	l := s.lists.get(blob)
	if l == nil {
		var err error
		if l, err = s.readList(ctx, blob); err != nil {
			return err
		}
		s.lists.put(l)
	}
	u.condemn(l)
	return nil
}

func (s *Service) readList(ctx context.Context, blob string) (*condemned, error) {
	raw, err := blobs.Read(ctx, s.Blobs, blob, maxListBytes)
	if errors.Is(err, blobs.ErrNotFound) {
		return nil, openapi.Errorf(openapi.CodePushClosed, "list of collection %s is no longer kept: start another push", blob)
	}
	if err != nil {
		return nil, fmt.Errorf("read list of collection: %w", err)
	}
	names, err := placement.ReadList(blob, raw)
	if err != nil {
		s.Logger.ErrorContext(ctx, "list of a collection is damaged: pushes that need it start again", "list", blob, "error", err)
		return nil, openapi.Errorf(openapi.CodePushClosed, "list of collection %s is damaged: start another push", blob)
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
