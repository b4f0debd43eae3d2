package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/name"
)

// How much is remembered of other hubs: where refs are, and files of commits, some 150
// bytes each.
const (
	maxHeads  = 10_000
	maxListed = 200_000
)

// plainRefresh is for how long it is believed where the branch of a plain hub is.
const plainRefresh = 2 * time.Second

// maxRevision bounds the text of a revision, which other hubs are asked for.
const maxRevision = 256

type headKey struct {
	hub      string
	repo     name.Repo
	revision string
}

// head is where a branch or tag of another hub was.
type head struct {
	hubclient.Head
	err error // of one that is not there
	at  time.Time
}

type listingKey struct {
	hub    string
	repo   name.Repo
	commit string
}

// listing is a commit of another hub.
type listing struct {
	hub      *hub
	revision *catalog.Revision
	files    []hubclient.File // as in revision
}

func (l *listing) weight() int { return 1 + len(l.files) }

// file returns a file of the commit.
func (l *listing) file(path string) (hubclient.File, bool) {
	for i := range l.files {
		if l.files[i].Path == path {
			return l.files[i], true
		}
	}
	return hubclient.File{}, false
}

// Revision implements catalog.Source. What people here have pushed is theirs; of all
// else the other hub knows best, as long as it answers.
func (s *Source) Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	here, err := s.Local.Revision(ctx, repo, revision)
	h := s.hubOf(ctx, repo)
	if err == nil && h == nil {
		return partial(here), nil
	}
	if h == nil || err == nil && !foreign(here) || err != nil && !absent(err) || !s.askable(ctx, repo, revision, err) {
		return here, err
	}
	l, thereErr := s.there(ctx, h, repo, revision)
	switch {
	case thereErr == nil:
		if name.CheckTag(revision) == nil && (here == nil || here.Commit != l.revision.Commit) {
			s.point(ctx, repo, l.revision.Commit)
		}
		return l.revision, nil
	case here != nil:
		return partial(here), nil
	case errors.Is(thereErr, catalog.ErrNoRepo) && errors.Is(err, catalog.ErrNoRevision):
		return nil, err
	}
	return nil, told(thereErr)
}

// partial is a version of another hub that stands in for all of its commit.
func partial(r *catalog.Revision) *catalog.Revision {
	if missing := r.Annotations[annotationMissing]; foreign(r) && missing != "" {
		some := *r
		some.Elsewhere = strings.Split(missing, "\n")
		return &some
	}
	return r
}

// foreign tells a version that came from another hub.
func foreign(r *catalog.Revision) bool { return hubclient.IsCommit(r.Annotations[AnnotationCommit]) }

// askable tells whether another hub may be asked for a revision that is not here: not
// for those of people's own repositories.
func (s *Source) askable(ctx context.Context, repo name.Repo, revision string, err error) bool {
	if len(revision) > maxRevision || len(revision) == 64 && strings.Trim(revision, "0123456789abcdef") == "" {
		return false
	}
	return !errors.Is(err, catalog.ErrNoRevision) || !s.own(ctx, repo)
}

// own tells whether people here have pushed to a repository.
func (s *Source) own(ctx context.Context, repo name.Repo) bool {
	r, err := s.Local.Revision(ctx, repo, name.DefaultTag)
	if err == nil {
		return !foreign(r)
	}
	refs, err := s.Local.Refs(ctx, repo)
	return err == nil && len(refs) > 0 && !s.anyForeign(ctx, repo, refs)
}

func (s *Source) anyForeign(ctx context.Context, repo name.Repo, refs []catalog.Ref) bool {
	for _, ref := range refs {
		if r, err := s.Local.Revision(ctx, repo, ref.Name); err == nil && foreign(r) {
			return true
		}
	}
	return false
}

// there returns what a revision names at another hub.
func (s *Source) there(ctx context.Context, h *hub, repo name.Repo, revision string) (*listing, error) {
	if hubclient.IsCommit(revision) {
		return s.listing(ctx, h, repo, hubclient.Head{Commit: revision})
	}
	at, err := s.head(ctx, h, repo, revision)
	if err != nil {
		return nil, err
	}
	return s.listing(ctx, h, repo, at)
}

// head returns where a branch or tag of another hub is, as it was lately.
func (s *Source) head(ctx context.Context, h *hub, repo name.Repo, revision string) (hubclient.Head, error) {
	key := headKey{h.client.String(), repo, revision}
	s.mu.Lock()
	known, ok := s.heads.get(key)
	s.mu.Unlock()
	if ok && s.Now().Sub(known.at) < s.freshFor(h) && !askedIn(ctx).again {
		return known.Head, known.err
	}
	at, err := ask(ctx, s, h, "head "+repo.String()+" "+revision, func(ctx context.Context) (hubclient.Head, error) {
		return h.client.Head(ctx, repo, revision)
	})
	if err != nil && !absent(err) {
		return at, err
	}
	if err != nil {
		err = fmt.Errorf("%s at %.200q: %w", repo, revision, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads.put(key, head{at, err, s.Now()}, 1)
	return at, err
}

// freshFor is for how long it is believed where a ref of a hub is. A plain hub is near,
// and does not keep what a branch was at before.
func (s *Source) freshFor(h *hub) time.Duration {
	if h.plain {
		return min(s.Refresh, plainRefresh)
	}
	return s.Refresh
}

// listing returns the files of a commit of another hub. When it was made is asked for
// if it is not known.
func (s *Source) listing(ctx context.Context, h *hub, repo name.Repo, at hubclient.Head) (*listing, error) {
	key := listingKey{h.client.String(), repo, at.Commit}
	s.mu.Lock()
	known, ok := s.listings.get(key)
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	return ask(ctx, s, h, "list "+repo.String()+" "+at.Commit, func(ctx context.Context) (*listing, error) {
		l, err := s.list(ctx, h, repo, at)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.listings.put(key, l, l.weight())
		}
		return l, err
	})
}

func (s *Source) list(ctx context.Context, h *hub, repo name.Repo, at hubclient.Head) (*listing, error) {
	commit := at.Commit
	if at.Created.IsZero() {
		var err error
		if at, err = h.client.Head(ctx, repo, commit); err != nil {
			return nil, err
		}
	}
	files, odd, err := s.filesOf(ctx, h, repo, commit)
	if err != nil {
		return nil, err
	}
	if len(odd) > 0 {
		s.Logger.Warn("files of an upstream hub are left out: no version here can have their paths", "upstream", h.client.String(),
			"repo", repo.String(), "commit", commit, "files", len(odd), "first", odd[0])
	}
	l := &listing{hub: h, files: files, revision: &catalog.Revision{
		Repo: repo, Commit: commit, Created: at.Created,
		Annotations: map[string]string{AnnotationCommit: commit, AnnotationFrom: h.client.String()},
		Files:       make([]catalog.File, len(files)),
	}}
	for i, f := range files {
		etag := f.SHA256
		if etag == "" {
			etag = f.GitSHA1
		}
		l.revision.Files[i] = catalog.File{Path: f.Path, Size: f.Size, SHA256: f.SHA256, ETag: etag}
	}
	return l, nil
}

// mostInGit is how many bytes a file has at most that goes by git's hash; larger ones
// have a sha256 at every hub, though another ingot may still be computing it.
const mostInGit = 16 << 20

// errUnhashed reports a hub that does not know the sha256 of its files yet.
var errUnhashed = errors.New("it is still computing the sha256 of files")

// filesOf lists the files of a commit, and once more if they were not hashed: that may
// have taken just some seconds.
func (s *Source) filesOf(ctx context.Context, h *hub, repo name.Repo, commit string) (files []hubclient.File, odd []string, err error) {
	for range 2 {
		files, odd, err = h.client.Files(ctx, repo, commit)
		unhashed := slices.ContainsFunc(files, func(f hubclient.File) bool { return f.SHA256 == "" && f.Size > mostInGit })
		if err != nil || h.plain || !unhashed {
			return files, odd, err
		}
	}
	return nil, nil, fmt.Errorf("%s: %w", h.client, errUnhashed)
}

// forget forgets a commit that has turned out to be other than it was listed, and that
// a branch or tag was at it.
func (s *Source) forget(l *listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listings.drop(listingKey{l.hub.client.String(), l.revision.Repo, l.revision.Commit})
	for _, key := range s.headsAt(l) {
		s.heads.drop(key)
	}
}

// headsAt returns the branches and tags that were at a commit when they were asked
// for. The caller holds mu.
func (s *Source) headsAt(l *listing) (keys []headKey) {
	for key := range s.heads.all {
		if known, ok := s.heads.get(key); ok && known.err == nil && known.Commit == l.revision.Commit &&
			key.repo == l.revision.Repo && key.hub == l.hub.client.String() {
			keys = append(keys, key)
		}
	}
	return keys
}
