package client

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// What a push holds of a model at a time. The buffers are made when they are
// first needed.
const (
	plainBuffers   = 32 // chunks as they are in the files
	encodedBuffers = 16 // encoded chunks, those under way included
	batchBuffers   = 3
	batchSize      = 4 << 20 // bytes of a batch, frames included
)

// maxEncoded bounds an encoded chunk in bytes.
var maxEncoded = codec.MaxEncoded(chunker.MaxSize)

// pool lends a fixed number of buffers.
type pool struct {
	free chan []byte
	size int
}

// newPool returns a pool of n buffers of size bytes.
func newPool(n, size int) *pool {
	p := &pool{free: make(chan []byte, n), size: size}
	for range n {
		p.free <- nil
	}
	return p
}

// get returns a buffer of no bytes and the pool's size of capacity, as soon as
// there is one.
func (p *pool) get(ctx context.Context) ([]byte, error) {
	select {
	case b := <-p.free:
		if b == nil {
			b = make([]byte, 0, p.size)
		}
		return b[:0], nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// put gives back a buffer that get returned.
func (p *pool) put(b []byte) { p.free <- b }
