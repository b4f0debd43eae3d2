package versions

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// The defaults of a Config.
const (
	// DefaultPushTTL is long enough for a push over a slow line with a weekend in
	// it. An expired push costs its uploads, nothing else.
	DefaultPushTTL = 7 * 24 * time.Hour
	// DefaultBodyCache holds the bodies of two or three models of 140 GB.
	DefaultBodyCache = 64 << 20
	// DefaultPushMemory is how many uploaded chunks are remembered, of all pushes
	// together: some 200 bytes each.
	DefaultPushMemory = 1 << 18
	// DefaultDeltaCPU and DefaultDeltaBytes are what a subject may have a registry do
	// with deltas in a minute.
	DefaultDeltaCPU   = 30 * time.Second
	DefaultDeltaBytes = 64 << 30
	// recentDeltas bounds the bytes of deltas that are kept because others may ask for
	// them a moment later.
	recentDeltas = 32 << 20
)

// Config is what a Service stands on. Zero values of the limits mean the
// defaults; everything else must be set.
type Config struct {
	Registers  registers.Engine
	Blobs      blobs.Store
	Index      Index
	Policy     access.Policy
	Now        func() time.Time
	Rand       io.Reader // of nonces and push ids; must be safe for concurrent use
	Logger     *slog.Logger
	PushTTL    time.Duration
	BodyCache  int64 // bytes
	PushMemory int   // chunks
	// Deltas is what a subject may have the registry do in a minute with deltas as they
	// travel; a negative CPU is nothing.
	Deltas deltas.Cost
	// Desks is how many chunks are encoded anew at a time, each in deltas.DeskMemory.
	Desks int
	// Known is set where other replicas commit versions too; nil where this process is
	// the only one.
	Known Known
	// Quota bounds what namespaces hold; nil for nothing that does.
	Quota Quota
	// Protections say which tags only admins set; nil for none.
	Protections Protections
	// TagChanged is told of every change of a tag, once it is durable; nil for
	// nobody. Those who move one tag at the same time may be told of in another
	// order. It does not wait for anything.
	TagChanged func(name.Repo, openapi.TagEvent)
}

// Index is a hint where chunks may be found: it may know too little, and what it
// knows may be out of date. It is safe for concurrent use.
type Index interface {
	// Add notes that a version of repo places these chunks.
	Add(ctx context.Context, repo string, version chunker.Digest, chunks []chunker.Ref) error
	// Lookup returns, for each digest, versions that may place it, the best first. It
	// does not depend on versions outside the reach.
	Lookup(ctx context.Context, digests []chunker.Digest, reach Reach) ([][]Source, error)
}

// Reach says which versions are of use to who looks for chunks.
type Reach struct {
	Near string                 // the namespace whose versions are the best
	May  func(repo string) bool // tells repositories that are of use; nil for all
}

// Source is a version that may place a chunk.
type Source struct {
	Repo    string
	Version chunker.Digest
}

// Service is the registry's core. All methods are safe for concurrent use.
//
// Errors that a caller can act on are *openapi.Error; all others are faults of
// the registry or of what it stands on. What a principal may not read does not
// exist for it.
type Service struct {
	Config
	book       record.Book
	bodies     *bodyCache
	uploads    *uploads
	lists      listCache
	looked     *looked
	tags       *seen[record.Tag]
	heads      *seen[seenHead]
	reads      *reads
	quarantine quarantine
	hashing    singleflight.Group
	surveys    surveys
	weights    weights
	weighing   *semaphore.Weighted // one who weighs at a time
	figures    figures
	walking    *semaphore.Weighted // one who looks at the bodies of many versions
	desks      *deltas.Desks
	budget     *deltas.Budget
	recent     *deltas.Recent
	counters   counters
}

// New returns a Service.
func New(c Config) *Service {
	if c.PushTTL == 0 {
		c.PushTTL = DefaultPushTTL
	}
	if c.BodyCache == 0 {
		c.BodyCache = DefaultBodyCache
	}
	if c.PushMemory == 0 {
		c.PushMemory = DefaultPushMemory
	}
	if c.Deltas.CPU == 0 {
		c.Deltas.CPU = DefaultDeltaCPU
	}
	if c.Deltas.Bytes == 0 {
		c.Deltas.Bytes = DefaultDeltaBytes
	}
	if c.Desks == 0 {
		c.Desks = runtime.GOMAXPROCS(0)
	}
	if c.Quota == nil {
		c.Quota = unlimited{}
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Service{
		Config:   c,
		book:     record.Book{Registers: c.Registers, Rand: c.Rand},
		bodies:   newBodyCache(c.BodyCache),
		uploads:  newUploads(c.PushMemory),
		looked:   newLooked(),
		tags:     newSeen[record.Tag](maxSeenTags),
		heads:    newSeen[seenHead](maxSeenHeads),
		reads:    newReads(),
		weighing: semaphore.NewWeighted(1),
		walking:  semaphore.NewWeighted(1),
		desks:    deltas.NewDesks(c.Desks),
		budget:   deltas.NewBudget(c.Deltas, c.Now),
		recent:   deltas.NewRecent(recentDeltas),
	}
}

// readable returns nil when p may read repo, else an error that says that what
// does not exist.
func (s *Service) readable(p access.Principal, repo name.Repo, what string) error {
	if s.Policy.Allow(p, repo, access.Read) != nil {
		return notFound("%s: not found", what)
	}
	return nil
}

// allowed returns nil when p may do a to repo. Who may read repo learns that it
// may not; for others what, which lies in repo, does not exist.
func (s *Service) allowed(p access.Principal, repo name.Repo, a access.Action, what string) error {
	if s.Policy.Allow(p, repo, a) == nil {
		return nil
	}
	if s.Policy.Allow(p, repo, access.Read) == nil {
		return openapi.Errorf(openapi.CodeForbidden, "%s: %s may not %s here", repo, p.Subject, a)
	}
	return notFound("%s: not found", what)
}

// versionName and tagName are how errors spell a version and a tag.
func versionName(repo name.Repo, d chunker.Digest) string { return repo.String() + "@" + d.Short() }

func tagName(repo name.Repo, tag string) string { return repo.String() + ":" + tag }

func isConflict(err error) bool { return errors.Is(err, registers.ErrConflict) }

func notFound(format string, args ...any) error {
	return openapi.Errorf(openapi.CodeNotFound, format, args...)
}

func conflict(format string, args ...any) error {
	return openapi.Errorf(openapi.CodeConflict, format, args...)
}
