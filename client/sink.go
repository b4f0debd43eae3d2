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
	// valid only during the call; so is enc, the chunk as it came, whole. enc is nil
	// for a chunk that came as a delta. An error ends the fetch.
	Take(ctx context.Context, c uint32, plain, enc []byte) error
}

// DeltaSink is a Sink that wants deltas as they came.
type DeltaSink interface {
	Sink
	// TakeDelta is called instead of Take for a chunk that was decoded from one delta,
	// whose base is the chunk that a Held has. delta is valid only during the call.
	TakeDelta(ctx context.Context, c uint32, plain, delta []byte) error
}

// Held is a version of which the caller has chunks. They spare bytes and are never
// believed: what comes out with a wrong base is not what was asked for, and comes again,
// whole.
type Held struct {
	Repo     name.Repo // which the caller may read, or it is of no use
	Version  chunker.Digest
	Manifest *manifest.Manifest
	// Has reports whether Read would find a chunk.
	Has func(d chunker.Digest) bool
	// Read appends the plain bytes of a chunk to dst[:0], whose capacity is enough. It
	// is called by several goroutines. An error is no worse than a wrong chunk.
	Read func(ctx context.Context, ref chunker.Ref, dst []byte) ([]byte, error)
}

// FetchOptions say what spares a fetch bytes. The zero value says nothing.
type FetchOptions struct {
	// Held is what the caller has, best first.
	Held []Held
}

// Received says what came in a fetch, in encoded bytes, failures included.
type Received struct {
	Bytes       int64 // of all chunks
	DeltaBytes  int64 // part of Bytes: deltas of chunks that were asked for
	BaseBytes   int64 // part of Bytes: what the registry sent to decode those with
	DeltaChunks int   // chunks that came as deltas
	BasesWrong  int   // deltas that gave something else with the base at hand
}

// Fetch gets the chunks of a version that come through the channel, indexes of m's
// list, in about that order, until it is closed. Chunks are decoded where Room says,
// without a copy, and small ones are asked for together when many are waiting; so are
// those that may come as a delta of what the caller holds. Bytes that are not right are
// fetched once more and then refused.
//
// It returns what came. After an error it no longer reads from the channel: whoever
// feeds it must watch a context that ends then. The errors are *openapi.Error,
// ErrCorrupt, ErrUnreachable, that of ctx or of the sink.
func (r *Registry) Fetch(ctx context.Context, repo name.Repo, digest chunker.Digest, m *manifest.Manifest, chunks <-chan uint32, to Sink, o FetchOptions) (Received, error) {
	f := &fetch{Registry: r, repo: repo, digest: digest, m: m, to: to, held: holdings(o.Held, m)}
	err := f.run(ctx, f.arriving(chunks))
	return f.tally(), err
}
