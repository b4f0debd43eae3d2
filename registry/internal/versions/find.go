package versions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxSources is how many other versions a push may take chunks from: each costs
// the reading of its head and body.
const maxSources = 16

// Missing tells for each digest whether the push must upload it: step P1.
func (s *Service) Missing(ctx context.Context, p access.Principal, id string, digests []chunker.Digest) ([]bool, error) {
	return s.missing(ctx, p, id, digests, s.find)
}

// MissingFresh is Missing for a push that has uploaded nothing which this replica
// does not know of, as its client says. The store is not asked for what it may have
// uploaded elsewhere, chunk by chunk. If the client is wrong, it uploads again.
func (s *Service) MissingFresh(ctx context.Context, p access.Principal, id string, digests []chunker.Digest) ([]bool, error) {
	return s.missing(ctx, p, id, digests, s.findKnown)
}

// finder is find or findKnown.
type finder func(context.Context, access.Principal, *record.Push, *upload, []chunker.Digest) ([]found, error)

func (s *Service) missing(ctx context.Context, p access.Principal, id string, digests []chunker.Digest, find finder) ([]bool, error) {
	if len(digests) > openapi.MaxMissing {
		return nil, openapi.Errorf(openapi.CodeTooLarge, "%d digests, at most %d at a time", len(digests), openapi.MaxMissing)
	}
	rec, u, err := s.openPush(ctx, p, id)
	if err != nil {
		return nil, err
	}
	places, err := find(ctx, p, rec, u, digests)
	if err != nil {
		return nil, fmt.Errorf("find chunks: %w", err)
	}
	missing := make([]bool, len(digests))
	for i := range places {
		missing[i] = places[i].plain == 0
	}
	return missing, nil
}

// search is one question of a push for where chunks lie.
type search struct {
	*Service
	policy    access.Policy
	principal access.Principal
	repo      name.Repo // for which chunks are wanted
	attempt   int
	upload    *upload
	digests   []chunker.Digest
	places    []found // the answers; zero for a chunk that has no place yet
	most      int     // versions that are looked at
	near      bool    // only versions of the namespace are
}

// find returns where each chunk lies that the push may name; the zero value for
// one that it must upload. It asks, in this order, what is remembered, versions
// that p may read, and the store for the push's own names.
func (s *Service) find(ctx context.Context, p access.Principal, rec *record.Push, u *upload, digests []chunker.Digest) ([]found, error) {
	q := newSearch(s, p, rec, u, digests)
	return q.places, q.all(ctx)
}

// all asks everywhere.
func (q *search) all(ctx context.Context) error {
	if err := q.known(ctx); err != nil {
		return err
	}
	return q.inPush(ctx)
}

// findKnown is find without asking the store.
func (s *Service) findKnown(ctx context.Context, p access.Principal, rec *record.Push, u *upload, digests []chunker.Digest) ([]found, error) {
	q := newSearch(s, p, rec, u, digests)
	return q.places, q.known(ctx)
}

func newSearch(s *Service, p access.Principal, rec *record.Push, u *upload, digests []chunker.Digest) *search {
	return &search{
		Service: s, policy: s.Policy, principal: p, repo: rec.Repo(), attempt: rec.Attempt, upload: u,
		digests: digests, places: make([]found, len(digests)), most: maxSources,
	}
}

func (q *search) known(ctx context.Context) error {
	q.remember()
	return q.inVersions(ctx)
}

// remember finds what is known to be uploaded.
func (q *search) remember() {
	for i, d := range q.digests {
		if f, ok := q.upload.get(d); ok {
			q.places[i] = f
		}
	}
}

// open returns the indexes of the chunks that have no place yet.
func open(places []found) (indexes []int) {
	for i := range places {
		if places[i].plain == 0 {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (q *search) isOpen(i int) bool { return q.places[i].plain == 0 }

// inVersions looks for chunks in other versions: where the index says, and first in
// those that the push takes chunks from already, so that what was said to be there
// stays so. The index is only a hint: what counts is a head, read after P0, that is
// committed and names the body in which the chunk's place stands.
//
// A chunk that the index does not know may still be in a version that it knew
// before. There it is looked for only if that costs nothing: otherwise each
// question of a large push would read all its sources.
func (q *search) inVersions(ctx context.Context) error {
	judged := q.upload.judged()
	candidates := q.candidates(ctx)
	slices.SortStableFunc(candidates, func(a, b *candidate) int {
		return cmp.Compare(rankOf(judged, a.Source), rankOf(judged, b.Source))
	})
	for _, c := range candidates {
		if err := q.take(ctx, c.Source, c.chunks); err != nil {
			return err
		}
	}
	for _, j := range judged {
		if q.bodies.get(j.body) == nil {
			continue
		}
		if err := q.take(ctx, j.Source, open(q.places)); err != nil {
			return err
		}
	}
	return nil
}

// rankOf puts the versions that were looked at before, in their order, ahead of all
// others.
func rankOf(judged []judged, src Source) int {
	if i := indexOf(judged, src); i >= 0 {
		return i
	}
	return len(judged)
}

// take finds places for those of the chunks that are open, in one version. It
// does not look at a version that has none to give.
func (q *search) take(ctx context.Context, src Source, chunks []int) error {
	if !slices.ContainsFunc(chunks, q.isOpen) {
		return nil
	}
	foreign := q.foreign(src)
	if foreign && q.near {
		return nil
	}
	b, err := q.judge(ctx, src)
	if err != nil || b == nil {
		return err
	}
	for _, i := range chunks {
		if q.isOpen(i) {
			q.places[i] = b.place(q.digests[i], q.upload, foreign)
		}
	}
	return nil
}

// foreign reports whether a version is in another namespace.
func (q *search) foreign(src Source) bool { return !strings.HasPrefix(src.Repo, q.repo.Namespace+"/") }

// place returns where the chunk lies by this body, if a push may use that. Bases
// stay in their namespace.
func (b *body) place(d chunker.Digest, u *upload, foreign bool) found {
	i, ok := b.find(d)
	if !ok {
		return found{}
	}
	e := b.entries[i]
	if u.absent(&e) || foreign && len(e.Closure) > 0 {
		return found{}
	}
	return found{entry: e, plain: b.manifest.Chunks[i].Size}
}

// candidate is a version and the chunks that it may place, by their indexes in
// the question.
type candidate struct {
	Source
	chunks []int
}

// may tells repositories that who asks may read.
func (q *search) may(repo string) bool {
	r, err := name.ParseRepo(repo)
	return err == nil && q.policy.Allow(q.principal, r, access.Read) == nil
}

// candidates asks the index for versions that may place open chunks, the best
// first.
func (q *search) candidates(ctx context.Context) []*candidate {
	wanted := open(q.places)
	if len(wanted) == 0 {
		return nil
	}
	ask := make([]chunker.Digest, len(wanted))
	for n, i := range wanted {
		ask[n] = q.digests[i]
	}
	hints, err := q.Index.Lookup(ctx, ask, Reach{Near: q.repo.Namespace, May: q.may})
	if err != nil {
		q.Logger.WarnContext(ctx, "chunk index failed: chunks that are there will be uploaded again", "error", err)
		return nil
	}
	return rank(hints, wanted, q.repo)
}

// rank orders the hinted versions: those of the push's own repository first, then
// of its namespace, then others, those with more of the chunks first. hints[n] are
// those for the chunk wanted[n].
func rank(hints [][]Source, wanted []int, own name.Repo) []*candidate {
	known := map[Source]*candidate{}
	var all []*candidate
	for n, list := range hints {
		for _, src := range list {
			if known[src] == nil {
				known[src] = &candidate{Source: src}
				all = append(all, known[src])
			}
			known[src].chunks = append(known[src].chunks, wanted[n])
		}
	}
	nearness := func(src Source) int {
		switch {
		case src.Repo == own.String():
			return 0
		case strings.HasPrefix(src.Repo, own.Namespace+"/"):
			return 1
		}
		return 2
	}
	slices.SortFunc(all, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(nearness(a.Source), nearness(b.Source)), cmp.Compare(len(b.chunks), len(a.chunks)),
			strings.Compare(a.Repo, b.Repo), compareDigests(a.Version, b.Version))
	})
	return all
}

// judge returns the body of a version that the push may take chunks from, or nil.
// A push reads the head of each once; the policy is asked every time.
func (q *search) judge(ctx context.Context, src Source) (*body, error) {
	repo, err := name.ParseRepo(src.Repo)
	if err != nil || q.policy.Allow(q.principal, repo, access.Read) != nil {
		return nil, nil
	}
	bodyName, known := q.upload.source(src)
	if !known {
		if len(q.upload.judged()) >= q.most {
			return nil, nil
		}
		var h record.Head
		if _, err := q.book.Load(ctx, record.HeadKey(repo, src.Version), &h); err != nil {
			return nil, err
		}
		if h.State == record.Committed {
			bodyName = h.Body
		}
		q.upload.judge(src, bodyName)
	}
	if bodyName == "" {
		return nil, nil
	}
	return q.bodyOf(ctx, src, bodyName)
}

// bodyOf returns the body, or nil if it was swept after the version was pointed
// elsewhere, or is damaged: that is no reason to refuse a push.
func (q *search) bodyOf(ctx context.Context, src Source, bodyName string) (*body, error) {
	b, err := q.loadBody(ctx, bodyName)
	damaged := errors.Is(err, errDamaged)
	if damaged {
		q.Logger.ErrorContext(ctx, "body of a version is damaged", "repo", src.Repo, "version", src.Version.Short(), "error", err)
	}
	if damaged || errors.Is(err, blobs.ErrNotFound) {
		q.upload.judge(src, "")
		return nil, nil
	}
	return b, err
}
