package versions

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/name"
)

// Stats weighs what p may read. Without a namespace, the bytes stored are those
// of all blobs; with one, those of the chunks that its versions use, each once.
func (s *Service) Stats(ctx context.Context, p access.Principal, namespace string) (openapi.Stats, error) {
	var stats openapi.Stats
	if err := checkRepoPage(namespace, ""); err != nil {
		return stats, err
	}
	w := weighing{Stats: &stats}
	if namespace != "" {
		w.places = map[place]bool{}
	}
	err := s.eachRepo(ctx, namespace, "", func(repo name.Repo) (bool, error) {
		if s.Policy.Allow(p, repo, access.Read) != nil {
			return true, nil
		}
		return true, s.weighRepo(ctx, repo, &w)
	})
	if err == nil && namespace == "" {
		err = s.weighStore(ctx, &stats)
	}
	if err != nil {
		return stats, fmt.Errorf("weigh the registry: %w", err)
	}
	return stats, nil
}

// place tells two chunks apart.
type place struct {
	object string
	offset uint32
}

// weighing adds up what versions hold. places are those of the chunks seen; nil
// when chunks are not weighed.
type weighing struct {
	*openapi.Stats
	places map[place]bool
}

func (w *weighing) add(e *placement.Entry) {
	at := place{e.Object, e.Offset}
	if w.places[at] {
		return
	}
	w.places[at] = true
	w.Stored += int64(e.Length)
	w.Blobs++
}

func (s *Service) weighRepo(ctx context.Context, repo name.Repo, w *weighing) error {
	versions := 0
	err := s.eachHead(ctx, repo, "", func(_ chunker.Digest, h *head) (bool, error) {
		versions++
		w.Total += h.Size
		if w.places == nil {
			return true, nil
		}
		return true, s.weighBody(ctx, h.Body, w)
	})
	if err != nil {
		return err
	}
	tags := 0
	err = s.eachTag(ctx, repo, "", func(string, *tagRecord) (bool, error) {
		tags++
		return true, nil
	})
	w.Versions, w.Tags = w.Versions+versions, w.Tags+tags
	if versions+tags > 0 {
		w.Repos++
	}
	return err
}

// weighBody adds the chunks of a body. One that cannot be read weighs nothing:
// whoever asks for the version is told of the damage.
func (s *Service) weighBody(ctx context.Context, name string, w *weighing) error {
	b, err := s.loadBody(ctx, name)
	if errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range b.entries {
		w.add(&b.entries[i])
	}
	return nil
}

func (s *Service) weighStore(ctx context.Context, stats *openapi.Stats) error {
	for info, err := range s.Blobs.List(ctx, "", "") {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(info.Name, "gl/") { // lists come and go
			stats.Blobs++
			stats.Stored += info.Size
		}
	}
	return nil
}
