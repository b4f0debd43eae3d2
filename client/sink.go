package client

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Sink is where fetched chunks go. Its methods are called by several goroutines,
// and for one chunk by one at a time.
type Sink interface {
	// Room returns memory for the plain bytes of chunk c, an index of the manifest's
	// list, of at least its size in capacity. Nothing behind that size is written.
	// Nil asks for the fetcher's own buffer. It is called again for a chunk whose
	// bytes were not right.
	Room(ctx context.Context, c uint32) ([]byte, error)
	// Take gets a verified chunk. plain is in the memory that Room gave, or else
	// valid only during the call; so is enc, the chunk as it came, which is never nil
	// in a Fetch. An error ends the fetch.
	Take(ctx context.Context, c uint32, plain, enc []byte) error
}

// Fetch gets the chunks of a version that come through the channel, indexes of m's
// list, in about that order, until it is closed. Chunks are decoded where Room says,
// without a copy, and small ones are asked for together when many are waiting.
// Bytes that are not right are fetched once more and then refused.
//
// It returns the encoded bytes that came, failures included. After an error it no
// longer reads from the channel: whoever feeds it must watch a context that ends
// then. The errors are *openapi.Error, ErrCorrupt, ErrUnreachable, that of ctx or
// of the sink.
func (r *Registry) Fetch(ctx context.Context, repo name.Repo, digest chunker.Digest, m *manifest.Manifest, chunks <-chan uint32, to Sink) (received int64, err error) {
	f := &fetch{Registry: r, repo: repo, digest: digest, m: m, to: to}
	err = f.run(ctx, f.arriving(chunks))
	return f.received.Load(), err
}
