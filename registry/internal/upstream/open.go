package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Open implements catalog.Source. What is not here begins to come, unless only the
// facts of the file are asked for.
func (s *Source) Open(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error) {
	if !r.Digest.IsZero() {
		return s.Local.Open(ctx, r, f)
	}
	if askedIn(ctx).head {
		return facts{f.Size}, nil
	}
	c, err := s.openHere(ctx, r, f)
	if c != nil || err != nil {
		return c, err
	}
	l, err := s.listed(ctx, r)
	if err != nil {
		return nil, err
	}
	wanted, ok := l.file(f.Path)
	if !ok {
		return nil, fmt.Errorf("%s at %.12s has no file %.200q: %w", r.Repo, r.Commit, f.Path, catalog.ErrNoFile)
	}
	if !s.isComing(l, wanted) {
		if c, err := s.openEqual(ctx, l, wanted); c != nil || err != nil {
			return c, err
		}
	}
	return s.openComing(ctx, l, wanted)
}

// listed returns the listing that a revision is of.
func (s *Source) listed(ctx context.Context, r *catalog.Revision) (*listing, error) {
	h := s.hubOf(ctx, r.Repo)
	if h == nil {
		return nil, openapi.Errorf(openapi.CodeUnavailable, "%s is another hub's, which is not asked now: only what is here can be had", r.Repo)
	}
	l, err := s.listing(ctx, h, r.Repo, hubclient.Head{Commit: r.Commit, Created: r.Created})
	return l, told(err)
}

// openHere opens a file of the version that a commit has here; nil if that has none.
func (s *Source) openHere(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error) {
	here, err := s.Local.Revision(ctx, r.Repo, r.Commit)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known := here.File(f.Path)
	if known == nil || known.Size != f.Size || f.SHA256 != "" && known.SHA256 != "" && known.SHA256 != f.SHA256 {
		return nil, nil
	}
	return s.Local.Open(ctx, here, known)
}

// openEqual opens a file of the repository that has the sha256 of the wanted one, and
// makes it one of the commit; nil if there is none.
func (s *Source) openEqual(ctx context.Context, l *listing, f hubclient.File) (stream.Content, error) {
	if f.SHA256 == "" {
		return nil, nil
	}
	o, ok, err := s.Store.Find(ctx, access.FromContext(ctx), l.revision.Repo, f.SHA256)
	if err != nil || !ok || o.Size != f.Size {
		return nil, err
	}
	repo, err := name.ParseRepo(o.From.Repo)
	if err != nil {
		return nil, nil
	}
	has, err := s.Local.Revision(ctx, repo, o.From.Version.String())
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range has.Files {
		if g := &has.Files[i]; g.SHA256 == f.SHA256 && g.Size == f.Size {
			s.adopt(l, f.Path, o)
			return s.Local.Open(ctx, has, g)
		}
	}
	return nil, nil
}

// facts is the content of a file that is only asked about.
type facts struct{ size int64 }

var errFacts = errors.New("the bytes of a file were read that was only asked about")

// Size implements stream.Content.
func (f facts) Size() int64 { return f.size }

// Send implements stream.Content.
func (facts) Send(context.Context, io.Writer, int64, int64) error { return errFacts }

// Close implements stream.Content.
func (facts) Close() error { return nil }
