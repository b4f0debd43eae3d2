package upstream

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/name"
)

// wholeFiles is how many files of a commit come at a time that is wanted whole.
const wholeFiles = 4

// whole is a commit of which all files come.
type whole struct {
	done  chan struct{} // closed when it has ended
	err   error         // then
	files int
}

// coming says that a commit is on its way.
type coming struct {
	commit string
	told   *openapi.Error
}

func (c *coming) Error() string { return c.told.Message }

func (c *coming) Unwrap() error { return c.told }

// Whole sees to it that all files of a revision come: ingot's own clients take versions
// as they are. It returns nil if they are here, or the revision is not of another hub;
// CodeUnavailable while they are on their way.
func (s *Source) Whole(ctx context.Context, repo name.Repo, revision string) error {
	r, err := s.Revision(ctx, repo, revision)
	if err != nil || !r.Digest.IsZero() {
		return err
	}
	l, err := s.listed(ctx, r)
	if err != nil {
		return err
	}
	missing, err := s.missing(ctx, l)
	if err != nil || len(missing) == 0 {
		return err
	}
	w, err := s.bringing(l, missing)
	if err != nil {
		return err
	}
	timer := time.NewTimer(s.Wait)
	defer timer.Stop()
	select {
	case <-w.done:
		return told(w.err)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return &coming{r.Commit, openapi.Errorf(openapi.CodeUnavailable, "%s is on its way from %s, %d files of it: try again later", repo, l.hub.client, w.files)}
	}
}

// missing returns the files of a commit that are not here.
func (s *Source) missing(ctx context.Context, l *listing) ([]hubclient.File, error) {
	r := l.revision
	here, err := s.Local.Revision(ctx, r.Repo, r.Commit)
	if absent(err) {
		return l.files, nil
	}
	if err != nil {
		return nil, err
	}
	var missing []hubclient.File
	for _, f := range l.files {
		if here.File(f.Path) == nil {
			missing = append(missing, f)
		}
	}
	return missing, nil
}

// bringing returns what brings the files of a commit, which it begins if need be.
func (s *Source) bringing(l *listing, files []hubclient.File) (*whole, error) {
	key := batchKey{l.revision.Repo, l.revision.Commit}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errStops
	}
	if w := s.wholes[key]; w != nil {
		return w, nil
	}
	w := &whole{done: make(chan struct{}), files: len(files)}
	s.wholes[key] = w
	s.work.Go(func() {
		w.err = s.bringAll(l, files)
		if w.err != nil && s.ctx.Err() == nil {
			s.Logger.Warn("a model of an upstream hub has not come whole", "upstream", l.hub.client.String(), "repo", key.repo.String(), "commit", key.commit, "error", w.err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.wholes, key)
		close(w.done)
	})
	return w, nil
}

// bringAll fetches files, and returns when all are in a version.
func (s *Source) bringAll(l *listing, files []hubclient.File) error {
	equal := map[string]ingest.Object{}
	group, ctx := errgroup.WithContext(access.NewContext(s.ctx, keeper))
	group.SetLimit(wholeFiles)
	for _, f := range files {
		if ctx.Err() != nil {
			break
		}
		if o, ok, err := s.equal(ctx, l, f); err != nil {
			return joined(group, err)
		} else if ok {
			equal[f.Path] = o
			continue
		}
		group.Go(func() error { return s.bringOne(ctx, l, f) })
	}
	if err := group.Wait(); err != nil || len(equal) == 0 {
		return err
	}
	return s.commit(l, equal)
}

// joined waits for what is under way. If that has failed, err only follows from it.
func joined(group *errgroup.Group, err error) error {
	if first := group.Wait(); first != nil {
		return first
	}
	return err
}

// equal returns what the repository has already of a file.
func (s *Source) equal(ctx context.Context, l *listing, f hubclient.File) (o ingest.Object, ok bool, err error) {
	if f.SHA256 == "" || s.isComing(l, f) {
		return o, false, nil
	}
	o, ok, err = s.Store.Find(ctx, keeper, l.revision.Repo, f.SHA256)
	return o, ok && o.Size == f.Size, err
}

// bringOne fetches a file, and returns when it is in a version.
func (s *Source) bringOne(ctx context.Context, l *listing, f hubclient.File) error {
	fe, reader, err := s.fetching(l, f)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // nothing is read
	select {
	case <-fe.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := fe.arrival.Proven(ctx); err != nil {
		return err
	}
	here, err := s.Local.Revision(ctx, l.revision.Repo, l.revision.Commit)
	if err != nil {
		return err
	}
	if here.File(f.Path) == nil {
		return fmt.Errorf("file %.120q of %s was fetched, and could not be kept", f.Path, l.revision.Repo)
	}
	return nil
}

var errStops = openapi.Errorf(openapi.CodeUnavailable, "the registry stops: try again later")

// Listed lists the models of hubs that have a namespace of their own, or only one
// namespace's, as far as who asks may read them.
func (s *Source) Listed(ctx context.Context, namespace string) (list []catalog.Model) {
	if s.Offline {
		return nil
	}
	for _, n := range s.namespaces(namespace) {
		for _, m := range s.modelsOf(ctx, n, catalog.Query{}, maxModels) {
			if s.mayRead(ctx, m.Repo) {
				list = append(list, m)
			}
		}
	}
	return list
}
