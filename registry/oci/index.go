package oci

import (
	"container/list"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/registry/name"
)

// maxIndexed bounds the digests and commits that are remembered, some 150 bytes each.
const maxIndexed = 200_000

// index remembers which commits have what digests: those of manifests, configs and
// files. It forgets the commits that were not asked for longest. It is safe for
// concurrent use.
type index struct {
	limit int

	mu      sync.Mutex // protects what follows
	used    int
	order   *list.List // of *indexed, the last asked for in front
	commits map[place]*list.Element
	digests map[item][]*list.Element // all commits that have it
}

// place is a commit of a repository.
type place struct {
	repo   name.Repo
	commit string
}

// item is a digest in a repository.
type item struct {
	repo   name.Repo
	digest string
}

type indexed struct {
	place
	digests []string
}

func newIndex(limit int) *index {
	return &index{limit: limit, order: list.New(), commits: map[place]*list.Element{}, digests: map[item][]*list.Element{}}
}

// find returns a commit of repo that has a digest, or "".
func (x *index) find(repo name.Repo, digest string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	have := x.digests[item{repo, digest}]
	if len(have) == 0 {
		return ""
	}
	e := have[len(have)-1]
	x.order.MoveToFront(e)
	return e.Value.(*indexed).commit
}

// knows reports whether the digests of a commit are remembered.
func (x *index) knows(repo name.Repo, commit string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.commits[place{repo, commit}] != nil
}

// add remembers the digests of a commit. More of them replace those it had.
func (x *index) add(repo name.Repo, commit string, digests []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := place{repo, commit}
	if e := x.commits[at]; e != nil {
		x.remove(e)
	}
	if len(digests)+1 > x.limit {
		return
	}
	e := x.order.PushFront(&indexed{at, digests})
	x.commits[at] = e
	for _, d := range digests {
		key := item{repo, d}
		x.digests[key] = append(x.digests[key], e)
	}
	x.used += len(digests) + 1
	for x.used > x.limit {
		x.remove(x.order.Back())
	}
}

// forget drops a commit.
func (x *index) forget(repo name.Repo, commit string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.commits[place{repo, commit}]; e != nil {
		x.remove(e)
	}
}

// remove forgets a commit.
func (x *index) remove(e *list.Element) {
	c := x.order.Remove(e).(*indexed)
	delete(x.commits, c.place)
	for _, d := range c.digests {
		key := item{c.repo, d}
		if x.digests[key] = slices.DeleteFunc(x.digests[key], func(other *list.Element) bool { return other == e }); len(x.digests[key]) == 0 {
			delete(x.digests, key)
		}
	}
	x.used -= len(c.digests) + 1
}
