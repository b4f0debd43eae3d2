// Package folders owns how plain folders of models, as they lie on a disk or in a
// bucket, are shown as models: each folder in the root is one, with a single branch.
// It is a catalog.Source that only reads.
//
// Laws:
//   - Nothing is written, and nothing outside the root is read.
//   - Nothing is hashed: a commit is named after what is known of the files without
//     reading them, their paths, sizes and marks. Whatever changes a mark makes
//     another commit.
//   - Bytes of a commit are those of its listing. A file that has changed since then
//     fails to be read, before its last byte.
package folders

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Errors of a Source, besides those of package catalog.
var (
	// ErrChanged reports a file that is not what it was when it was listed.
	ErrChanged = errors.New("the file has changed since it was listed")
	// ErrSource reports a root that cannot be read.
	ErrSource = errors.New("the folders cannot be read")
)

// File is a file of a folder.
type File struct {
	Path string // below the model's folder, with slashes
	Size int64
	// Mark changes when the bytes do: an ETag, or a time with a number of a file system.
	Mark     string
	Modified time.Time
}

// Root is where folders lie: a directory or a part of a bucket. It is safe for
// concurrent use.
type Root interface {
	// Models lists the folders by name.
	Models(ctx context.Context) ([]string, error)
	// Files lists the files of a folder; none if there is no such folder.
	Files(ctx context.Context, model string) ([]File, error)
	// Open opens n bytes of a file from offset on. Reading fails with ErrChanged, before
	// the last of them, if the file is not what it was.
	Open(ctx context.Context, model string, f File, offset, n int64) (io.ReadCloser, error)
	Close() error
}

// Source shows the folders of a Root as models of one namespace. It is safe for
// concurrent use.
type Source struct {
	root      Root
	namespace string
	logger    *slog.Logger

	mu   sync.Mutex      // protects told
	told map[string]bool // what was left out, as it was logged
}

var _ catalog.Source = (*Source)(nil)

// New returns a Source. Logger hears of what is left out; nil is silence.
func New(root Root, namespace string, logger *slog.Logger) *Source {
	return &Source{root: root, namespace: namespace, logger: cmp.Or(logger, slog.New(slog.DiscardHandler)), told: map[string]bool{}}
}

// maxTold bounds what is remembered of what was logged.
const maxTold = 10_000

// leaveOut logs once what is not shown.
func (s *Source) leaveOut(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told[what] && len(s.told) < maxTold {
		s.told[what] = true
		s.logger.Warn("left out", "what", what, "error", err)
	}
}

// Models implements catalog.Source.
func (s *Source) Models(ctx context.Context, q catalog.Query) ([]catalog.Model, error) {
	list := []catalog.Model{}
	if q.Namespace != "" && q.Namespace != s.namespace {
		return list, nil
	}
	names, err := s.root.Models(ctx)
	if err != nil {
		return nil, err
	}
	word := strings.ToLower(q.Search)
	for _, n := range names {
		repo, err := name.ParseRepo(s.namespace + "/" + n)
		if err != nil {
			s.leaveOut(n, err)
			continue
		}
		if !strings.Contains(strings.ToLower(repo.String()), word) {
			continue
		}
		r, _, err := s.read(ctx, repo)
		if errors.Is(err, catalog.ErrNoRepo) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, catalog.Model{Repo: repo, Commit: r.Commit, Updated: r.Created})
		if q.Limit > 0 && len(list) == q.Limit {
			break
		}
	}
	return list, nil
}

// read lists a folder as the one revision that it has now.
func (s *Source) read(ctx context.Context, repo name.Repo) (*catalog.Revision, []File, error) {
	none := fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
	if repo.Namespace != s.namespace {
		return nil, nil, none
	}
	files, err := s.root.Files(ctx, repo.Name)
	if err != nil {
		return nil, nil, err
	}
	files = slices.DeleteFunc(files, func(f File) bool {
		err := manifest.CheckPath(f.Path)
		if err != nil {
			s.leaveOut(repo.Name+"/"+f.Path, err)
		}
		return err != nil
	})
	if len(files) == 0 {
		return nil, nil, none
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	r := &catalog.Revision{Repo: repo, Annotations: map[string]string{}, Files: make([]catalog.File, len(files))}
	commit := sha256.New()
	for i, f := range files {
		etag := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s", f.Path, f.Size, f.Mark))
		r.Files[i] = catalog.File{Path: f.Path, Size: f.Size, ETag: hex.EncodeToString(etag[:])[:catalog.CommitLen]}
		commit.Write(etag[:])
		if f.Modified.After(r.Created) {
			r.Created = f.Modified.UTC()
		}
	}
	r.Commit = hex.EncodeToString(commit.Sum(nil))[:catalog.CommitLen]
	return r, files, nil
}

// Refs implements catalog.Source.
func (s *Source) Refs(ctx context.Context, repo name.Repo) ([]catalog.Ref, error) {
	r, _, err := s.read(ctx, repo)
	if err != nil {
		return nil, err
	}
	return []catalog.Ref{{Name: name.DefaultTag, Branch: true, Commit: r.Commit}}, nil
}

// Revision implements catalog.Source: the branch, or its commit. Those that it had
// before are gone.
func (s *Source) Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	r, _, err := s.read(ctx, repo)
	if err != nil {
		return nil, err
	}
	if branch := strings.TrimPrefix(revision, "refs/heads/"); branch != name.DefaultTag && revision != r.Commit {
		return nil, fmt.Errorf("%s has no revision %.200q: %w", repo, revision, catalog.ErrNoRevision)
	}
	return r, nil
}

// History implements catalog.Source: of what was before, nothing is known.
func (s *Source) History(ctx context.Context, repo name.Repo, revision string, limit int) ([]catalog.Commit, error) {
	r, err := s.Revision(ctx, repo, revision)
	if err != nil || limit < 1 {
		return nil, err
	}
	return []catalog.Commit{{Commit: r.Commit, Title: "as it is now", At: r.Created}}, nil
}

// Open implements catalog.Source.
func (s *Source) Open(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error) {
	now, files, err := s.read(ctx, r.Repo)
	if err != nil {
		return nil, err
	}
	for i := range files {
		if files[i].Path == f.Path && now.Files[i] == *f {
			return &content{s.root, r.Repo.Name, files[i]}, nil
		}
	}
	return nil, fmt.Errorf("%s at %.12s: file %.200q: %w: %w", r.Repo, r.Commit, f.Path, ErrChanged, catalog.ErrNoRevision)
}

// content is the bytes of a file.
type content struct {
	root  Root
	model string
	file  File
}

// Size implements stream.Content.
func (c *content) Size() int64 { return c.file.Size }

// Close implements stream.Content.
func (c *content) Close() error { return nil }

// Send implements stream.Content.
func (c *content) Send(ctx context.Context, w io.Writer, offset, n int64) error {
	if n == 0 {
		return nil
	}
	r, err := c.root.Open(ctx, c.model, c.file, offset, n)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, min(n, 256<<10)))
	return errors.Join(err, r.Close())
}
