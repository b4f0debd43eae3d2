package follow

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// DefaultPoll is how often tags are looked up without events.
const DefaultPoll = 30 * time.Second

// How a Follower follows.
const (
	Events  = "events"  // the registry tells of changes
	Polling = "polling" // it does not, so it is asked
	Nothing = "nothing" // there is nothing to follow
)

// Registry is what a Follower needs of a registry; *client.Registry is one.
type Registry interface {
	Watch(ctx context.Context, match []string, ready func(), changed func(openapi.TagEvent)) error
	Resolve(ctx context.Context, ref name.Ref) (chunker.Digest, error)
	Repos(ctx context.Context, namespace string) iter.Seq2[openapi.RepoInfo, error]
	Tags(ctx context.Context, repo name.Repo) iter.Seq2[openapi.Tag, error]
	// Lacks says which files a version names and does not have; nothing for one that
	// is complete.
	Lacks(ctx context.Context, repo name.Repo, digest chunker.Digest) (string, error)
}

// Config says what a Follower works with. Registry and Changed must be set.
type Config struct {
	Registry Registry
	// Poll is about how often tags are looked up without events; 0 is DefaultPoll.
	Poll time.Duration
	// Changed is told where a followed tag is, at first and whenever it has moved; a
	// zero digest is a tag that is not there. It is called by several goroutines, for
	// one tag by one at a time, and should not take long.
	Changed func(ref name.Ref, digest chunker.Digest)
	// State is told how tags are followed, and why the registry cannot be reached,
	// whenever that is different; nil for nobody. It is called by one goroutine at a
	// time and must not call the Follower.
	State func(how string, err error)
	// Logger gets what goes wrong; nil is silence.
	Logger *slog.Logger
}

// Follower follows tags. It is safe for concurrent use.
type Follower struct {
	config Config
	wake   chan struct{} // of one place: there is something to look up

	mu        sync.Mutex // protects what follows
	wanted    wanted
	relisten  context.CancelFunc // ends the subscription to other tags
	asked     bool               // the registry has answered, or not in time
	listening bool
	looked    bool              // everything that is followed was looked up once
	due       map[name.Ref]bool // to be looked up
	allDue    bool
	last      map[name.Ref]chunker.Digest // that was told
	partial   map[name.Ref]chunker.Digest // where tags are that were not told, for it is incomplete
	fault     error                       // why the registry cannot be reached

	telling sync.Mutex // protects what follows, and calls of State
	how     string
	reached bool
}

// New returns a Follower that follows nothing yet.
func New(c Config) *Follower {
	c.Poll = cmp.Or(max(0, c.Poll), DefaultPoll)
	if c.State == nil {
		c.State = func(string, error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Follower{
		config: c, wake: make(chan struct{}, 1), relisten: func() {},
		due: map[name.Ref]bool{}, last: map[name.Ref]chunker.Digest{}, partial: map[name.Ref]chunker.Digest{},
	}
}

// Set says what to follow from now on: these tags, and all tags of the repositories
// that match "*", "namespace/*" or "namespace/name". References by digest never
// move and are left out.
func (f *Follower) Set(refs []name.Ref, match []string) error {
	next, err := parseWanted(refs, match)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	same := maps.Equal(next.refs, f.wanted.refs) && slices.Equal(next.match, f.wanted.match)
	f.wanted = next
	maps.DeleteFunc(f.last, func(ref name.Ref, _ chunker.Digest) bool { return !next.follows(ref) })
	maps.DeleteFunc(f.partial, func(ref name.Ref, _ chunker.Digest) bool { return !next.follows(ref) })
	maps.DeleteFunc(f.due, func(ref name.Ref, _ bool) bool { return !next.follows(ref) })
	if !same {
		f.looked = false
		f.relisten()
	}
	return nil
}

// Run follows until ctx ends, and returns its error.
func (f *Follower) Run(ctx context.Context) error {
	var work sync.WaitGroup
	work.Go(func() { f.listen(ctx) })
	work.Go(func() { f.lookUp(ctx) })
	work.Wait()
	return ctx.Err()
}

// rouse has whoever looks up do so.
func (f *Follower) rouse() {
	select {
	case f.wake <- struct{}{}:
	default: // it is awake
	}
}

// tellState tells how things are, if they are different.
func (f *Follower) tellState() {
	f.telling.Lock()
	defer f.telling.Unlock()
	f.mu.Lock()
	how, fault, known := Polling, f.fault, f.asked || f.wanted.nothing()
	switch {
	case f.wanted.nothing():
		how, fault = Nothing, nil
	case f.listening:
		how = Events
	}
	f.mu.Unlock()
	if known && (how != f.how || f.reached != (fault == nil)) {
		f.how, f.reached = how, fault == nil
		f.config.State(how, fault)
	}
}
