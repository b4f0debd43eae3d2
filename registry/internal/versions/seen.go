package versions

import (
	"cmp"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// How many tags and heads are remembered: some 20 and 50 MB.
const (
	maxSeenTags  = 1 << 16
	maxSeenHeads = 1 << 17
)

// seen remembers registers as they were read, each with its version: a list tells
// versions, and a version never stands for another value. So to look at all tags of
// a repository, deleted ones too, costs a list and the reading of those that have
// changed.
type seen[T any] struct {
	most int

	mu    sync.Mutex // protects known
	known map[registers.Entry]T
}

func newSeen[T any](most int) *seen[T] {
	return &seen[T]{most: most, known: map[registers.Entry]T{}}
}

func (c *seen[T]) get(e registers.Entry) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.known[e]
	return value, ok
}

func (c *seen[T]) put(e registers.Entry, value T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= c.most {
		clear(c.known)
	}
	c.known[e] = value
}

// tagAt returns the tag whose register a list has told of, as it was then or later.
func (s *Service) tagAt(ctx context.Context, e registers.Entry) (*record.Tag, error) {
	if rec, ok := s.tags.get(e); ok {
		return &rec, nil
	}
	var rec record.Tag
	v, err := s.book.Load(ctx, e.Key, &rec)
	if err == nil {
		s.tags.put(registers.Entry{Key: e.Key, Version: v}, rec)
	}
	return &rec, err
}

// seenHead is what is remembered of a head.
type seenHead struct {
	readable bool
	at       time.Time
	push     string
	by       string
	body     string
	record.Facts
}

// headAt returns the head whose register a list has told of, as it was then or later.
func (s *Service) headAt(ctx context.Context, e registers.Entry) (seenHead, error) {
	if head, ok := s.heads.get(e); ok {
		return head, nil
	}
	var h record.Head
	v, err := s.book.Load(ctx, e.Key, &h)
	head := seenHead{h.Readable(), h.At, h.Push, h.By, h.Body, h.Facts}
	if err == nil {
		s.heads.put(registers.Entry{Key: e.Key, Version: v}, head)
	}
	return head, err
}

// readAhead is how many registers are read at a time.
const readAhead = 16

// headsAt is headAt for many, in their order. Those that nobody has looked at are read
// together: of a store that is far away each takes a while.
func (s *Service) headsAt(ctx context.Context, entries []registers.Entry) ([]seenHead, error) {
	heads := make([]seenHead, len(entries))
	var missing []int
	for i, e := range entries {
		var ok bool
		if heads[i], ok = s.heads.get(e); !ok {
			missing = append(missing, i)
		}
	}
	return heads, s.readAll(ctx, missing, func(ctx context.Context, i int) (err error) {
		heads[i], err = s.headAt(ctx, entries[i])
		return err
	})
}

// tagsAt is tagAt for many.
func (s *Service) tagsAt(ctx context.Context, entries []registers.Entry) ([]record.Tag, error) {
	tags := make([]record.Tag, len(entries))
	var missing []int
	for i, e := range entries {
		var ok bool
		if tags[i], ok = s.tags.get(e); !ok {
			missing = append(missing, i)
		}
	}
	return tags, s.readAll(ctx, missing, func(ctx context.Context, i int) error {
		tag, err := s.tagAt(ctx, entries[i])
		tags[i] = *tag
		return err
	})
}

// readAll calls read with each of the indexes, several at a time.
func (s *Service) readAll(ctx context.Context, indexes []int, read func(context.Context, int) error) error {
	g, each := errgroup.WithContext(ctx)
	g.SetLimit(readAhead)
	for _, i := range indexes {
		if each.Err() != nil {
			break
		}
		g.Go(func() error { return read(each, i) })
	}
	return cmp.Or(g.Wait(), ctx.Err())
}
