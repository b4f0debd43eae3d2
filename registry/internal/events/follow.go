package events

import (
	"context"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// Follow tells of what other replicas do, until ctx ends: every so often it lists
// the registers of the tags that somebody listens for, and reads those that have
// changed. Where nobody listens it does nothing.
//
// Whoever begins to listen is told once that it may have missed something, since
// nobody knows what changed between its look at the tags and the first list.
func (h *Hub) Follow(ctx context.Context, book record.Book, every time.Duration, logger *slog.Logger) {
	f := follower{hub: h, book: book, seed: maphash.MakeSeed()}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := f.round(ctx); err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "changes of tags by other replicas are told late", "error", err)
		}
	}
}

type follower struct {
	hub  *Hub
	book record.Book
	seed maphash.Seed
	seen map[uint64]uint64 // the version of each tag in the last round, both as hashes
	over map[string]bool   // the prefixes of the last round
}

// round looks at all tags that are listened for.
func (f *follower) round(ctx context.Context) error {
	fresh, prefixes := f.hub.wanted()
	seen, over := make(map[uint64]uint64, len(f.seen)), map[string]bool{}
	for _, prefix := range prefixes {
		over[prefix] = true
		err := f.book.Each(ctx, prefix, "", func(e registers.Entry) (bool, error) {
			key, version := maphash.String(f.seed, e.Key), maphash.String(f.seed, string(e.Version))
			seen[key] = version
			if f.seen[key] == version || !f.over[prefix] { // as it was, or for listeners who look anyway
				return true, nil
			}
			return true, f.tell(ctx, e.Key)
		})
		if err != nil {
			return err
		}
	}
	f.seen, f.over = seen, over
	for _, l := range fresh {
		l.miss()
	}
	return nil
}

func (f *follower) tell(ctx context.Context, key string) error {
	repo, tag, err := record.ParseKey(key)
	if err != nil || repo.Reserved() {
		return err
	}
	var rec record.Tag
	if _, err := f.book.Load(ctx, key, &rec); err != nil {
		return err
	}
	f.hub.Tell(repo, openapi.TagEvent{Repo: repo.String(), Tag: tag, Digest: rec.Digest, Updated: rec.At})
	return nil
}

// wanted returns what the keys begin with of the tags that are listened for, and
// the listeners that began since the last call.
func (h *Hub) wanted() (fresh []*Listener, prefixes []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]bool{}
	for l := range h.listeners {
		l.wants.prefixes(all)
		if !l.followed {
			l.followed = true
			fresh = append(fresh, l)
		}
	}
	return fresh, widest(all)
}

// widest returns the prefixes without those that begin with another, in order.
func widest(all map[string]bool) (prefixes []string) {
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if n := len(prefixes); n == 0 || !strings.HasPrefix(p, prefixes[n-1]) {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

// miss has the listener look at all tags again.
func (l *Listener) miss() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting, l.missed = nil, true
	clear(l.at)
	select {
	case l.ready <- struct{}{}:
	default: // it knows
	}
}
