package hubnode

import (
	"context"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/remote"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// find returns the version that a revision names.
func (s *Source) find(ctx context.Context, repo name.Repo, revision string) (chunker.Digest, error) {
	switch r := remote.ParseRevision(revision); {
	case !r.Digest.IsZero():
		return r.Digest, nil
	case r.Commit != "":
		return s.findCommit(ctx, repo, r.Commit)
	case r.Tag != "":
		return s.findTag(ctx, name.Ref{Repo: repo, Tag: r.Tag})
	}
	if s.asks() {
		return s.config.Remote.Find(ctx, repo, revision)
	}
	return chunker.Digest{}, fmt.Errorf("%s has no revision %.200q: %w", repo, revision, catalog.ErrNoRevision)
}

func (s *Source) findTag(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	if !s.asks() {
		served := s.node.Served(ref.Repo)
		if d, ok := served[ref]; ok {
			return d, nil
		}
		if s.config.Remote == nil && len(served) > 0 {
			return chunker.Digest{}, fmt.Errorf("%s has no revision %s: %w", ref.Repo, ref.Tag, catalog.ErrNoRevision)
		}
		return chunker.Digest{}, s.nothing(ref.Repo)
	}
	d, err := s.node.Where(ctx, ref)
	if err != nil {
		err = s.missing(ctx, ref.Repo, ref.Tag, err)
	}
	return d, err
}

// findCommit returns the version that a commit is: one that was spoken of lately, that
// the node serves, or that the registry has.
func (s *Source) findCommit(ctx context.Context, repo name.Repo, commit string) (chunker.Digest, error) {
	if w, ok := s.seen.get(repo, commit); ok {
		return w.digest, nil
	}
	served := s.node.Served(repo)
	for _, d := range served {
		if catalog.CommitOf(d) == commit {
			return d, nil
		}
	}
	if s.asks() {
		d, err := s.config.Remote.Find(ctx, repo, commit)
		if !unreachable(err) || ctx.Err() != nil {
			return d, err
		}
	}
	for _, d := range served {
		if s.commit(ctx, repo, d) == commit {
			return d, nil
		}
	}
	if s.config.Remote == nil && len(served) > 0 {
		return chunker.Digest{}, fmt.Errorf("%s has no revision %.200q: %w", repo, commit, catalog.ErrNoRevision)
	}
	return chunker.Digest{}, s.nothing(repo)
}

// where is what a commit is, and by which tag somebody came to it, if by one.
type where struct {
	digest chunker.Digest
	tag    string
}

// mostSeen is how many commits are remembered.
const mostSeen = 1 << 14

// seen remembers commits: clients ask for a tag once and then by commit.
type seen struct {
	mu   sync.Mutex
	know map[commitKey]where
}

type commitKey struct {
	repo   name.Repo
	commit string
}

func newSeen() *seen { return &seen{know: map[commitKey]where{}} }

// note remembers what a commit is. Of many, some are forgotten: they can be found
// again.
func (s *seen) note(repo name.Repo, commit string, w where) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := commitKey{repo, commit}
	if before, ok := s.know[key]; ok && w.tag == "" {
		w.tag = before.tag
	}
	for other := range s.know {
		if len(s.know) < mostSeen {
			break
		}
		delete(s.know, other)
	}
	s.know[key] = w
}

func (s *seen) get(repo name.Repo, commit string) (where, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.know[commitKey{repo, commit}]
	return w, ok
}
