package scrub

import (
	"context"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// use is what versions make of one place.
type use struct {
	length    uint32 // encoded bytes
	namespace uint32 // of those that name it, by number
	users     uint32 // versions that name it for a chunk
	dependant uint64 // stands for a delta that it is a base of; 0 for none
	many      bool   // there are other deltas that it is a base of
	foreign   bool   // versions of several namespaces name it
	counted   bool   // it is one of those that the report is about
}

// pinned tells whether a place has to stay what it is: what others rest on, or what
// others would need beside the new one.
func (u use) pinned() bool { return u.dependant != 0 || u.foreign }

// uses is what versions make of all places of some namespaces.
type uses struct {
	most int // places that are remembered

	mu     sync.Mutex // protects what follows; never held across a call out
	at     map[placeHash]use
	spaces map[string]uint32
}

func newUses(most int) *uses {
	return &uses{most: most, at: map[placeHash]use{}, spaces: map[string]uint32{}}
}

// get returns what is known of a place.
func (u *uses) get(h placeHash) use {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[h]
}

// see notes what a version names. Unless it is one of those that are to be
// remembered, it only tells what of that others name too.
func (u *uses) see(ver *version, mine, counted bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	space := u.space(ver.repo.Namespace)
	seen := make(map[placeHash]bool, len(ver.entries))
	for i := range ver.entries {
		e := &ver.entries[i]
		own := bareOf(e).hash()
		if !seen[own] {
			seen[own] = true
			u.note(own, e.Length, space, mine, counted, func(p *use) { p.users++ })
		}
		for j := range e.Closure {
			b := &e.Closure[j]
			u.note(bareOf(b).hash(), b.Length, space, mine, counted, func(p *use) { p.dependOn(own) })
		}
	}
	if len(u.at) > u.most {
		return errTooMany
	}
	return nil
}

func (u *uses) space(namespace string) uint32 {
	n, ok := u.spaces[namespace]
	if !ok {
		n = uint32(len(u.spaces))
		u.spaces[namespace] = n
	}
	return n
}

func (u *uses) note(h placeHash, length, space uint32, mine, counted bool, how func(*use)) {
	p, known := u.at[h]
	switch {
	case !known && !mine:
		return
	case !known:
		p = use{length: length, namespace: space}
	case p.namespace != space:
		p.foreign = true
	}
	p.counted = p.counted || counted
	how(&p)
	u.at[h] = p
}

// dependOn notes that a delta needs the place.
func (p *use) dependOn(delta placeHash) {
	switch p.dependant {
	case 0:
		p.dependant = delta[1] | 1
	case delta[1] | 1:
	default:
		p.many = true
	}
}

// lonely reports whether nothing needs a base but that delta.
func (p use) lonely(delta placeHash) bool {
	return p.users == 0 && !p.many && !p.foreign && p.dependant == delta[1]|1
}

// bytes returns what the places take that the report is about.
func (u *uses) bytes() (n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range u.at {
		if p.counted {
			n += int64(p.length)
		}
	}
	return n
}

// moved notes that a version names next instead of old, and returns how many bytes
// less that takes.
func (u *uses) moved(old, next *chunkAt) (gained int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	from, to := bareOf(&old.entry).hash(), bareOf(&next.entry).hash()
	p := u.at[from]
	if p.users--; p.users == 0 {
		gained += int64(p.length)
		for i := range old.entry.Closure {
			if b := u.at[bareOf(&old.entry.Closure[i]).hash()]; b.lonely(from) {
				gained += int64(b.length)
			}
		}
	}
	u.at[from] = p
	q, known := u.at[to]
	if !known {
		gained -= int64(next.entry.Length)
		q = use{length: next.entry.Length, namespace: p.namespace}
	}
	q.users++
	u.at[to] = q
	for i := range next.entry.Closure {
		e := &next.entry.Closure[i]
		b := u.at[bareOf(e).hash()]
		b.length, b.namespace = e.Length, p.namespace
		b.dependOn(to)
		u.at[bareOf(e).hash()] = b
	}
	return gained
}

// survey looks at all versions: those of the namespaces of a part are remembered.
func (r *recoding) survey(ctx context.Context, mine part) error {
	r.uses = newUses(r.Places / 8)
	passes := []bool{true}
	if mine.of > 1 {
		passes = append(passes, false) // what others name of it
	}
	for _, own := range passes {
		err := r.eachVersion(ctx, func(_ context.Context, ver *version) error {
			if inside := mine.has(spaceHash(ver.repo)); inside != own {
				return nil
			}
			return r.uses.see(ver, own, r.wants(ver.repo))
		}, func(name.Repo, chunker.Digest, *damage) {})
		if err != nil {
			return err
		}
	}
	return nil
}

// spaceHash stands for the namespace of a repository.
func spaceHash(repo name.Repo) placeHash { return place{object: repo.Namespace}.hash() }

// wants tells whether the versions of a repository are to be compacted.
func (r *recoding) wants(repo name.Repo) bool { return r.repo == (name.Repo{}) || r.repo == repo }
