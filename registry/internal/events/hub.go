package events

import (
	"sync"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// MaxListeners is how many may listen at a time: one for each node, and as many
// for whoever is curious.
const MaxListeners = 2 * openapi.MaxNodes

// maxWaiting is how many tags may wait for one listener. Together with
// MaxListeners it bounds the memory, to some 200 MiB if nobody reads at all.
const maxWaiting = 64

// Hub tells of changes of tags. It is safe for concurrent use.
type Hub struct {
	policy access.Policy
	most   int // listeners

	mu        sync.Mutex // protects listeners
	listeners map[*Listener]struct{}
}

// NewHub returns a Hub that tells principals of what they may read.
func NewHub(policy access.Policy) *Hub {
	return &Hub{policy: policy, most: MaxListeners, listeners: map[*Listener]struct{}{}}
}

// Tell tells all who want to know that a tag of repo has changed. It does not wait
// for them. Nobody is told of uploads.
func (h *Hub) Tell(repo name.Repo, e openapi.TagEvent) {
	if repo.Reserved() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if l.wants.match(repo) && h.policy.Allow(l.principal, repo, access.Read) == nil {
			l.put(e)
		}
	}
}

// Listen has p told, from now on, of the repositories that match: "*",
// "namespace/*" or "namespace/name". The caller closes the Listener. Errors are
// *openapi.Error: CodeBadRequest, and CodeBusy when too many listen.
func (h *Hub) Listen(p access.Principal, match []string) (*Listener, error) {
	wants, err := parsePatterns(match)
	if err != nil {
		return nil, err
	}
	l := &Listener{hub: h, principal: p, wants: wants, ready: make(chan struct{}, 1), at: map[tag]int{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) >= h.most {
		return nil, openapi.Errorf(openapi.CodeBusy, "%d listen to events already: try again later, or ask for the tags themselves", h.most)
	}
	h.listeners[l] = struct{}{}
	return l, nil
}

// tag names a tag.
type tag struct{ repo, name string }

// Listener is somebody who is told. It is for one goroutine.
type Listener struct {
	hub       *Hub
	principal access.Principal
	wants     patterns
	ready     chan struct{}
	followed  bool // protected by the hub

	mu      sync.Mutex // protects what follows
	waiting []openapi.TagEvent
	at      map[tag]int // index into waiting
	missed  bool
}

// Ready gets a value when there is something to take.
func (l *Listener) Ready() <-chan struct{} { return l.ready }

// Take returns what has changed since the last call, each tag once. With missed
// there was too much to keep: the listener has to look at all tags again.
func (l *Listener) Take() (changes []openapi.TagEvent, missed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changes, missed = l.waiting, l.missed
	l.waiting, l.missed = nil, false
	clear(l.at)
	return changes, missed
}

// Close ends the telling.
func (l *Listener) Close() {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	delete(l.hub.listeners, l)
}

// put has e wait in the place of what waits for the same tag.
func (l *Listener) put(e openapi.TagEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := tag{e.Repo, e.Tag}
	i, known := l.at[key]
	switch {
	case l.missed:
	case known:
		l.waiting[i] = e
	case len(l.waiting) == maxWaiting:
		l.waiting, l.missed = nil, true
		clear(l.at)
	default:
		l.at[key] = len(l.waiting)
		l.waiting = append(l.waiting, e)
	}
	select {
	case l.ready <- struct{}{}:
	default: // it knows
	}
}
