package s3

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// roots are the folders of everything a registry keeps below its prefix.
var roots = []string{registersRoot, scratchRoot, "b/", "c/", "gl/", "h/", "u/"}

// Foreign returns up to most objects below the prefix that are not of a registry.
func (s *Space) Foreign(ctx context.Context, most int) ([]string, error) {
	var found []string
	for _, b := range s.buckets() {
		for object, err := range b.list(ctx, s.root, "", pageSize) {
			if err != nil {
				return nil, fmt.Errorf("look for foreign objects in %s: %w", s.loc, b.explain(err))
			}
			if len(found) == most {
				return found, nil
			}
			if !ours(strings.TrimPrefix(object.Key, s.root)) {
				found = append(found, scheme+b.name+"/"+object.Key)
			}
		}
	}
	return found, nil
}

// ours reports whether a registry has objects of that name.
func ours(name string) bool {
	if name == markerName || strings.HasPrefix(name, scratchRoot) {
		return true
	}
	if key, ok := strings.CutPrefix(name, registersRoot); ok {
		return registers.CheckKey(key) == nil
	}
	for _, root := range roots {
		if strings.HasPrefix(name, root) {
			return blobs.CheckName(name) == nil
		}
	}
	return false
}

// Scratch returns a space below this one for probes, and what removes it and
// everything in it.
func (s *Space) Scratch(ctx context.Context) (*Space, func(context.Context) error, error) {
	var nonce [8]byte
	if _, err := io.ReadFull(s.rand, nonce[:]); err != nil {
		return nil, nil, fmt.Errorf("make a scratch space: %w", err)
	}
	loc := Location{s.loc.Bucket, s.root + scratchRoot + hex.EncodeToString(nonce[:])}
	scratch := newSpace(s.store, loc, *s.names.Load(), s.turns)
	return scratch, scratch.clear, ctx.Err()
}

// clear deletes everything below the prefix.
func (s *Space) clear(ctx context.Context) error {
	for _, b := range s.buckets() {
		var page []string
		for object, err := range b.list(ctx, s.root, "", pageSize) {
			if err != nil {
				return fmt.Errorf("clear %s: %w", s.loc, b.explain(err))
			}
			if page = append(page, object.Key); len(page) == pageSize {
				if err := b.remove(ctx, page); err != nil {
					return err
				}
				page = page[:0]
			}
		}
		if len(page) > 0 {
			if err := b.remove(ctx, page); err != nil {
				return err
			}
		}
	}
	return nil
}

// DangerousRules returns the lifecycle rules of the buckets that would delete or move
// objects of ours, in words.
func (s *Space) DangerousRules(ctx context.Context) ([]string, error) {
	var found []string
	for _, b := range s.buckets() {
		rules, err := b.dangerous(ctx, s.root)
		if err != nil {
			return nil, fmt.Errorf("read the lifecycle rules of bucket %s: %w", b.name, b.explain(err))
		}
		found = append(found, rules...)
	}
	return found, nil
}
