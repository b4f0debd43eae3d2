package versions

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// Protections say which tags only admins of a repository set and delete.
type Protections interface {
	// Protects returns by what the tag of a repository is protected; empty is nothing.
	// exists says whether the tag is there.
	Protects(ctx context.Context, repo name.Repo, tag string, exists bool) (pattern string, err error)
}

// maySet returns nil if p may set or delete the tag of a repository to which it may
// push. Only who is no admin there has the protections looked at.
func (s *Service) maySet(ctx context.Context, p access.Principal, repo name.Repo, tag string, exists bool) error {
	if s.Protections == nil || s.Policy.Allow(p, repo, access.Admin) == nil {
		return nil
	}
	pattern, err := s.Protections.Protects(ctx, repo, tag, exists)
	if err != nil || pattern == "" {
		return err
	}
	return openapi.Errorf(openapi.CodeForbidden, "tag %s is protected by %s: ask an admin of the repository to set it", tagName(repo, tag), pattern)
}

// maySetFirst is maySet for who has not looked at the tag yet, ahead of work that would
// be in vain.
func (s *Service) maySetFirst(ctx context.Context, p access.Principal, repo name.Repo, tag, digest string) error {
	if s.Protections == nil || tag == "" || s.Policy.Allow(p, repo, access.Admin) == nil {
		return nil
	}
	var rec record.Tag
	if _, err := s.book.Load(ctx, record.TagKey(repo, tag), &rec); err != nil {
		return fmt.Errorf("read tag %s: %w", tagName(repo, tag), err)
	}
	if rec.Digest == digest {
		return nil // it is where it is to go
	}
	return s.maySet(ctx, p, repo, tag, rec.Digest != "")
}
