package collect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// marks is what the first mark has learnt.
type marks struct {
	*run
	seed maphash.Seed

	mu      sync.Mutex // protects the fields below; never held across a call out
	part    part
	needed  *nameSet // names in versions that can be read, or may come to be
	reading *nameSet // names in versions that were retired lately
	seen    map[entryHash]bool
	tags    map[name.Repo]map[string]bool // the digests that tags of a repository point at

	asking singleflight.Group // for tags
}

func newMarks(r *run) *marks {
	seed := maphash.MakeSeed()
	return &marks{
		run: r, seed: seed, part: part{0, 1}, needed: newNameSet(seed), reading: newNameSet(seed),
		seen: map[entryHash]bool{}, tags: map[name.Repo]map[string]bool{},
	}
}

// entryHash stands for a register and the version of its value. It decides that a
// head is not read again, so it is one that nobody can make two of.
type entryHash [16]byte

func hashEntry(e registers.Entry) entryHash {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s", e.Key, e.Version))
	return entryHash(sum[:16])
}

// errTooMany reports a part with more names than may be remembered.
var errTooMany = errors.New("too many names for one pass")

// restart begins a pass over another part.
func (m *marks) restart(p part) {
	m.part = p
	m.needed.clear()
	m.reading.clear()
}

// heads reads every head and marks what it needs. What it has understood of a head
// it remembers with the register's version, so that the second mark need not look
// again at a head that has not changed.
func (m *marks) heads(ctx context.Context) error {
	m.report.Versions = 0
	err := m.eachHead(ctx, func(ctx context.Context, e registers.Entry) error {
		if m.gone.has(e) {
			m.note(e)
			return nil
		}
		h, at, err := m.settled(ctx, e.Key)
		if err != nil {
			return err
		}
		if err := m.head(ctx, e.Key, h); err != nil {
			return err
		}
		m.note(registers.Entry{Key: e.Key, Version: at})
		if h.State == record.Aborted || h.State == record.Dead && !m.stillRead(h) {
			m.gone.put(registers.Entry{Key: e.Key, Version: at})
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.needed.compact+m.reading.compact > m.Names {
			return errTooMany
		}
		return nil
	})
	return err
}

// note remembers which version of a head this mark has seen.
func (m *marks) note(e registers.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.part.i == 0 {
		m.seen[hashEntry(e)] = true
	}
}

// stillRead tells of a retired version whether somebody may be reading it.
func (m *marks) stillRead(h *record.Head) bool { return m.Now().Sub(h.At) < m.readers }

// eachHead calls f with every head, many at a time.
func (r *run) eachHead(ctx context.Context, f func(context.Context, registers.Entry) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.Parallel)
	done := int64(0)
	err := r.book.Each(ctx, record.HeadPrefix, "", func(e registers.Entry) (bool, error) {
		group.Go(func() error { return f(ctx, e) })
		if done++; done%registers.MaxList == 0 {
			r.tell("mark", done, 0)
		}
		return true, nil
	})
	if failed := group.Wait(); failed != nil {
		return failed // the cause of an end of ctx, if that was it
	}
	return err
}

// settled returns a head after what a collection may decide about it: a commit
// that was never finished is given up, and a version that no tag has pointed at
// for long is retired.
func (m *marks) settled(ctx context.Context, key string) (*record.Head, registers.Version, error) {
	for range rounds {
		var h record.Head
		at, err := m.book.Load(ctx, key, &h)
		if err != nil {
			return nil, at, err
		}
		changed, err := m.reap(ctx, key, &h, at)
		if err == nil && !changed {
			changed, err = m.retire(ctx, key, &h)
		}
		if err != nil && !lost(err) {
			return nil, at, err
		}
		if !changed && err == nil {
			return &h, at, nil
		}
	}
	return nil, "", fmt.Errorf("register %q: others change it all the time: %w", key, registers.ErrConflict)
}

// head marks what a head needs.
func (m *marks) head(ctx context.Context, key string, h *record.Head) error {
	switch {
	case h.State == record.Pending || h.Readable():
		m.mu.Lock()
		m.report.Versions++
		m.mu.Unlock()
		return m.bodies(ctx, key, h, m.needed)
	case h.State == record.Dead && m.stillRead(h):
		return m.bodies(ctx, key, h, m.reading)
	}
	return nil
}

func (m *marks) bodies(ctx context.Context, key string, h *record.Head, set *nameSet) error {
	return m.eachName(ctx, key, h, func(object string) { m.add(set, object) })
}

func (m *marks) add(set *nameSet, object string) {
	if hash := maphash.String(m.seed, object); m.part.has(hash) {
		m.mu.Lock()
		defer m.mu.Unlock()
		set.add(hash)
	}
}

// eachName calls f with the names of all objects that a head needs. When the body
// is gone and the head names another one by now, it reads that.
func (r *run) eachName(ctx context.Context, key string, h *record.Head, f func(string)) error {
	for range rounds {
		err := r.names(ctx, h.Body, f)
		if err == nil {
			return r.nextNames(ctx, key, h, f)
		}
		if !errors.Is(err, blobs.ErrNotFound) {
			return r.unreadable(key, err)
		}
		var now record.Head
		if _, err := r.book.Load(ctx, key, &now); err != nil {
			return err
		}
		switch {
		case now.State != record.Pending && !now.Readable():
			return nil // it needs nothing any more
		case now.Body == h.Body && now.State == record.Pending:
			// A collection took the body before the head named it. Whoever commits this
			// head finds the body in that collection's list, and writes another.
			return nil
		case now.Body == h.Body:
			return r.unreadable(key, err)
		}
		*h = now
	}
	return fmt.Errorf("register %q: others change it all the time: %w", key, registers.ErrConflict)
}

// nextNames does the same for the body that a head is to name next. One that is not
// there was deleted by a collection, whose list whoever points the head at it finds.
// One that is damaged is dropped, which anybody may do.
func (r *run) nextNames(ctx context.Context, key string, h *record.Head, f func(string)) error {
	if h.Next == "" {
		return nil
	}
	err := r.names(ctx, h.Next, f)
	switch {
	case err == nil || errors.Is(err, blobs.ErrNotFound):
		return nil
	case errors.Is(err, placement.ErrInvalid) && !r.DryRun:
		return r.drop(ctx, key, h.Next)
	}
	return r.unreadable(key, err)
}

// drop takes away the body that a head was to name next, if it still is.
func (r *run) drop(ctx context.Context, key, next string) error {
	for range rounds {
		var h record.Head
		at, err := r.book.Load(ctx, key, &h)
		if err != nil || h.Next != next {
			return err
		}
		h.Drop()
		if _, err := r.book.Swap(ctx, key, at, &h); !lost(err) {
			return err
		}
	}
	return fmt.Errorf("register %q: others change it all the time: %w", key, registers.ErrConflict)
}

// unreadable is why a collection stops: what a version needs that cannot be read is
// not known, so nothing may be deleted.
func (r *run) unreadable(key string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	repo, version, perr := record.ParseKey(key)
	if perr != nil {
		return perr
	}
	return openapi.Errorf(openapi.CodeInternal, "what %s@%.12s needs cannot be read, so nothing is deleted: %v; restore its body or remove the version", repo, version, err)
}

// names calls f with the name of a body and those in it.
func (r *run) names(ctx context.Context, body string, f func(string)) error {
	info, err := r.Blobs.Stat(ctx, body)
	if err != nil {
		return err
	}
	if info.Size > placement.MaxBody {
		return fmt.Errorf("read body %q: %d bytes: %w", body, info.Size, placement.ErrInvalid)
	}
	weight := min(4*info.Size, bodyMemory) // the bytes, and what they are parsed into
	if err := r.memory.Acquire(ctx, weight); err != nil {
		return err
	}
	defer r.memory.Release(weight)
	raw := make([]byte, info.Size)
	if err := blobs.ReadInto(ctx, r.Blobs, body, 0, raw); err != nil {
		return err
	}
	b, err := placement.ReadBody(body, raw)
	if err != nil {
		return fmt.Errorf("read body %q: %w", body, err)
	}
	f(body)
	last := ""
	for i := range b.Entries {
		for object := range b.Entries[i].Names {
			if object != last { // most entries of a bundle stand together
				f(object)
			}
			last = object
		}
	}
	return nil
}
