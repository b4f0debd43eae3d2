package versions

import (
	"context"
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// maxSeenTags bounds the tags that are remembered: some 20 MB.
const maxSeenTags = 1 << 16

// seenTags remembers tags as they were read, each with the version of its register:
// a list tells versions, and a version never stands for another value. So to look at
// all tags of a repository, deleted ones too, costs a list and the reading of those
// that have changed.
type seenTags struct {
	mu   sync.Mutex // protects tags
	tags map[registers.Entry]record.Tag
}

func newSeenTags() *seenTags { return &seenTags{tags: map[registers.Entry]record.Tag{}} }

func (c *seenTags) get(e registers.Entry) (*record.Tag, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec, ok := c.tags[e]
	return &rec, ok
}

func (c *seenTags) put(e registers.Entry, rec *record.Tag) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tags) >= maxSeenTags {
		clear(c.tags)
	}
	c.tags[e] = *rec
}

// tagAt returns the tag whose register a list has told of, as it was then or later.
func (s *Service) tagAt(ctx context.Context, e registers.Entry) (*record.Tag, error) {
	if rec, ok := s.tags.get(e); ok {
		return rec, nil
	}
	var rec record.Tag
	v, err := s.book.Load(ctx, e.Key, &rec)
	if err == nil {
		s.tags.put(registers.Entry{Key: e.Key, Version: v}, &rec)
	}
	return &rec, err
}
