// Package upstream owns models that are another hub's: what is asked for and is not
// here is fetched from there, proven, kept as a version, and served while it comes. It
// is a catalog.Source around the registry's own.
//
// Laws:
//   - A repository is either of people here or another hub's. What they have pushed is
//     never taken for the other hub's, nor moved by it, and its name is not told there.
//   - A commit of another hub becomes a version that holds those of its files that
//     somebody has wanted; wanting more makes another version. All have the name of the
//     commit, and the last of them is found by it.
//   - Nothing is kept that is not what the other hub has listed: size and sha256, or
//     git's hash. A hub that is said to be plain, a folder that nobody has hashed, is
//     trusted to know its files.
//   - A file is fetched once at a time, however many ask, and a hub that does not
//     answer is left alone for a moment.
//   - What is here is served when the other hub is away, or must not be asked.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/arrival"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Annotations of versions that came from another hub.
const (
	// AnnotationCommit is the name of the commit there.
	AnnotationCommit = catalog.AnnotationCommit
	// AnnotationFrom is the address of the hub.
	AnnotationFrom = "hf.endpoint"
	// annotationMissing is the paths of files that have not come, a line each, if they
	// are not too many.
	annotationMissing = "hf.missing"
)

// The defaults of a Config.
const (
	// DefaultRefresh is for how long it is believed where a branch or tag is.
	DefaultRefresh = 5 * time.Minute
	// DefaultRest is for how long a hub is left alone that did not answer.
	DefaultRest = 10 * time.Second
	// DefaultWait is less than clients wait for a short answer.
	DefaultWait = 4 * time.Second
)

// Hub is another hub, and whose models it has.
type Hub struct {
	// Namespace whose models it has; empty for all that no other Hub has.
	Namespace string
	URL       string
	Token     string
}

// Store keeps files that arrive; *ingest.Store is one.
type Store interface {
	Spool(size int64) (*ingest.Spooled, error)
	Keep(ctx context.Context, p access.Principal, repo name.Repo, f *ingest.Spooled, path string, want ingest.Want) (ingest.Object, error)
	Find(ctx context.Context, p access.Principal, repo name.Repo, sha256 string) (ingest.Object, bool, error)
}

// Versions makes versions of them.
type Versions interface {
	// Add adds files to the version that a tag points at, or begins one, and moves the
	// tag to what it has made.
	Add(ctx context.Context, p access.Principal, repo name.Repo, tag string, files map[string]ingest.Object, annotations map[string]string) (chunker.Digest, error)
	// Point makes a branch or tag point at a version.
	Point(ctx context.Context, p access.Principal, repo name.Repo, ref string, branch bool, d chunker.Digest) error
}

// Config is what a Source works with.
type Config struct {
	Local    catalog.Source
	Store    Store
	Versions Versions
	Policy   access.Policy
	// Foreign returns the tag under which Local finds a commit of another hub.
	Foreign func(commit string) string
	Hubs    []Hub
	// Hosts are those that hubs may lead to beside their own, and that may be
	// registered, see package hubclient.
	Hosts   []string
	Offline bool          // ask no hub
	Refresh time.Duration // 0 is DefaultRefresh
	Rest    time.Duration // 0 is DefaultRest
	// Wait is how long somebody waits for a version that is wanted whole before being
	// told to come back; 0 is DefaultWait.
	Wait time.Duration
	// Name is that of this server in the Via of its requests; no other has it.
	Name    string
	Program string // for the User-Agent
	// Client and Arrival are for tests: what is not set there is set here.
	Client  hubclient.Config
	Arrival arrival.Config
	Now     func() time.Time
	Logger  *slog.Logger
}

// Source is a catalog.Source. It is safe for concurrent use.
type Source struct {
	Config
	ctx     context.Context // of what goes on behind requests
	stop    context.CancelFunc
	work    sync.WaitGroup
	flights singleflight.Group

	mu       sync.Mutex // protects what follows
	hubs     map[string]*hub
	heads    *recent[headKey, head]
	listings *recent[listingKey, *listing]
	fetches  map[string]*fetch
	batches  map[batchKey]*batch
	wholes   map[batchKey]*whole
	closed   bool
}

var _ catalog.Source = (*Source)(nil)

// keeper is who keeps what arrives.
var keeper = access.Principal{Subject: "upstream", Scopes: "*:push"}

// New returns a Source. The caller closes it.
func New(c Config) (*Source, error) {
	c.Refresh = cmp.Or(c.Refresh, DefaultRefresh)
	c.Rest = cmp.Or(c.Rest, DefaultRest)
	c.Wait = cmp.Or(c.Wait, DefaultWait)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Source{
		Config: c, hubs: map[string]*hub{}, fetches: map[string]*fetch{}, batches: map[batchKey]*batch{},
		wholes: map[batchKey]*whole{},
		heads:  newRecent[headKey, head](maxHeads), listings: newRecent[listingKey, *listing](maxListed),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, h := range c.Hubs {
		if _, twice := s.hubs[h.Namespace]; twice {
			return nil, fmt.Errorf("upstream %s: there is another one for %s", h.URL, cmp.Or(h.Namespace, "all namespaces"))
		}
		known, err := s.dial(h)
		if err != nil {
			return nil, err
		}
		s.hubs[h.Namespace] = known
	}
	return s, nil
}

// Close gives up what is being fetched, and waits until it has ended.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	for _, h := range s.hubs {
		h.client.Close()
	}
}

// absent tells errors that say that something is not there.
func absent(err error) bool {
	return errors.Is(err, catalog.ErrNoRepo) || errors.Is(err, catalog.ErrNoRevision)
}
