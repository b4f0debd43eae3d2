package cas

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/internal/xet"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// DefaultLimit holds what several people upload at a time.
	DefaultLimit = 256 << 30
	// tokenLife is how long a token is good. Clients ask for another in time.
	tokenLife = time.Hour
	// maxXorbs is how many xorbs come in at a time; each takes 1 MB of memory.
	maxXorbs = 64
	// shardMemory bounds the shards in memory: a long one takes as much again as it
	// is read.
	shardMemory = 2 * xet.MaxShard
	// maxFiles is how many files of shards are put together at a time.
	maxFiles = 4
)

// Config is what a Service works with.
type Config struct {
	// Source shows what is fetched.
	Source    catalog.Source
	Versions  *versions.Service
	Files     *ingest.Store
	Grants    *grants.Grants
	Registers registers.Engine
	Policy    access.Policy
	// Valid returns nil if who was given a token may still use it; nil lets all.
	Valid func(context.Context, access.Principal) error
	// Dir is where xorbs lie until a shard has come.
	Dir string
	// Limit is how many bytes they may take there; 0 is DefaultLimit.
	Limit int64
	// Address is where clients reach this process, "https://host:port"; empty is
	// where they reached the registry.
	Address string
	// Replicas says that others take xorbs and shards of the same clients.
	Replicas bool
	// WriteOnly has files fetched in other ways.
	WriteOnly bool
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
	Logger    *slog.Logger
}

// Service is a CAS, as the protocol calls it. It is safe for concurrent use.
type Service struct {
	Config
	book    record.Book
	pool    *pool
	xorbs   *semaphore.Weighted // that come in
	shards  *semaphore.Weighted // bytes of those in memory
	filling *semaphore.Weighted // files that are put together
}

var _ hub.Xet = (*Service)(nil)

// New returns a Service, and makes its folder if need be.
func New(c Config) (*Service, error) {
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p, err := openPool(c.Dir, c.Limit, c.Now)
	if err != nil {
		return nil, fmt.Errorf("make room for xorbs: %w", err)
	}
	return &Service{
		Config:  c,
		book:    record.Book{Registers: c.Registers, Rand: c.Rand},
		pool:    p,
		xorbs:   semaphore.NewWeighted(maxXorbs),
		shards:  semaphore.NewWeighted(shardMemory),
		filling: semaphore.NewWeighted(maxFiles),
	}, nil
}

// Tidy removes xorbs that nobody came back for, and returns how many.
func (s *Service) Tidy() (int, error) { return s.pool.tidy() }

// purpose is what tokens are signed for.
const purpose = "xet"

// claims are what a token says.
type claims struct {
	Who    access.Principal `json:"p"`
	Repo   string           `json:"r"`
	Commit string           `json:"c,omitempty"` // that may be read
	Write  bool             `json:"w,omitempty"`
}

// Reads implements hub.Xet.
func (s *Service) Reads() bool { return !s.WriteOnly }

// Grant implements hub.Xet.
func (s *Service) Grant(ctx context.Context, base string, repo name.Repo, commit string, write bool) (hub.Access, error) {
	p, action := access.FromContext(ctx), access.Read
	if write {
		action = access.Push
	}
	if err := s.allow(p, repo, action); err != nil {
		return hub.Access{}, err
	}
	realm, err := s.realm(ctx, p.Subject, repo.Namespace)
	if err != nil {
		return hub.Access{}, err
	}
	token, err := s.Grants.Sign(ctx, purpose, claims{p, repo.String(), commit, write}, tokenLife)
	if err != nil {
		return hub.Access{}, err
	}
	if s.Address != "" {
		base = s.Address
	}
	return hub.Access{URL: base + prefix + realm, Token: token, Expires: s.Now().Add(tokenLife)}, nil
}

// allow returns nil when p may do that. Who may read the repository learns that it
// may not.
func (s *Service) allow(p access.Principal, repo name.Repo, a access.Action) error {
	if s.Policy.Allow(p, repo, a) == nil {
		return nil
	}
	if a != access.Read && s.Policy.Allow(p, repo, access.Read) == nil {
		return openapi.Errorf(openapi.CodeForbidden, "%s: %s may not %s here", repo, p.Subject, a)
	}
	return fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
}
