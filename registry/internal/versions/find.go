package versions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// maxSources is how many other versions a push may take chunks from: each costs
	// the reading of its head and body.
	maxSources = 16
	// probing is how many blobs are asked for at a time.
	probing = 16
)

// Missing tells for each digest whether the push must upload it: step P1.
func (s *Service) Missing(ctx context.Context, p access.Principal, id string, digests []chunker.Digest) ([]bool, error) {
	if len(digests) > openapi.MaxMissing {
		return nil, openapi.Errorf(openapi.CodeTooLarge, "%d digests, at most %d at a time", len(digests), openapi.MaxMissing)
	}
	rec, u, err := s.openPush(ctx, p, id)
	if err != nil {
		return nil, err
	}
	places, err := s.find(ctx, p, rec, u, digests)
	if err != nil {
		return nil, fmt.Errorf("find chunks: %w", err)
	}
	missing := make([]bool, len(digests))
	for i := range places {
		missing[i] = places[i].plain == 0
	}
	return missing, nil
}

// find returns where each chunk lies that the push may name; the zero value for
// one that it must upload. It asks, in this order, what is remembered, versions
// that p may read, and the store for the push's own names.
func (s *Service) find(ctx context.Context, p access.Principal, rec *pushRecord, u *upload, digests []chunker.Digest) ([]found, error) {
	places := make([]found, len(digests))
	for i, d := range digests {
		if f, ok := u.get(d); ok {
			places[i] = f
		}
	}
	if err := s.findPlaced(ctx, p, rec, u, digests, places); err != nil {
		return nil, err
	}
	return places, s.findOwn(ctx, rec, u, digests, places)
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

// findPlaced looks for chunks in other versions. The index only says where to
// look: what counts is a head, read after P0, that is committed and names the
// body in which the chunk's place stands.
func (s *Service) findPlaced(ctx context.Context, p access.Principal, rec *pushRecord, u *upload, digests []chunker.Digest, places []found) error {
	wanted := open(places)
	if len(wanted) == 0 {
		return nil
	}
	ask := make([]chunker.Digest, len(wanted))
	for n, i := range wanted {
		ask[n] = digests[i]
	}
	hints, err := s.Index.Lookup(ctx, ask)
	if err != nil {
		s.Logger.WarnContext(ctx, "chunk index failed: chunks that are there will be uploaded again", "error", err)
		return nil
	}
	for _, src := range rank(hints, rec.repo()) {
		b, err := s.judge(ctx, p, u, src)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		foreign := !strings.HasPrefix(src.Repo, rec.Namespace+"/")
		for n, i := range wanted {
			if places[i].plain == 0 && slices.Contains(hints[n], src) {
				places[i] = b.place(digests[i], u, foreign)
			}
		}
	}
	return nil
}

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
	return found{e, b.manifest.Chunks[i].Size}
}

// rank orders the sources: those of the push's own repository first, then of its
// namespace, then others, those with more of the chunks first.
func rank(hints [][]Source, own name.Repo) []Source {
	counts := map[Source]int{}
	var all []Source
	for _, list := range hints {
		for _, src := range list {
			if counts[src] == 0 {
				all = append(all, src)
			}
			counts[src]++
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
	slices.SortFunc(all, func(a, b Source) int {
		return cmp.Or(cmp.Compare(nearness(a), nearness(b)), cmp.Compare(counts[b], counts[a]),
			strings.Compare(a.Repo, b.Repo), compareDigests(a.Version, b.Version))
	})
	return all
}

// judge returns the body of a source that the push may take chunks from, or nil.
// A push reads the head of each source once.
func (s *Service) judge(ctx context.Context, p access.Principal, u *upload, src Source) (*body, error) {
	name, known, judged := u.source(src)
	if !known {
		if judged >= maxSources {
			return nil, nil
		}
		var err error
		if name, err = s.judgeHead(ctx, p, src); err != nil {
			return nil, err
		}
		u.judge(src, name)
	}
	if name == "" {
		return nil, nil
	}
	b, err := s.loadBody(ctx, name)
	if errors.Is(err, blobs.ErrNotFound) { // pointed elsewhere, and swept since
		u.judge(src, "")
		return nil, nil
	}
	return b, err
}

// judgeHead returns the name of the body of a source that is committed and that p
// may read, else nothing.
func (s *Service) judgeHead(ctx context.Context, p access.Principal, src Source) (string, error) {
	repo, err := name.ParseRepo(src.Repo)
	if err != nil || s.Policy.Allow(p, repo, access.Read) != nil {
		return "", nil
	}
	var h head
	if _, err := s.load(ctx, headKey(repo, src.Version), &h); err != nil {
		return "", err
	}
	if h.State != stateCommitted {
		return "", nil
	}
	return h.Body, nil
}

// findOwn asks the store for chunks that the push has uploaded through another
// replica, or before this one was started.
func (s *Service) findOwn(ctx context.Context, rec *pushRecord, u *upload, digests []chunker.Digest, places []found) error {
	wanted := open(places)
	if len(wanted) == 0 {
		return nil
	}
	if err := s.readBundles(ctx, u); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(probing)
	for _, i := range wanted {
		if f, ok := u.get(digests[i]); ok {
			places[i] = f
			continue
		}
		group.Go(func() (err error) {
			places[i], err = s.probe(ctx, rec, u, digests[i])
			return err
		})
	}
	return group.Wait()
}

// probe looks for a chunk under the names that the push's attempts give it.
func (s *Service) probe(ctx context.Context, rec *pushRecord, u *upload, d chunker.Digest) (found, error) {
	for attempt := rec.Attempt; attempt >= 0; attempt-- {
		name := chunkName(d, u.id, attempt)
		info, err := s.Blobs.Stat(ctx, name)
		if errors.Is(err, blobs.ErrNotFound) {
			continue
		}
		if err != nil {
			return found{}, err
		}
		var header [codec.HeaderLen]byte
		if err := s.readInto(ctx, name, 0, header[:]); err != nil {
			return found{}, err
		}
		plain, err := codec.PlainLen(header[:])
		if err != nil {
			return found{}, fmt.Errorf("read chunk %q: %w", name, err)
		}
		f := found{placement.Entry{Object: name, Length: uint32(info.Size)}, uint32(plain)}
		if !u.absent(&f.entry) {
			u.put(d, f)
			return f, nil
		}
	}
	return found{}, nil
}

// readBundles learns which chunks lie in bundles of the push that are not known.
func (s *Service) readBundles(ctx context.Context, u *upload) error {
	for info, err := range s.Blobs.List(ctx, bundlePrefix(u.id), "") {
		if err != nil {
			return err
		}
		if u.knowsBundle(info.Name) {
			continue
		}
		items, err := s.readBundle(ctx, info)
		if err != nil {
			return err
		}
		u.putBundle(info.Name, items)
	}
	return nil
}

func (s *Service) readBundle(ctx context.Context, info blobs.Info) ([]placement.Item, error) {
	prefix := make([]byte, placement.BundlePrefix)
	if err := s.readInto(ctx, info.Name, 0, prefix); err != nil {
		return nil, err
	}
	n, err := placement.ParseBundlePrefix(prefix)
	if err != nil {
		return nil, fmt.Errorf("read bundle %q: %w", info.Name, err)
	}
	header := make([]byte, placement.BundleHeaderLen(n))
	if err := s.readInto(ctx, info.Name, 0, header); err != nil {
		return nil, err
	}
	items, err := placement.ParseBundleHeader(header, info.Size)
	if err != nil {
		return nil, fmt.Errorf("read bundle %q: %w", info.Name, err)
	}
	return items, nil
}

// chunkName is the name of an encoded chunk that is a blob of its own. No two
// attempts of any push share one.
func chunkName(d chunker.Digest, push string, attempt int) string {
	hash := d.String()
	return fmt.Sprintf("c/%s/%s.%s.%d", hash[:3], hash, push, attempt)
}

func bundlePrefix(push string) string { return "u/" + push + "/" }
