package ledger

import (
	"cmp"
	"slices"
)

// leaving is what has been chosen to leave: versions that have released their
// chunks and are in the account still, and loose chunks.
type leaving struct {
	loose    []*chunk
	versions []*entry
	count    int   // of them that are no files
	freed    int64 // bytes
}

// release makes e no holder of its chunks, and returns the bytes that nobody holds
// any more.
func (e *entry) release() (freed int64) {
	for _, c := range e.chunks {
		if c.holders--; c.holders == 0 {
			freed += c.cost
		}
	}
	return freed
}

// hold is the reverse of release.
func (e *entry) hold() (taken int64) {
	for _, c := range e.chunks {
		if c.holders++; c.holders == 1 {
			taken += c.cost
		}
	}
	return taken
}

// choose finds what leaves to free so many bytes and the places of so many
// versions. If ok is false it is all that may leave, and that is not enough.
func (l *Ledger) choose(bytes int64, versions int) (out leaving, ok bool) {
	for at := l.loose.Front(); at != nil && out.freed < bytes; at = at.Next() {
		if c := at.Value.(*chunk); c.holders == 0 { // otherwise it is about to be held
			out.loose = append(out.loose, c)
			out.freed += c.cost
		}
	}
	for at := l.order.Front(); at != nil && (out.freed < bytes || out.count < versions); at = at.Next() {
		if e := at.Value.(*entry); !e.stays() {
			out.versions = append(out.versions, e)
			out.count += e.key.counts()
			out.freed += e.release()
		}
	}
	if out.freed < bytes || out.count < versions {
		return out, false
	}
	out.spare(bytes, versions)
	return out, true
}

// spare lets those versions stay without which there is enough room, the one first
// that was used last.
func (out *leaving) spare(bytes int64, versions int) {
	for i := len(out.versions) - 1; i >= 0; i-- {
		e := out.versions[i]
		taken := e.hold()
		if out.freed-taken < bytes || out.count-e.key.counts() < versions {
			e.release()
			continue
		}
		out.freed -= taken
		out.count -= e.key.counts()
		out.versions = slices.Delete(out.versions, i, i+1)
	}
}

// stay makes those who were chosen holders again.
func (out *leaving) stay() {
	for _, e := range out.versions {
		e.hold()
	}
}

// evict takes out of the account what has been chosen.
func (l *Ledger) evict(out leaving) (gone Eviction) {
	for _, c := range out.loose {
		gone.Freed = append(gone.Freed, c.name())
		l.delete(c)
	}
	for _, e := range out.versions {
		gone.Keys = append(gone.Keys, e.key)
		for _, c := range e.chunks {
			if c.holders == 0 && !c.gone { // otherwise it went with another version
				gone.Freed = append(gone.Freed, c.name())
				l.delete(c)
			}
		}
		l.forget(e)
	}
	return gone
}

// forget takes a version out of the account whose chunks have been seen to.
func (l *Ledger) forget(e *entry) {
	l.order.Remove(e.place)
	delete(l.entries, e.key)
	l.count -= e.key.counts()
}

// full says why there is no room although all that may leave would. That has
// released its chunks, and what wants room is in the account with added bytes.
func (l *Ledger) full(out leaving, added int64) *FullError {
	e := &FullError{Need: added, Budget: l.limits.Bytes, Free: max(0, l.limits.Bytes-(l.used-added-out.freed))}
	for name, bytes := range l.ballast {
		if bytes > 0 {
			e.Holders = append(e.Holders, Holder{Name: name, Bytes: bytes})
		}
	}
	for at := l.order.Front(); at != nil; at = at.Next() {
		if v := at.Value.(*entry); v.stays() {
			e.Holders = append(e.Holders, Holder{Key: v.key, Bytes: v.bytes, Leases: v.leases, Pinned: v.pinned})
		}
	}
	slices.SortStableFunc(e.Holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	return e
}
