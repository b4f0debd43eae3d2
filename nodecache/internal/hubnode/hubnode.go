package hubnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/remote"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Node is what a Source shows; *node.Node is one in the words of this package.
type Node interface {
	// Where returns the version that a reference is served from.
	Where(ctx context.Context, ref name.Ref) (chunker.Digest, error)
	// Served returns where the references are that the node serves, of one repository
	// or of all.
	Served(repo name.Repo) map[name.Ref]chunker.Digest
	// Away reports that there is no use in asking the registry now.
	Away() bool
	Manifest(ctx context.Context, repo name.Repo, d chunker.Digest) (*manifest.Manifest, error)
	// Hashes returns the sha256 of a version's files by path, as far as the node knows
	// them. KeepHashes notes them.
	Hashes(d chunker.Digest) map[string]string
	KeepHashes(d chunker.Digest, sums map[string]string)
	// Chunks gives the chunks of a version. With load, the node begins to keep the
	// whole version when it has to fetch one.
	Chunks(ref name.Ref, d chunker.Digest, m *manifest.Manifest, load bool) stream.Chunks
}

// Config is what a Source works with.
type Config struct {
	Node   Node
	Remote *remote.Source // the registry; nil for none
	Ahead  *stream.Ahead
}

// Source is a catalog.Source. It is safe for concurrent use.
type Source struct {
	config Config
	node   Node
	recent *remote.Recent
	seen   *seen
}

var _ catalog.Source = (*Source)(nil)

// New returns a Source.
func New(c Config) *Source {
	return &Source{config: c, node: c.Node, recent: remote.NewRecent(), seen: newSeen()}
}

// asks reports whether the registry is asked.
func (s *Source) asks() bool { return s.config.Remote != nil && !s.node.Away() }

// unreachable reports an error after which the node answers itself.
func unreachable(err error) bool {
	return errors.Is(err, client.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded)
}

// Models implements catalog.Source.
func (s *Source) Models(ctx context.Context, q catalog.Query) ([]catalog.Model, error) {
	if s.asks() {
		if list, err := s.config.Remote.Models(ctx, q); !unreachable(err) || ctx.Err() != nil {
			return list, err
		}
	}
	found := map[name.Repo]catalog.Model{}
	for ref, d := range s.node.Served(name.Repo{}) {
		if q.Namespace != "" && ref.Repo.Namespace != q.Namespace ||
			!strings.Contains(strings.ToLower(ref.Repo.String()), strings.ToLower(q.Search)) {
			continue
		}
		m := found[ref.Repo]
		m.Repo, m.Updated = ref.Repo, time.Unix(0, 0).UTC() // nobody says when
		if ref.Tag == name.DefaultTag {
			m.Commit = s.commit(ctx, ref.Repo, d)
		}
		found[ref.Repo] = m
	}
	list := make([]catalog.Model, 0, len(found))
	for _, m := range found {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b catalog.Model) int { return cmp.Compare(a.Repo.String(), b.Repo.String()) })
	if q.Limit > 0 {
		list = list[:min(len(list), q.Limit)]
	}
	return list, nil
}

// commit returns the name of a version as a commit; that of its digest if its manifest
// cannot be had.
func (s *Source) commit(ctx context.Context, repo name.Repo, d chunker.Digest) string {
	m, err := s.manifest(ctx, repo, d)
	if err != nil {
		return catalog.CommitOf(d)
	}
	return remote.CommitOf(d, m)
}

func (s *Source) manifest(ctx context.Context, repo name.Repo, d chunker.Digest) (*manifest.Manifest, error) {
	return s.recent.Manifest(repo, d, func() (*manifest.Manifest, error) { return s.node.Manifest(ctx, repo, d) })
}

// Refs implements catalog.Source.
func (s *Source) Refs(ctx context.Context, repo name.Repo) ([]catalog.Ref, error) {
	var list []catalog.Ref
	known := false
	if s.asks() {
		var err error
		if list, err = s.config.Remote.Refs(ctx, repo); err != nil && !unreachable(err) {
			return nil, err
		}
		known = err == nil
	}
	at := map[string]int{}
	for i, r := range list {
		at[r.Name] = i
	}
	served := 0
	for ref := range s.node.Served(repo) {
		if ref.Tag == "" || remote.IsForeign(ref.Tag) {
			continue
		}
		i, there := at[ref.Tag]
		if known && !there {
			continue // the registry has no such tag any more
		}
		d, err := s.node.Where(ctx, ref)
		if err != nil {
			continue
		}
		served++
		if !there {
			list = append(list, catalog.Ref{Name: ref.Tag, Branch: ref.Tag == name.DefaultTag})
			i = len(list) - 1
		}
		list[i].Commit = s.commit(ctx, repo, d)
		s.seen.note(repo, list[i].Commit, where{d, ref.Tag})
	}
	if !known && served == 0 {
		return nil, s.nothing(repo)
	}
	slices.SortFunc(list, func(a, b catalog.Ref) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// nothing is for a repository of which the node has nothing, and that the registry is
// not asked for.
func (s *Source) nothing(repo name.Repo) error {
	if s.config.Remote == nil {
		return fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
	}
	return openapi.Errorf(openapi.CodeUnavailable, "%s is not on this node, and its registry does not answer: try again later", repo)
}

// Revision implements catalog.Source.
func (s *Source) Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	d, err := s.find(ctx, repo, revision)
	if err != nil {
		return nil, err
	}
	m, err := s.manifest(ctx, repo, d)
	if err != nil {
		return nil, s.missing(ctx, repo, revision, err)
	}
	r := remote.Describe(repo, d, m, s.hashes(ctx, repo, d), s.made(ctx, repo, d))
	tag := remote.ParseRevision(revision).Tag
	s.seen.note(repo, r.Commit, where{d, tag})
	return r, nil
}

// hashes returns the sha256 of the files that are known in time.
func (s *Source) hashes(ctx context.Context, repo name.Repo, d chunker.Digest) map[string]string {
	sums, _ := s.recent.Hashes(repo, d, func() (map[string]string, error) {
		if sums := s.node.Hashes(d); sums != nil {
			return sums, nil
		}
		if !s.asks() {
			return nil, nil
		}
		return s.config.Remote.Hashes(ctx, repo, d)
	})
	if sums != nil {
		s.node.KeepHashes(d, sums) // once the version is on the disk
	}
	return sums // without, files go by other names
}

// missing turns the error of a version that is not there into what clients are told.
func (s *Source) missing(ctx context.Context, repo name.Repo, revision string, err error) error {
	absent := errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound})
	switch {
	case absent && s.asks():
		// It knows which of the two is missing.
		if _, asked := s.config.Remote.Find(ctx, repo, revision); asked != nil {
			return asked
		}
	case unreachable(err):
		return s.nothing(repo)
	}
	if absent {
		return fmt.Errorf("%s has no revision %.200q: %w", repo, revision, catalog.ErrNoRevision)
	}
	return err
}

// History implements catalog.Source. Without a registry it is what the node has of it.
func (s *Source) History(ctx context.Context, repo name.Repo, revision string, limit int) ([]catalog.Commit, error) {
	if s.asks() {
		if list, err := s.config.Remote.History(ctx, repo, revision, limit); !unreachable(err) || ctx.Err() != nil {
			return list, err
		}
	}
	d, err := s.find(ctx, repo, revision)
	if err != nil {
		return nil, err
	}
	m, err := s.manifest(ctx, repo, d)
	if err != nil {
		return nil, s.missing(ctx, repo, revision, err)
	}
	return []catalog.Commit{remote.Step(d, m, s.made(ctx, repo, d))}, nil
}

// made returns how a version came to be, if the registry is there to say so.
func (s *Source) made(ctx context.Context, repo name.Repo, d chunker.Digest) remote.Made {
	return s.recent.Made(repo, d, func() remote.Made {
		if !s.asks() {
			return remote.Made{}
		}
		return s.config.Remote.Made(ctx, repo, d)
	})
}
