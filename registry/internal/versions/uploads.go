package versions

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

// found is where a chunk lies, and its plain length.
type found struct {
	entry placement.Entry
	plain uint32 // bytes
	// base names what the chunk is a delta of, while it is not known where that lies and
	// the entry lacks its closure. Nobody can use such a chunk.
	base chunker.Digest
}

// upload is what this replica remembers of a push. All of it can be learnt again
// from the registers and the store.
type upload struct {
	id    string
	taken atomic.Pointer[taken]

	mu      sync.Mutex // protects the fields below; never held across a call
	have    map[chunker.Digest]found
	bundles map[string]bool // those whose chunks are in have
	sources []judged        // in the order they were judged
	lists   []*condemned    // whose names count as absent
	bad     badObjects      // whose names count as absent too; nil until asked for
	epoch   uint64          // lists has those of all collections since P0, up to this
}

// judged is a version that was looked at, and the body that it had: empty for one
// that is of no use.
type judged struct {
	Source
	body string
}

func newUpload(id string, since uint64) *upload {
	return &upload{id: id, epoch: since, have: map[chunker.Digest]found{}, bundles: map[string]bool{}}
}

// taken is a push as it was read when it took a chunk. It is never changed.
type taken struct {
	rec record.Push
	at  time.Time
}

// take remembers that the push was open, for takingTime.
func (u *upload) take(rec *record.Push, now time.Time) { u.taken.Store(&taken{*rec, now}) }

// taking returns the push, if it was open a moment ago.
func (m *uploads) taking(id string, now time.Time) (*record.Push, *upload) {
	m.mu.Lock()
	e := m.byID[id]
	m.mu.Unlock()
	if e == nil {
		return nil, nil
	}
	u := e.Value.(*upload)
	t := u.taken.Load()
	if t == nil || now.Before(t.at) || now.Sub(t.at) >= takingTime || !now.Before(t.rec.Expires) {
		return nil, nil
	}
	rec := t.rec
	return &rec, u
}

// get returns where a chunk lies that the push has uploaded, as far as is
// remembered.
func (u *upload) get(d chunker.Digest) (found, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, ok := u.have[d]
	return f, ok && f.base.IsZero() && !u.isAbsent(&f.entry)
}

// baseless returns where a delta lies that the push has uploaded, if all that lacks is
// where its base lies.
func (u *upload) baseless(d chunker.Digest) (found, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, ok := u.have[d]
	return f, ok && !f.base.IsZero() && !u.isAbsent(&f.entry)
}

func (u *upload) put(d chunker.Digest, f found) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.have[d] = f
}

// condemn makes the names of a list count as absent.
func (u *upload) condemn(l *condemned) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !hasList(u.lists, l.blob) {
		u.lists = append(u.lists, l)
	}
}

// knowsLists reports whether any names count as absent because of a list.
func (u *upload) knowsLists() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.lists) > 0
}

func (u *upload) knowsList(blob string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return hasList(u.lists, blob)
}

// avoid makes the objects in quarantine count as absent.
func (u *upload) avoid(bad badObjects) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bad = bad
}

// avoids returns the objects in quarantine, as far as the push knows; ok tells
// whether it has asked.
func (u *upload) avoids() (bad badObjects, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bad, u.bad != nil
}

// attempt returns the first attempt, from least on, whose name for the chunk is
// not that of a bad object.
func (u *upload) attempt(d chunker.Digest, least int) int {
	bad, _ := u.avoids()
	for len(bad) > 0 && bad[placement.ChunkName(d, u.id, least)] != nil {
		least++
	}
	return least
}

// caughtUp returns the epoch up to which lists are known.
func (u *upload) caughtUp() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.epoch
}

func (u *upload) catchUp(epoch uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.epoch = max(u.epoch, epoch)
}

func hasList(lists []*condemned, blob string) bool {
	return slices.ContainsFunc(lists, func(l *condemned) bool { return l.blob == blob })
}

// condemned reports whether one of the names that e needs is condemned.
func (u *upload) condemned(e *placement.Entry) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.isCondemned(e)
}

// absent reports whether one of the names that e needs is condemned or bad.
func (u *upload) absent(e *placement.Entry) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.isAbsent(e)
}

func (u *upload) isAbsent(e *placement.Entry) bool { return u.isCondemned(e) || u.bad.names(e) }

func (u *upload) isCondemned(e *placement.Entry) bool {
	for _, l := range u.lists {
		for name := range e.Names {
			if _, ok := slices.BinarySearch(l.names, name); ok {
				return true
			}
		}
	}
	return false
}

// knowsBundle reports whether the bundle's chunks are in have.
func (u *upload) knowsBundle(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bundles[name]
}

// stored returns where a chunk lies that was stored as it is here.
func (u *upload) stored(c Encoded) (placement.Entry, bool) {
	base, err := baseOf(c.Bytes)
	u.mu.Lock()
	defer u.mu.Unlock()
	f, ok := u.have[c.Digest]
	return f.entry, err == nil && ok && f.base == base && !u.isAbsent(&f.entry)
}

func (u *upload) putBundle(name string, items []placement.Item) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bundles[name] = true
	for _, it := range items {
		if old, ok := u.have[it.Digest]; !ok || !old.base.IsZero() || u.isAbsent(&old.entry) {
			u.have[it.Digest] = found{placement.Entry{Object: name, Offset: it.Offset, Length: it.Length}, it.Plain, it.Base}
		}
	}
}

// judged returns the versions that were looked at, in that order.
func (u *upload) judged() []judged {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.sources)
}

// source returns the body that a version was judged to have.
func (u *upload) source(src Source) (body string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := indexOf(u.sources, src); i >= 0 {
		return u.sources[i].body, true
	}
	return "", false
}

func (u *upload) judge(src Source, body string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := indexOf(u.sources, src); i >= 0 {
		u.sources[i].body = body
		return
	}
	u.sources = append(u.sources, judged{src, body})
}

func indexOf(sources []judged, src Source) int {
	return slices.IndexFunc(sources, func(j judged) bool { return j.Source == src })
}

// leastUpload is what a push without chunks counts in the memory of pushes, so
// that their number is bounded too.
const leastUpload = 64

// size is in chunks, about.
func (u *upload) size() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return leastUpload + len(u.have) + len(u.bundles)
}

// uploads remembers the pushes used last, up to a number of chunks of all of them
// together. What falls out of it is learnt again.
type uploads struct {
	limit int

	mu    sync.Mutex // protects the fields below
	order *list.List // of *upload, the one used last in front
	byID  map[string]*list.Element
}

func newUploads(limit int) *uploads {
	return &uploads{limit: limit, order: list.New(), byID: map[string]*list.Element{}}
}

// get returns what is remembered of the push, which began in the epoch since; if
// only that it exists.
func (m *uploads) get(id string, since uint64) *upload {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byID[id]; ok {
		m.order.MoveToFront(e)
	}
	m.trim()
	if e, ok := m.byID[id]; ok {
		return e.Value.(*upload)
	}
	u := newUpload(id, since)
	m.byID[id] = m.order.PushFront(u)
	return u
}

// trim keeps the pushes used last, as far as there is room for their chunks. One
// that is too large by itself is forgotten too, and begins again.
func (m *uploads) trim() {
	total := 0
	for e := m.order.Front(); e != nil; {
		next, size := e.Next(), e.Value.(*upload).size()
		if total+size > m.limit {
			m.remove(e)
		} else {
			total += size
		}
		e = next
	}
}

func (m *uploads) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byID[id]; ok {
		m.remove(e)
	}
}

func (m *uploads) remove(e *list.Element) {
	delete(m.byID, e.Value.(*upload).id)
	m.order.Remove(e)
}
