package versions

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// Known tells which versions the index knows. A registry with other replicas has
// one, because those commit versions that its own index has to learn of.
type Known interface {
	Knows(ctx context.Context, repo string, version chunker.Digest) (bool, error)
}

// Learn tells the index of all versions that it does not know and that can be read:
// those that other replicas have committed since the last call.
func (s *Service) Learn(ctx context.Context) error {
	err := s.book.Each(ctx, record.HeadPrefix, "", func(e registers.Entry) (bool, error) {
		if !s.looked.first(e) {
			return true, nil
		}
		repo, d, err := record.ParseHeadKey(e.Key)
		if err != nil {
			return false, err
		}
		return true, s.learn(ctx, repo, d)
	})
	if err != nil {
		return fmt.Errorf("learn of the versions of other replicas: %w", err)
	}
	return nil
}

// learn tells the index of one version, unless it knows it.
func (s *Service) learn(ctx context.Context, repo name.Repo, d chunker.Digest) error {
	if known, err := s.Known.Knows(ctx, repo.String(), d); known || err != nil {
		return err
	}
	var h record.Head
	if _, err := s.book.Load(ctx, record.HeadKey(repo, d), &h); err != nil || !h.Readable() {
		return err
	}
	return s.reindexOne(ctx, repo, d, &h)
}

// freshTags bounds the tags that are looked at when a push begins.
const freshTags = 100

// freshen tells the index, before a push begins, of the versions that the tags of
// its repository point at: most pushes are like one of those, and another replica
// may have committed it a moment ago. It costs a list, and the reading of what has
// changed since the last one.
func (s *Service) freshen(ctx context.Context, repo name.Repo) {
	if s.Known == nil {
		return
	}
	page, err := s.Registers.List(ctx, record.TagKey(repo, ""), "", freshTags)
	for i := 0; i < len(page) && err == nil; i++ {
		if !s.looked.first(page[i]) {
			continue
		}
		var rec record.Tag
		if _, err = s.book.Load(ctx, page[i].Key, &rec); err != nil || rec.Digest == "" {
			continue
		}
		var at openapi.Tag
		if at, err = viewTag(&rec, page[i].Key); err == nil {
			err = s.learn(ctx, repo, at.Digest)
		}
	}
	if err != nil {
		s.Logger.WarnContext(ctx, "chunk index may be behind: chunks that are there may be uploaded again", "repo", repo.String(), "error", err)
	}
}

// maxLooked bounds the registers whose last look is remembered, in 16 bytes each.
const maxLooked = 1 << 20

// looked remembers which versions of registers were looked at. To forget costs a
// look.
type looked struct {
	seed maphash.Seed

	mu   sync.Mutex // protects seen
	seen map[uint64]struct{}
}

func newLooked() *looked { return &looked{seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}} }

// first reports whether this version of the register is looked at for the first
// time.
func (l *looked) first(e registers.Entry) bool {
	hash := maphash.Comparable(l.seed, e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.seen[hash]; ok {
		return false
	}
	if len(l.seen) >= maxLooked {
		clear(l.seen)
	}
	l.seen[hash] = struct{}{}
	return true
}
