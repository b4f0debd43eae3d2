package client

import (
	"context"
	"time"

	"github.com/ingot-ml/ingot/chunker"
)

// PushBuffers is the most that a push holds in buffers, in bytes.
var PushBuffers = plainBuffers*chunker.MaxSize + encodedBuffers*maxEncoded + batchBuffers*batchSize

// Pool lends a fixed number of buffers.
type Pool struct{ p *pool }

// NewPool returns a pool of n buffers of size bytes.
func NewPool(n, size int) Pool { return Pool{newPool(n, size)} }

// Get borrows a buffer.
func (p Pool) Get(ctx context.Context) ([]byte, error) { return p.p.get(ctx) }

// Put gives it back.
func (p Pool) Put(b []byte) { p.p.put(b) }

// SetNow sets the clock of a cache.
func (c *Cache) SetNow(now func() time.Time) { c.now = now }

// Get reads from the cache.
func (c *Cache) Get(d chunker.Digest, buf []byte) ([]byte, bool) { return c.get(d, buf) }

// Put writes to the cache.
func (c *Cache) Put(ctx context.Context, d chunker.Digest, enc []byte) { c.put(ctx, d, enc) }

// Ranges writes indexes as the API wants them.
var Ranges = ranges
