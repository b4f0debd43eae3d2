package s3

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// What lies below a prefix beside blobs.
const (
	markerName    = "ingot.json"
	registersRoot = "meta/"
	scratchRoot   = "doctor/"
)

// reserved reports whether a name is not that of a blob, although it could be.
func reserved(name string) bool {
	return name == markerName || strings.HasPrefix(name, registersRoot) || strings.HasPrefix(name, scratchRoot)
}

// past returns a name behind all that lie below a reserved root, and before all
// others that come later: "~" is greater than any byte of a name.
func past(name string) (string, bool) {
	for _, root := range []string{registersRoot, scratchRoot} {
		if strings.HasPrefix(name, root) {
			return root + "~", true
		}
	}
	return "", false
}

// List implements blobs.Store. It merges the lists of all buckets.
func (s *Blobs) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	return func(yield func(blobs.Info, error) bool) {
		fail := func(err error) { yield(blobs.Info{}, fmt.Errorf("list blobs %.80q: %w", prefix, err)) }
		if err := ctx.Err(); err != nil {
			fail(err)
			return
		}
		if !possible(prefix) {
			return
		}
		if err := s.space.refresh(ctx); err != nil {
			fail(err)
			return
		}
		var lists []iter.Seq2[blobs.Info, error]
		for _, b := range s.space.buckets() {
			lists = append(lists, s.listBucket(ctx, b, prefix, after))
		}
		for info, err := range merge(lists) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				fail(err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// listBucket yields the blobs of one bucket. What has no name of a blob is skipped.
func (s *Blobs) listBucket(ctx context.Context, b bucket, prefix, after string) iter.Seq2[blobs.Info, error] {
	return func(yield func(blobs.Info, error) bool) {
		for from := after; ; {
			jump := ""
			for object, err := range b.list(ctx, s.space.root+prefix, s.space.root+plainStart(from), pageSize) {
				if err != nil {
					yield(blobs.Info{}, b.explain(err))
					return
				}
				name := strings.TrimPrefix(object.Key, s.space.root)
				if to, ok := past(name); ok && to > from {
					jump = to
					break
				}
				if name <= after || reserved(name) || blobs.CheckName(name) != nil {
					continue
				}
				if !yield(blobs.Info{Name: name, Size: object.Size, Modified: object.LastModified}, nil) {
					return
				}
			}
			if jump == "" {
				return
			}
			from = jump
		}
	}
}

// possible reports whether a name can start with prefix. No store is asked for others.
func possible(prefix string) bool {
	return prefix == "" || blobs.CheckName(prefix) == nil || blobs.CheckName(prefix+"a") == nil
}

// plainStart returns the longest start of s that is the start of a name, or "~" ends.
// Stores refuse other markers; nothing between it and s is lost, only skipped.
func plainStart(s string) string {
	s = s[:min(len(s), blobs.MaxName)]
	if strings.HasSuffix(s, "/~") {
		return s
	}
	for s != "" && !possible(s) {
		s = s[:len(s)-1]
	}
	return s
}

// merge yields what the lists yield, in order, and what several have once.
func merge(lists []iter.Seq2[blobs.Info, error]) iter.Seq2[blobs.Info, error] {
	if len(lists) == 1 {
		return lists[0]
	}
	return func(yield func(blobs.Info, error) bool) {
		var heads []*head
		for _, list := range lists {
			next, stop := iter.Pull2(list)
			defer stop()
			heads = append(heads, &head{next: next})
		}
		for last := ""; ; {
			h, err := first(heads, last)
			if err != nil {
				yield(blobs.Info{}, err)
				return
			}
			if h == nil || !yield(h.info, nil) {
				return
			}
			last = h.info.Name
		}
	}
}

// head is the next blob of one of the lists that are merged.
type head struct {
	next func() (blobs.Info, error, bool)
	info blobs.Info // if full
	full bool
	done bool
}

// first returns the head with the least name after last, nil at the end.
func first(heads []*head, last string) (*head, error) {
	var least *head
	for _, h := range heads {
		for !h.done && (!h.full || h.info.Name <= last && last != "") {
			info, err, more := h.next()
			if err != nil {
				return nil, err
			}
			h.info, h.full, h.done = info, more, !more
		}
		if !h.done && (least == nil || h.info.Name < least.info.Name) {
			least = h
		}
	}
	return least, nil
}
