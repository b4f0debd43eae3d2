package upstream

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxGathered is how many bytes of files wait for others, so that they become one
// version together.
const maxGathered = 64 << 20

// batchKey is a commit of another hub.
type batchKey struct {
	repo   name.Repo
	commit string
}

// batch gathers files of a commit until they are made a version. It is protected by
// the Source's mu.
type batch struct {
	key     batchKey
	listing *listing
	coming  int // files on their way
	files   map[string]ingest.Object
	fetches []*fetch // that files are of, each as often as it has files here
	bytes   int64
	busy    bool // somebody makes versions of it
}

// batchOf returns the batch of a commit. The caller holds mu.
func (s *Source) batchOf(l *listing) *batch {
	key := batchKey{l.revision.Repo, l.revision.Commit}
	b := s.batches[key]
	if b == nil {
		b = &batch{key: key, listing: l, files: map[string]ingest.Object{}}
		s.batches[key] = b
	}
	return b
}

// add adds a file, of a fetch or of none.
func (b *batch) add(path string, o ingest.Object, fe *fetch) {
	b.files[path] = o
	b.bytes += o.Size
	if fe != nil {
		b.fetches = append(b.fetches, fe)
	}
}

// adopt makes a file that the repository has already one of a commit.
func (s *Source) adopt(l *listing, path string, o ingest.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	b := s.batchOf(l)
	b.add(path, o, nil)
	s.work.Go(func() { s.flush(b) })
}

// due takes the files that are to become a version now: those of a batch of which
// nothing is on its way, or that has many. The caller holds mu.
func (b *batch) due() (files map[string]ingest.Object, fetches []*fetch) {
	if len(b.files) == 0 || b.coming > 0 && b.bytes < maxGathered {
		return nil, nil
	}
	files, fetches = b.files, b.fetches
	b.files, b.fetches, b.bytes = map[string]ingest.Object{}, nil, 0
	return files, fetches
}

// flush makes versions of what a batch has, one after the other.
func (s *Source) flush(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.busy {
		return // whoever is at it takes the rest
	}
	b.busy = true
	for {
		files, fetches := b.due()
		if files == nil {
			break
		}
		s.mu.Unlock()
		err := s.commit(b.listing, files)
		s.mu.Lock()
		if err != nil && s.ctx.Err() == nil {
			s.Logger.Error("files of an upstream hub are not made a version", "repo", b.key.repo.String(), "commit", b.key.commit, "error", err)
		}
		for _, fe := range fetches {
			fe.batches--
			s.settle(fe)
		}
	}
	b.busy = false
	if b.coming == 0 && s.batches[b.key] == b {
		delete(s.batches, b.key)
	}
}

// commit makes files a version of a commit, and moves what the other hub has there.
func (s *Source) commit(l *listing, files map[string]ingest.Object) error {
	r := l.revision
	annotations := maps.Clone(r.Annotations)
	missing := s.without(l, files)
	if lacks := lacks(l, missing); lacks != "" {
		annotations[manifest.Incomplete] = lacks
	}
	if paths := strings.Join(missing, "\n"); len(missing) > 0 && len(paths) <= manifest.MaxValue {
		annotations[annotationMissing] = paths
	}
	d, err := s.Versions.Add(s.ctx, keeper, r.Repo, s.Foreign(r.Commit), files, annotations)
	if err != nil {
		return err
	}
	s.pointAt(s.ctx, l, d)
	s.Logger.Info("files of an upstream hub were made a version", "upstream", l.hub.client.String(), "repo", r.Repo.String(),
		"commit", r.Commit, "files", len(files), "version", d.Short())
	return nil
}

// weights are the endings of files that hold weights.
var weights = []string{".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5", ".msgpack", ".npz"}

// without returns the paths of the files of a commit that will not be here with these.
func (s *Source) without(l *listing, files map[string]ingest.Object) (missing []string) {
	here, err := s.Local.Revision(access.NewContext(s.ctx, keeper), l.revision.Repo, l.revision.Commit)
	for _, f := range l.files {
		if _, ok := files[f.Path]; !ok && (err != nil || here.File(f.Path) == nil) {
			missing = append(missing, f.Path)
		}
	}
	return missing
}

// lacks says what keeps a version from being a model: that the commit has weights, and
// all of them are missing. Of several formats one is enough.
func lacks(l *listing, missing []string) string {
	isWeights := func(p string) bool { return slices.Contains(weights, strings.ToLower(path.Ext(p))) }
	all, gone := 0, 0
	for _, f := range l.files {
		if isWeights(f.Path) {
			all++
		}
	}
	for _, p := range missing {
		if isWeights(p) {
			gone++
		}
	}
	if all == 0 || gone < all {
		return ""
	}
	return "all " + strconv.Itoa(all) + " files of weights are still at " + l.hub.client.String()
}

// point moves what another hub has at a commit to the version that the commit has
// here, if it has one.
func (s *Source) point(ctx context.Context, repo name.Repo, commit string) {
	here, err := s.Local.Revision(ctx, repo, commit)
	h := s.hubFor(repo.Namespace)
	if err != nil || h == nil {
		return
	}
	s.mu.Lock()
	l, ok := s.listings.get(listingKey{h.client.String(), repo, commit})
	s.mu.Unlock()
	if ok {
		s.pointAt(ctx, l, here.Digest)
	}
}

// pointAt moves the branches and tags that the other hub has at a commit, unless people
// here have set them. If it does not say now which those are, they are what was asked
// for.
func (s *Source) pointAt(ctx context.Context, l *listing, d chunker.Digest) {
	r := l.revision
	refs, err := ask(ctx, s, l.hub, "refs "+r.Repo.String(), func(ctx context.Context) ([]catalog.Ref, error) {
		return l.hub.client.Refs(ctx, r.Repo)
	})
	if err != nil {
		refs = s.refsAt(l)
	}
	for _, ref := range refs {
		if ref.Commit != r.Commit || name.CheckTag(ref.Name) != nil {
			continue
		}
		if perr := s.move(ctx, r.Repo, ref, d); perr != nil {
			err = errors.Join(err, perr)
		}
	}
	if err != nil && s.ctx.Err() == nil && !hubclient.Absent(err) {
		s.Logger.Warn("branches and tags do not follow those of an upstream hub", "upstream", l.hub.client.String(), "repo", r.Repo.String(), "error", err)
	}
}

// refsAt returns the branches and tags that were at a commit when they were asked for.
func (s *Source) refsAt(l *listing) (refs []catalog.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.headsAt(l) {
		refs = append(refs, catalog.Ref{Name: key.revision, Branch: key.revision == name.DefaultTag, Commit: l.revision.Commit})
	}
	return refs
}

// move makes one ref point at a version, unless it is of people here.
func (s *Source) move(ctx context.Context, repo name.Repo, ref catalog.Ref, d chunker.Digest) error {
	here, err := s.Local.Revision(access.NewContext(ctx, keeper), repo, ref.Name)
	if err == nil && (!foreign(here) || here.Digest == d) {
		return nil
	}
	if err != nil && !absent(err) {
		return err
	}
	return s.Versions.Point(ctx, keeper, repo, ref.Name, ref.Branch, d)
}
