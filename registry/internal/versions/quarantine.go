package versions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// MaxQuarantine is how many objects may be in quarantine. A store that has lost
	// more needs its backup, and pushes must not have to read of millions.
	MaxQuarantine = 1 << 14
	// maxPlaces is how many bad chunks of one object are told apart.
	maxPlaces = 1024
)

// ErrQuarantineFull reports more bad objects than MaxQuarantine.
var ErrQuarantineFull = errors.New("too many objects are in quarantine: the store needs its backup")

// quarantine is what this replica knows of bad objects. It may be out of date,
// which costs an upload or a failed read: what is bad is never safe to read, and
// never unsafe to count as absent.
type quarantine struct {
	mu    sync.Mutex // protects the fields below; never held across a call
	known map[string]knownBad
	count int        // of those in known that are bad
	bad   badObjects // nil when known has changed since
}

// knownBad is a register that was read.
type knownBad struct {
	version registers.Version
	rec     *record.Quarantine // never changed
}

// badObjects are the objects in quarantine, by name. It is never changed.
type badObjects map[string]*record.Quarantine

// names reports whether an object that e needs is bad, or only a part of it.
func (b badObjects) names(e *placement.Entry) bool {
	if len(b) == 0 {
		return false
	}
	for object := range e.Names {
		if b[object] != nil {
			return true
		}
	}
	return false
}

// covers reports whether bytes that e needs are bad.
func (b badObjects) covers(e *placement.Entry) bool {
	if len(b) == 0 {
		return false
	}
	if q := b[e.Object]; q != nil && q.Covers(e.Offset) {
		return true
	}
	return slices.ContainsFunc(e.Closure, func(base placement.Entry) bool { return b.covers(&base) })
}

func (q *quarantine) current() badObjects {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bad == nil {
		q.bad = make(badObjects, q.count)
		for _, k := range q.known { // nothing is called in this order
			if k.rec.State == record.Bad {
				q.bad[k.rec.Object] = k.rec
			}
		}
	}
	return q.bad
}

// full reports whether nothing more may be taken out of use but what is so already.
func (q *quarantine) full(object string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	k, ok := q.known[record.QuarantineKey(object)]
	return q.count >= MaxQuarantine && (!ok || k.rec.State != record.Bad)
}

// has reports whether the register is known in that version.
func (q *quarantine) has(e registers.Entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	k, ok := q.known[e.Key]
	return ok && k.version == e.Version
}

// learn notes what a register says, unless a later word of it is known.
func (q *quarantine) learn(key string, k knownBad) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known == nil {
		q.known = map[string]knownBad{}
	}
	old, ok := q.known[key]
	if ok && old.rec.Seq > k.rec.Seq {
		return
	}
	if ok && old.rec.State == record.Bad {
		q.count--
	}
	if k.rec.State == record.Bad {
		q.count++
	}
	q.known[key], q.bad = k, nil
}

// badNow asks which objects are in quarantine. It reads only the registers that
// have changed since the last time.
func (s *Service) badNow(ctx context.Context) (badObjects, error) {
	err := s.book.Each(ctx, record.QuarantinePrefix, "", func(e registers.Entry) (bool, error) {
		if s.quarantine.has(e) {
			return true, nil
		}
		rec := new(record.Quarantine)
		v, err := s.book.Load(ctx, e.Key, rec)
		if err != nil {
			return false, err
		}
		s.quarantine.learn(e.Key, knownBad{v, rec})
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what is in quarantine: %w", err)
	}
	return s.quarantine.current(), nil
}

// Quarantined returns the objects that are in quarantine, by name.
func (s *Service) Quarantined(ctx context.Context) ([]*record.Quarantine, error) {
	bad, err := s.badNow(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]*record.Quarantine, 0, len(bad))
	for _, object := range slices.Sorted(maps.Keys(bad)) {
		list = append(list, bad[object])
	}
	return list, nil
}

// Quarantine takes an object out of use: no push names it any more, so that what
// is in it is uploaded again. places are where its bad chunks begin; none means
// that all of it is bad. The digest is zero when more than one is meant.
func (s *Service) Quarantine(ctx context.Context, object, reason string, d chunker.Digest, places []uint32) error {
	if s.quarantine.full(object) {
		return fmt.Errorf("quarantine %q: %w", object, ErrQuarantineFull)
	}
	err := s.judgeObject(ctx, object, func(rec *record.Quarantine) bool {
		merged := mergePlaces(rec, places)
		if rec.State == record.Bad && slices.Equal(merged, rec.Places) {
			return false
		}
		rec.State, rec.Reason, rec.Places = record.Bad, reason, merged
		if rec.Digest = ""; !d.IsZero() {
			rec.Digest = d.String()
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("quarantine %q: %w", object, err)
	}
	return nil
}

// mergePlaces adds places to those that are bad already.
func mergePlaces(rec *record.Quarantine, places []uint32) []uint32 {
	if len(places) == 0 || rec.State == record.Bad && len(rec.Places) == 0 {
		return nil
	}
	merged := slices.Clone(places)
	if rec.State == record.Bad {
		merged = append(merged, rec.Places...)
	}
	slices.Sort(merged)
	if merged = slices.Compact(merged); len(merged) > maxPlaces {
		return nil
	}
	return merged
}

// ClearQuarantine says that an object is as it should be, or that it is gone and
// no version names it.
func (s *Service) ClearQuarantine(ctx context.Context, object string) error {
	err := s.judgeObject(ctx, object, func(rec *record.Quarantine) bool {
		if rec.State != record.Bad {
			return false
		}
		rec.State, rec.Places = record.Cleared, nil
		return true
	})
	if err != nil {
		return fmt.Errorf("clear %q: %w", object, err)
	}
	return nil
}

// judgeObject changes the register of an object, if change says that it should.
func (s *Service) judgeObject(ctx context.Context, object string, change func(*record.Quarantine) bool) error {
	key := record.QuarantineKey(object)
	for range rounds {
		rec := &record.Quarantine{Object: object}
		v, err := s.book.Load(ctx, key, rec)
		if err != nil {
			return err
		}
		if !change(rec) {
			return nil
		}
		rec.At = s.Now().UTC()
		v, err = s.book.Swap(ctx, key, v, rec)
		if err == nil {
			s.quarantine.learn(key, knownBad{v, rec})
		}
		if !isConflict(err) {
			return err
		}
	}
	return conflict("others change it: try again")
}

// sound returns l if its bytes are not known to be bad, else the same chunk where
// another version has it.
func (s *Service) sound(ctx context.Context, l Located) (Located, error) {
	bad := s.quarantine.current()
	if !bad.covers(&l.entry) {
		return l, nil
	}
	hints, err := s.Index.Lookup(ctx, []chunker.Digest{l.Digest}, Reach{Near: l.repo.Namespace})
	if err != nil || len(hints) != 1 {
		hints = [][]Source{nil} // the index is only a hint
	}
	for _, src := range hints[0][:min(len(hints[0]), maxSources)] {
		e, err := s.copyIn(ctx, src, l.Digest, bad)
		if err != nil {
			return l, err
		}
		if e != nil {
			l.lie(*e)
			return l, nil
		}
	}
	return l, openapi.Errorf(openapi.CodeUnavailable, "chunk %s of %s is damaged in the store: push the version again to heal it",
		l.Digest.Short(), versionName(l.repo, l.version))
}

// copyIn returns where a version has the chunk in objects that are not known to
// be bad, or nil. Who may read a chunk may have it from anywhere: its name proves
// that it is the same.
func (s *Service) copyIn(ctx context.Context, src Source, d chunker.Digest, bad badObjects) (*placement.Entry, error) {
	repo, err := name.ParseRepo(src.Repo)
	if err != nil {
		return nil, nil
	}
	var h record.Head
	if _, err := s.book.Load(ctx, record.HeadKey(repo, src.Version), &h); err != nil || !h.Readable() {
		return nil, err
	}
	b, err := s.loadBody(ctx, h.Body)
	if errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i, ok := b.find(d)
	if !ok || bad.covers(&b.entries[i]) {
		return nil, nil
	}
	return &b.entries[i], nil
}
