package ledger

import (
	"fmt"
	"time"
)

// Eviction is what has left the account. Whoever keeps it drops that from the
// tier before the room is used.
type Eviction struct {
	Keys  []Key   // versions, the one first that was not used for the longest time
	Freed []Chunk // that nobody holds any more
}

// Admit makes e a holder of its chunks, and the version that was used last. If it
// does not fit, others leave. A version that is there already keeps the chunks it
// has. The error is a *FullError.
func (l *Ledger) Admit(e Entry, now time.Time) (Eviction, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if there := l.entries[e.Key]; there != nil {
		l.use(there, now)
		return Eviction{}, nil
	}
	in := l.enter(e)
	out, err := l.fit(in)
	if err != nil {
		l.undo(in)
		return Eviction{}, err
	}
	for _, c := range in.chunks {
		l.tighten(c)
	}
	l.insert(in.entry, now)
	return l.evict(out), nil
}

// insert puts a version into the account whose chunks are there.
func (l *Ledger) insert(e *entry, now time.Time) {
	e.lastUse = now
	e.place = l.order.PushBack(e)
	l.entries[e.key] = e
	l.count += e.key.counts()
}

// Would returns what Admit would do: the bytes that e adds, and who leaves.
func (l *Ledger) Would(e Entry) (need int64, evict []Key, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[e.Key] != nil {
		return 0, nil, nil
	}
	in := l.enter(e)
	defer l.undo(in)
	out, err := l.fit(in)
	if err != nil {
		return in.added, nil, err
	}
	for _, v := range out.versions {
		evict = append(evict, v.key)
		v.hold()
	}
	return in.added, evict, nil
}

// entering is a version whose chunks are in the account and that is not.
type entering struct {
	*entry
	added int64 // bytes of the chunks that were not there
}

func (l *Ledger) enter(e Entry) entering {
	in := entering{entry: &entry{key: e.Key, chunks: make([]*chunk, 0, len(e.Chunks))}}
	d := l.domain(e.Domain)
	for _, ref := range e.Chunks {
		c := d.chunks[ref.Digest]
		if c == nil {
			c = l.add(d, ref)
			in.added += c.cost
		}
		in.chunks = append(in.chunks, c)
		in.bytes += c.cost
	}
	in.hold()
	return in
}

// undo makes the account what it was before enter.
func (l *Ledger) undo(in entering) {
	in.release()
	for _, c := range in.chunks {
		if c.holders == 0 && c.loose == nil && !c.gone {
			l.delete(c)
		}
	}
}

// over is how many bytes have to leave after some were added. What adds none is not
// refused on their account, even if more than the budget is used already.
func (l *Ledger) over(added int64) int64 {
	if added <= 0 {
		return 0
	}
	return l.used - l.limits.Bytes
}

// fit chooses who leaves so that a version which has entered may stay.
func (l *Ledger) fit(in entering) (leaving, error) {
	if in.bytes > l.limits.Bytes {
		return leaving{}, &FullError{Key: in.key, Need: in.bytes, Budget: l.limits.Bytes, tooLarge: true}
	}
	surplus := 0
	if l.limits.Count > 0 && in.key.counts() > 0 {
		surplus = l.count + 1 - l.limits.Count
	}
	out, ok := l.choose(l.over(in.added), surplus)
	if ok {
		return out, nil
	}
	full := l.full(out, in.added)
	full.Key = in.key
	if full.Free >= full.Need {
		full.Count = l.limits.Count
	}
	out.stay()
	return leaving{}, full
}

// Remove takes a version out of the account. What nobody else holds of it is
// freed, and the caller drops it. The errors are ErrLeased and ErrUnknown; a pinned
// version goes.
func (l *Ledger) Remove(k Key) (freed []Chunk, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, err := l.removable(k)
	if err != nil {
		return nil, fmt.Errorf("remove %s: %w", k, err)
	}
	e.release()
	return l.evict(leaving{versions: []*entry{e}}).Freed, nil
}

// Loosen takes a version out of the account, while what nobody else holds of it
// stays until its room is needed, so that a load which was interrupted can go on
// from there. The errors are those of Remove.
func (l *Ledger) Loosen(k Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, err := l.removable(k)
	if err != nil {
		return fmt.Errorf("loosen %s: %w", k, err)
	}
	e.release()
	for _, c := range e.chunks {
		if c.holders == 0 && c.loose == nil {
			c.loose = l.loose.PushBack(c)
		}
	}
	l.forget(e)
	return nil
}

func (l *Ledger) removable(k Key) (*entry, error) {
	e := l.entries[k]
	switch {
	case e == nil:
		return nil, ErrUnknown
	case e.leases > 0:
		return nil, ErrLeased
	}
	return e, nil
}

// Trim makes loose chunks and versions leave as Admit does, until at most so many
// bytes are used or nothing more may leave.
func (l *Ledger) Trim(to int64) Eviction {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, _ := l.choose(l.used-to, 0)
	return l.evict(out)
}
