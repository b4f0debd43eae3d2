package versions

import (
	"container/list"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// found is where a chunk lies, and its plain length.
type found struct {
	entry placement.Entry
	plain uint32 // bytes
}

// upload is what this replica remembers of a push. All of it can be learnt again
// from the registers and the store.
type upload struct {
	id string

	mu        sync.Mutex // protects the fields below; never held across a call
	have      map[chunker.Digest]found
	bundles   map[string]bool // those whose chunks are in have
	sources   map[Source]string
	condemned map[string]bool // names that count as absent
	lists     map[string]bool // the lists whose names are in condemned
}

func newUpload(id string) *upload {
	return &upload{
		id: id, have: map[chunker.Digest]found{}, bundles: map[string]bool{},
		sources: map[Source]string{}, condemned: map[string]bool{}, lists: map[string]bool{},
	}
}

// get returns where a chunk lies that the push has uploaded, as far as is
// remembered.
func (u *upload) get(d chunker.Digest) (found, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, ok := u.have[d]
	return f, ok && !u.isCondemned(&f.entry)
}

func (u *upload) put(d chunker.Digest, f found) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.have[d] = f
}

// condemn makes names count as absent.
func (u *upload) condemn(list string, names []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lists[list] = true
	for _, name := range names {
		u.condemned[name] = true
	}
}

func (u *upload) knowsList(list string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lists[list]
}

// absent reports whether one of the names that e needs is condemned.
func (u *upload) absent(e *placement.Entry) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.isCondemned(e)
}

func (u *upload) isCondemned(e *placement.Entry) bool {
	if len(u.condemned) == 0 {
		return false
	}
	for name := range e.Names {
		if u.condemned[name] {
			return true
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

func (u *upload) putBundle(name string, items []placement.Item) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bundles[name] = true
	for _, it := range items {
		if old, ok := u.have[it.Digest]; !ok || u.isCondemned(&old.entry) {
			u.have[it.Digest] = found{placement.Entry{Object: name, Offset: it.Offset, Length: it.Length}, it.Plain}
		}
	}
}

// source returns the body that a source was judged to have: empty for a source
// that is of no use. ok tells whether it was judged, judged how many were.
func (u *upload) source(src Source) (body string, ok bool, judged int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	body, ok = u.sources[src]
	return body, ok, len(u.sources)
}

func (u *upload) judge(src Source, body string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sources[src] = body
}

func (u *upload) size() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.have) + len(u.condemned) + 1
}

// uploads remembers the pushes used last, up to a number of chunks. What falls
// out of it is learnt again.
type uploads struct {
	limit int

	mu    sync.Mutex // protects the fields below
	order *list.List // of *upload, the one used last in front
	byID  map[string]*list.Element
}

func newUploads(limit int) *uploads {
	return &uploads{limit: limit, order: list.New(), byID: map[string]*list.Element{}}
}

// get returns what is remembered of the push, if only that it exists.
func (m *uploads) get(id string) *upload {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byID[id]; ok {
		m.order.MoveToFront(e)
		return e.Value.(*upload)
	}
	u := newUpload(id)
	m.byID[id] = m.order.PushFront(u)
	m.trim()
	return u
}

// trim forgets the pushes used longest ago while there are too many chunks. The
// newest stays, however large: its size is that of one model.
func (m *uploads) trim() {
	total := 0
	for e := m.order.Front(); e != nil; {
		next := e.Next()
		u := e.Value.(*upload)
		if total += u.size(); total > m.limit && e != m.order.Front() {
			m.order.Remove(e)
			delete(m.byID, u.id)
		}
		e = next
	}
}

func (m *uploads) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byID[id]; ok {
		m.order.Remove(e)
		delete(m.byID, id)
	}
}
