package s3

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// Options say how a store is used. The zero value is fine.
type Options struct {
	// Buckets are more buckets for blobs, beside that of the location. A blob goes to
	// one of them by its name, and is looked for in all.
	Buckets []string
	// Alone is the operator's promise that one process at a time writes: then the
	// writes of a register need not be atomic in the store.
	Alone bool
	// Rand draws nonces; it must be safe for concurrent use. Nil is crypto/rand.
	Rand io.Reader
	// Logger is told of what needs no error; nil is silence.
	Logger *slog.Logger
	// Transport sends requests; nil is that of NewTransport.
	Transport http.RoundTripper
}

// store is the connection to a store, which several spaces may share.
type store struct {
	core      *minio.Core
	endpoint  string // for messages
	rand      io.Reader
	logger    *slog.Logger
	transport http.RoundTripper
	pause     time.Duration // before the second try of a call
}

// Space is everything below one location. All methods are safe for concurrent use.
type Space struct {
	*store
	loc   Location
	root  string // of all keys
	turns *turns
	// names are the buckets, that of the location first. They are replaced by longer
	// lists when another replica has brought more.
	names  atomic.Pointer[[]string]
	joined atomic.Bool
}

func newSpace(s *store, loc Location, names []string, t *turns) *Space {
	space := &Space{store: s, loc: loc, root: loc.root(), turns: t}
	space.names.Store(&names)
	return space
}

// Location returns where the space is.
func (s *Space) Location() Location { return s.loc }

// Address returns where the store answers, without credentials.
func (s *Space) Address() string { return s.endpoint }

// Registers returns the registers of the space.
func (s *Space) Registers() *Registers { return &Registers{s, s.turns} }

// Blobs returns the blobs of the space.
func (s *Space) Blobs() *Blobs { return &Blobs{s} }

// Close ends the connections that nobody uses.
func (s *Space) Close() error {
	if t, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

// home returns the bucket of the location, which holds the registers.
func (s *Space) home() bucket { return bucket{s.store, s.loc.Bucket} }

// buckets returns all buckets.
func (s *Space) buckets() []bucket {
	var all []bucket
	for _, name := range *s.names.Load() {
		all = append(all, bucket{s.store, name})
	}
	return all
}

// order returns the buckets in the order in which a blob is looked for; it is written
// to the first. Each name has its own order, and one bucket more moves few names.
func (s *Space) order(name string) []bucket {
	all := s.buckets()
	if len(all) == 1 {
		return all
	}
	weights := map[string]uint64{}
	for _, b := range all {
		sum := sha256.Sum256([]byte(b.name + "/" + name))
		weights[b.name] = binary.BigEndian.Uint64(sum[:])
	}
	slices.SortFunc(all, func(a, b bucket) int { return cmp.Compare(weights[b.name], weights[a.name]) })
	return all
}

// find calls look with the buckets where a blob may be, until one has it. Errors are
// ready for who asked.
func (s *Space) find(ctx context.Context, name string, look func(bucket) error) error {
	seen := map[string]bool{}
	for {
		for _, b := range s.order(name) {
			if seen[b.name] {
				continue
			}
			seen[b.name] = true
			if err := look(b); !errors.Is(err, errAbsent) {
				return b.explain(err)
			}
		}
		// Another replica may have brought a bucket since.
		if err := s.refresh(ctx); err != nil {
			return err
		}
		if len(*s.names.Load()) == len(seen) {
			return fmt.Errorf("%.200s: %w", name, blobs.ErrNotFound)
		}
	}
}
