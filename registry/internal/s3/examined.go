package s3

import (
	"context"
	"fmt"
	"net/http"
)

// Through returns this space over the connections of another: as another replica
// would see it.
func (s *Space) Through(other *Space) *Space {
	return newSpace(other.store, s.loc, *s.names.Load(), other.turns)
}

// Versioned tells which buckets keep what is deleted or written over, and in words
// whether something ends that.
func (s *Space) Versioned(ctx context.Context) ([]string, error) {
	var found []string
	for _, b := range s.buckets() {
		what, err := b.versioned(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask for the versioning of bucket %s: %w", b.name, b.explain(err))
		}
		if what != "" {
			found = append(found, what)
		}
	}
	return found, nil
}

func (b bucket) versioned(ctx context.Context) (string, error) {
	enabled := false
	err := b.again(ctx, func() error {
		config, err := b.core.GetBucketVersioning(ctx, b.name)
		enabled = config.Enabled()
		return err
	})
	if resp, _ := response(err); resp.StatusCode == http.StatusNotImplemented || resp.StatusCode == http.StatusMethodNotAllowed {
		return "", nil // the store knows no versions
	}
	if err != nil || !enabled {
		return "", err
	}
	ends, err := b.endsOldVersions(ctx)
	if err != nil || ends {
		return "", err
	}
	return fmt.Sprintf("bucket %s keeps every version of an object, and no rule ends old ones", b.name), nil
}

// endsOldVersions reports whether a rule deletes what was deleted or written over.
func (b bucket) endsOldVersions(ctx context.Context) (bool, error) {
	rules, err := b.rules(ctx)
	for _, rule := range rules {
		e := rule.NoncurrentVersionExpiration
		if rule.Status == "Enabled" && (e.NoncurrentDays > 0 || e.NewerNoncurrentVersions > 0) {
			return true, nil
		}
	}
	return false, err
}

// Around returns ErrOverlap when another registry is kept above this place or right
// below it.
func (s *Space) Around(ctx context.Context) error {
	for _, b := range s.buckets() {
		if err := s.around(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.loc, b.explain(err))
		}
	}
	return nil
}
