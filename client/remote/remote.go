package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Registry is what a Source asks; *client.Registry is one.
type Registry interface {
	Repos(ctx context.Context, namespace string) iter.Seq2[openapi.RepoInfo, error]
	Versions(ctx context.Context, repo name.Repo) iter.Seq2[openapi.VersionInfo, error]
	Version(ctx context.Context, repo name.Repo, prefix string) (openapi.VersionInfo, error)
	Tags(ctx context.Context, repo name.Repo) iter.Seq2[openapi.Tag, error]
	Tag(ctx context.Context, repo name.Repo, tag string) (openapi.Tag, error)
	Manifest(ctx context.Context, ref name.Ref) (*manifest.Manifest, chunker.Digest, error)
	FileHashes(ctx context.Context, ref name.Ref) (openapi.FileHashes, error)
	Plain(ctx context.Context, repo name.Repo, digest chunker.Digest, m *manifest.Manifest, chunk uint32, room []byte) ([]byte, error)
}

// Config is what a Source works with. Registry and Ahead must be set.
type Config struct {
	Registry Registry
	Ahead    *stream.Ahead
	// HashWait is how long a revision waits for the sha256 of its files, which the
	// registry may have to compute; 0 is DefaultHashWait.
	HashWait time.Duration
}

// DefaultHashWait is short enough for clients that wait ten seconds.
const DefaultHashWait = 3 * time.Second

// Source is a catalog.Source. It is safe for concurrent use.
type Source struct {
	config Config
	recent *Recent
}

var _ catalog.Source = (*Source)(nil)

// New returns a Source.
func New(c Config) *Source {
	c.HashWait = cmp.Or(max(0, c.HashWait), DefaultHashWait)
	return &Source{config: c, recent: NewRecent()}
}

// mostModels is how many models a list has when nobody says.
const mostModels = 1000

// Models implements catalog.Source.
func (s *Source) Models(ctx context.Context, q catalog.Query) (list []catalog.Model, err error) {
	limit, word := cmp.Or(max(0, q.Limit), mostModels), strings.ToLower(q.Search)
	if q.Namespace != "" {
		if _, err := name.ParseRepo(q.Namespace + "/x"); err != nil {
			return nil, nil // nobody has models under such a name
		}
	}
	for info, err := range s.config.Registry.Repos(ctx, q.Namespace) {
		if err != nil {
			return nil, err
		}
		repo, err := name.ParseRepo(info.Name)
		if err != nil || !strings.Contains(strings.ToLower(info.Name), word) {
			continue
		}
		m := catalog.Model{Repo: repo}
		t, err := s.config.Registry.Tag(ctx, repo, name.DefaultTag)
		if err == nil {
			m.Updated = t.Updated
			m.Commit, err = s.commit(ctx, repo, t.Digest)
		}
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		if list = append(list, m); len(list) == limit {
			break
		}
	}
	return list, nil
}

// Refs implements catalog.Source.
func (s *Source) Refs(ctx context.Context, repo name.Repo) (refs []catalog.Ref, err error) {
	for t, err := range s.config.Registry.Tags(ctx, repo) {
		if isNotFound(err) {
			return nil, fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
		}
		if err != nil {
			return nil, err
		}
		if IsForeign(t.Name) {
			continue
		}
		c, err := s.commit(ctx, repo, t.Digest)
		if isNotFound(err) {
			continue // it went since the tags were listed
		}
		if err != nil {
			return nil, err
		}
		refs = append(refs, catalog.Ref{Name: t.Name, Branch: isBranch(t), Commit: c})
	}
	return refs, nil
}

// isBranch tells branches from tags, which are one kind of thing in a registry.
func isBranch(t openapi.Tag) bool { return t.Branch || t.Name == name.DefaultTag }

func (s *Source) commit(ctx context.Context, repo name.Repo, d chunker.Digest) (string, error) {
	m, err := s.manifest(ctx, repo, d)
	if err != nil {
		return "", err
	}
	return CommitOf(d, m), nil
}

// manifest returns the document of a version.
func (s *Source) manifest(ctx context.Context, repo name.Repo, d chunker.Digest) (*manifest.Manifest, error) {
	return s.recent.Manifest(repo, d, func() (*manifest.Manifest, error) {
		m, _, err := s.config.Registry.Manifest(ctx, name.Ref{Repo: repo, Digest: d})
		return m, err
	})
}

// Revision implements catalog.Source.
func (s *Source) Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	d, err := s.Find(ctx, repo, revision)
	if err != nil {
		return nil, err
	}
	m, err := s.manifest(ctx, repo, d)
	if err != nil {
		return nil, s.missing(ctx, repo, revision, err)
	}
	sums, err := s.Hashes(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	return Describe(repo, d, m, sums, s.Made(ctx, repo, d)), nil
}

// Made returns how a version came to be, if the registry says so.
func (s *Source) Made(ctx context.Context, repo name.Repo, d chunker.Digest) Made {
	return s.recent.Made(repo, d, func() Made {
		v, err := s.config.Registry.Version(ctx, repo, catalog.CommitOf(d))
		if err != nil || v.Digest != d {
			return Made{}
		}
		return Made{v.Created, v.By}
	})
}

// Find returns the version that a revision names.
func (s *Source) Find(ctx context.Context, repo name.Repo, revision string) (chunker.Digest, error) {
	switch r := ParseRevision(revision); {
	case !r.Digest.IsZero():
		return r.Digest, nil
	case r.Commit != "":
		v, err := s.config.Registry.Version(ctx, repo, r.Commit)
		if isNotFound(err) {
			t, err := s.config.Registry.Tag(ctx, repo, foreignTag+r.Commit)
			return t.Digest, s.missing(ctx, repo, revision, err)
		}
		return v.Digest, err
	case r.Tag != "":
		t, err := s.config.Registry.Tag(ctx, repo, r.Tag)
		return t.Digest, s.missing(ctx, repo, revision, err)
	}
	return chunker.Digest{}, s.missing(ctx, repo, revision, &openapi.Error{Code: openapi.CodeNotFound})
}

// Hashes returns the sha256 of the files of a version by their paths, or nil if the
// registry does not know them in time.
func (s *Source) Hashes(ctx context.Context, repo name.Repo, d chunker.Digest) (map[string]string, error) {
	return s.recent.Hashes(repo, d, func() (map[string]string, error) {
		waiting, cancel := context.WithTimeout(ctx, s.config.HashWait)
		defer cancel()
		list, err := s.config.Registry.FileHashes(waiting, name.Ref{Repo: repo, Digest: d})
		if err != nil && waiting.Err() != nil && ctx.Err() == nil {
			return nil, nil
		}
		sums := make(map[string]string, len(list.Files))
		for _, f := range list.Files {
			sums[f.Path] = f.SHA256
		}
		return sums, err
	})
}

func isNotFound(err error) bool { return errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) }

// missing tells a revision that is not there from a repository that is not.
func (s *Source) missing(ctx context.Context, repo name.Repo, revision string, err error) error {
	if !isNotFound(err) {
		return err
	}
	for _, err := range s.config.Registry.Versions(ctx, repo) {
		if isNotFound(err) {
			return fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
		}
		if err != nil {
			return err
		}
		break
	}
	return fmt.Errorf("%s has no revision %.200q: %w", repo, revision, catalog.ErrNoRevision)
}

// History implements catalog.Source.
func (s *Source) History(ctx context.Context, repo name.Repo, revision string, limit int) (list []catalog.Commit, err error) {
	d, err := s.Find(ctx, repo, revision)
	for err == nil && len(list) < limit && !d.IsZero() {
		var m *manifest.Manifest
		if m, err = s.manifest(ctx, repo, d); isNotFound(err) {
			if len(list) > 0 {
				return list, nil // older versions may be gone
			}
			err = s.missing(ctx, repo, revision, err)
		}
		if err == nil {
			list = append(list, Step(d, m, s.Made(ctx, repo, d)))
			d = m.Parent
		}
	}
	return list, err
}

// Open implements catalog.Source.
func (s *Source) Open(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error) {
	m, err := s.manifest(ctx, r.Repo, r.Digest)
	if err != nil {
		return nil, err
	}
	file := m.File(f.Path)
	if file == nil {
		return nil, fmt.Errorf("%s at %.12s has no file %.200q: %w", r.Repo, r.Commit, f.Path, catalog.ErrNoFile)
	}
	return stream.Chunked(m, file, &chunks{s.config.Registry, r.Repo, r.Digest, m}, s.config.Ahead), nil
}

// chunks are those of a version.
type chunks struct {
	registry Registry
	repo     name.Repo
	digest   chunker.Digest
	m        *manifest.Manifest
}

// Chunk implements stream.Chunks.
func (c *chunks) Chunk(ctx context.Context, index uint32) (plain []byte, release func(), err error) {
	room, release := stream.Room()
	plain, err = c.registry.Plain(ctx, c.repo, c.digest, c.m, index, room)
	return plain, release, err
}

var _ Registry = (*client.Registry)(nil)
