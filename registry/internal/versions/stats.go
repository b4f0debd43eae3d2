package versions

import (
	"context"
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/name"
)

// Stats weighs what p may read. Without a namespace, the bytes stored are those of all
// blobs, for who runs the registry; else those of the chunks that the versions of each
// namespace use, each once.
//
// It reads the body of every version it weighs, unless the same versions were weighed
// before. See weigh.
func (s *Service) Stats(ctx context.Context, p access.Principal, namespace string) (openapi.Stats, error) {
	none := openapi.Stats{Namespaces: []openapi.NamespaceStats{}}
	if err := checkRepoPage(namespace, ""); err != nil {
		return none, err
	}
	stats, err := s.stats(ctx, p, namespace)
	if err != nil {
		return none, fmt.Errorf("weigh the registry: %w", err)
	}
	return stats, nil
}

func (s *Service) stats(ctx context.Context, p access.Principal, namespace string) (openapi.Stats, error) {
	if namespace != "" && !s.reaches(p, namespace) {
		return count(nil, &weight{}), nil
	}
	v, err := s.survey(ctx, namespace)
	if err != nil {
		return openapi.Stats{}, err
	}
	mine := s.readableOf(v, p, namespace)
	w, err := s.weighNow(ctx, weightKey{p, namespace}, mine)
	if err != nil {
		return openapi.Stats{}, err
	}
	stats := count(mine, w)
	// What all of the store holds would tell what those hold whom p may not read.
	if namespace == "" && s.Policy.Allow(p, name.Repo{}, access.Admin) == nil {
		stats.Stored, stats.Blobs, err = s.weighStore(ctx)
	}
	return stats, err
}

// count adds up what repositories hold, which were weighed.
func count(repos []surveyed, w *weight) openapi.Stats {
	all := openapi.Stats{Namespaces: []openapi.NamespaceStats{}, Unique: w.Unique, Stored: w.each, Blobs: w.places}
	var now *openapi.NamespaceStats
	for _, r := range repos {
		all.Repos++
		all.Tags += r.info.Tags
		all.Versions += r.info.Versions
		all.Total += r.info.Total
		if now == nil || now.Namespace != r.repo.Namespace {
			if len(all.Namespaces) == openapi.MaxNamespaces {
				continue
			}
			alone := w.namespaces[r.repo.Namespace]
			all.Namespaces = append(all.Namespaces, openapi.NamespaceStats{Namespace: r.repo.Namespace, Unique: alone.unique, Stored: alone.stored})
			now = &all.Namespaces[len(all.Namespaces)-1]
		}
		now.Repos++
		now.Tags += r.info.Tags
		now.Versions += r.info.Versions
		now.Total += r.info.Total
	}
	return all
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
