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
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// Stats weighs what p may read. Without a namespace, the bytes stored are those
// of all blobs; with one, those of the chunks that its versions use, each once.
//
// It reads the body of every version it weighs. One call works at a time, the
// others wait for it, and it takes at most three tallies, 60 MB, however much the
// registry holds: up to 2^19 distinct chunks the figures are exact.
func (s *Service) Stats(ctx context.Context, p access.Principal, namespace string) (openapi.Stats, error) {
	none := openapi.Stats{Namespaces: []openapi.NamespaceStats{}}
	if err := checkRepoPage(namespace, ""); err != nil {
		return none, err
	}
	stats, err := s.weigh(ctx, p, namespace)
	if err != nil {
		return none, fmt.Errorf("weigh the registry: %w", err)
	}
	return stats, nil
}

func (s *Service) weigh(ctx context.Context, p access.Principal, namespace string) (openapi.Stats, error) {
	if err := s.weighing.Acquire(ctx, 1); err != nil {
		return openapi.Stats{}, err
	}
	defer s.weighing.Release(1)
	w := newWeighing(s)
	err := s.eachRepo(ctx, namespace, "", func(repo name.Repo) (bool, error) {
		if repo.Reserved() || s.Policy.Allow(p, repo, access.Read) != nil {
			return true, nil
		}
		return true, w.repo(ctx, repo)
	})
	if err != nil {
		return openapi.Stats{}, err
	}
	stats := w.end()
	if namespace == "" {
		stats.Stored, stats.Blobs, err = s.weighStore(ctx)
	}
	return stats, err
}

// place tells two chunks apart by where they lie.
type place struct {
	object string
	offset uint32
}

// weighing adds up what versions hold, one namespace after the other.
type weighing struct {
	*Service
	stats  openapi.Stats
	now    openapi.NamespaceStats // the one that is weighed
	all    tally                  // chunks of all namespaces, plain
	chunks tally                  // chunks of this one, plain
	places tally                  // and where they lie, encoded
}

func newWeighing(s *Service) *weighing {
	return &weighing{
		Service: s,
		stats:   openapi.Stats{Namespaces: []openapi.NamespaceStats{}},
		all:     newTally(maxTally), chunks: newTally(maxTally), places: newTally(maxTally),
	}
}

// repo weighs a repository. Those of one namespace come one after the other.
func (w *weighing) repo(ctx context.Context, repo name.Repo) error {
	if repo.Namespace != w.now.Namespace {
		w.endNamespace()
		w.now.Namespace = repo.Namespace
	}
	versions, tags := 0, 0
	err := w.eachHead(ctx, repo, "", func(_ chunker.Digest, h *record.Head) (bool, error) {
		versions++
		w.now.Total += h.Size
		return true, w.body(ctx, h.Body)
	})
	if err != nil {
		return err
	}
	err = w.eachTag(ctx, repo, "", func(string, *record.Tag) (bool, error) {
		tags++
		return true, nil
	})
	w.now.Versions, w.now.Tags = w.now.Versions+versions, w.now.Tags+tags
	if versions+tags > 0 {
		w.now.Repos++
	}
	return err
}

// body adds the chunks of a body. One that cannot be read weighs nothing: whoever
// asks for the version is told of the damage.
func (w *weighing) body(ctx context.Context, name string) error {
	b, err := w.loadBody(ctx, name)
	if errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for i, e := range b.entries {
		chunk := b.manifest.Chunks[i]
		hash := hashOf(chunk.Digest)
		w.all.add(hash, chunk.Size)
		w.chunks.add(hash, chunk.Size)
		w.places.add(hashOf(place{e.Object, e.Offset}), e.Length)
		for _, base := range e.Closure {
			w.places.add(hashOf(place{base.Object, base.Offset}), base.Length)
		}
	}
	return nil
}

// endNamespace adds the namespace to the figures and begins the next.
func (w *weighing) endNamespace() {
	now, all := &w.now, &w.stats
	now.Unique, now.Stored = w.chunks.bytes(), w.places.bytes()
	all.Repos += now.Repos
	all.Tags += now.Tags
	all.Versions += now.Versions
	all.Total += now.Total
	all.Stored += now.Stored
	all.Blobs += w.places.count()
	if now.Repos > 0 && len(all.Namespaces) < openapi.MaxNamespaces {
		all.Namespaces = append(all.Namespaces, *now)
	}
	*now = openapi.NamespaceStats{}
	w.chunks.reset()
	w.places.reset()
}

// end returns the figures.
func (w *weighing) end() openapi.Stats {
	w.endNamespace()
	w.stats.Unique = w.all.bytes()
	// The keys of registers put a-b before a.
	slices.SortFunc(w.stats.Namespaces, func(a, b openapi.NamespaceStats) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return w.stats
}

// weighStore adds up what the store holds.
func (s *Service) weighStore(ctx context.Context) (bytes int64, count int, err error) {
	for info, err := range s.Blobs.List(ctx, "", "") {
		if err != nil {
			return 0, 0, err
		}
		if !strings.HasPrefix(info.Name, placement.Lists.Prefix()) { // lists come and go
			count++
			bytes += info.Size
		}
	}
	return bytes, count, nil
}
