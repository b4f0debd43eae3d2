package ingest

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// The defaults of a Config.
const (
	// DefaultLimit holds four of the largest files that models are made of.
	DefaultLimit = 256 << 30
	// DefaultMemory keeps eight processors busy.
	DefaultMemory = 256 << 20
)

// Config is what a Store works with. Versions and Dir must be set.
type Config struct {
	Versions *versions.Service
	// Dir is where files lie while they arrive. They have no names there, so nothing
	// is left of them after a crash.
	Dir string
	// Limit is how many bytes files may take in Dir together; 0 is DefaultLimit.
	Limit int64
	// Reserve is how many bytes of the disk of Dir stay free for others.
	Reserve int64
	// Memory is how many bytes the work on files may take; 0 is DefaultMemory.
	Memory int64
	Now    func() time.Time
	Logger *slog.Logger
}

// Store takes files. It is safe for concurrent use.
type Store struct {
	versions *versions.Service
	dir      string
	limit    int64
	reserve  int64
	now      func() time.Time
	logger   *slog.Logger
	working  *semaphore.Weighted // batches in memory
	buffers  sync.Pool           // of *buffers
	hashes   hashCache

	mu   sync.Mutex // protects used
	used int64      // bytes of the spool that are given away
}

// New returns a Store, and makes its folder if need be.
func New(c Config) (*Store, error) {
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make room for arriving files: %w", err)
	}
	slots := min(max(1, c.Memory/batchMemory), int64(2*runtime.GOMAXPROCS(0)))
	return &Store{
		versions: c.Versions, dir: c.Dir, limit: c.Limit, reserve: c.Reserve, now: c.Now, logger: c.Logger,
		working: semaphore.NewWeighted(slots),
		buffers: sync.Pool{New: func() any { return new(buffers) }},
	}, nil
}

// Object is a file whose chunks a version of a repository has.
type Object struct {
	SHA256 string // 64 hex digits
	Size   int64  // bytes
	// File is what a manifest says of it; without Path and Chunks.
	File manifest.File
	// Refs are its chunks, in order.
	Refs []chunker.Ref
	// From is the version that has them; zero for what Send has sent.
	From versions.Source
}
