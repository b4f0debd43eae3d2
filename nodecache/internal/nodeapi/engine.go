package nodeapi

import (
	"context"
	"iter"
	"os"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Node is what the routes need. What a client did wrong or must act on is an
// *openapi.Error, other errors are faults. All methods are safe for concurrent
// use.
type Node interface {
	// Load brings a version into a tier. Plan says what that would take.
	Load(ctx context.Context, o node.LoadOrder) (openapi.LoadReceipt, error)
	Plan(ctx context.Context, o node.LoadOrder) (openapi.LoadReceipt, error)
	// Swap has those who use one version on a GPU use another.
	Swap(ctx context.Context, o node.SwapOrder) (openapi.SwapReceipt, error)
	Unload(ctx context.Context, ref name.Ref, to openapi.Tier) (openapi.UnloadReceipt, error)
	// Materialize makes the files of what ref names.
	Materialize(ctx context.Context, ref name.Ref) (openapi.MaterializeReceipt, error)
	Pin(ctx context.Context, ref name.Ref, pinned bool) (openapi.ModelStatus, error)
	Status() openapi.NodeStatus
	Counters() node.Counters
	// Events returns what happens from the call on. They end with ctx, or when the
	// reader is too slow.
	Events(ctx context.Context) iter.Seq[openapi.NodeEvent]
	// Lease returns when a whole version is resident, or a stream or window admitted.
	// waiting hears how far that is, from any goroutine, until Lease returns.
	Lease(ctx context.Context, o node.LeaseOrder, waiting func(done, total int64)) (Lease, error)
	// LeaseGPU returns when the version is on the GPU that o names. Its image is the
	// first Ask of the lease. waiting is heard during the waits of Acquire too, until
	// Release.
	LeaseGPU(ctx context.Context, o node.LeaseOrder, waiting func(done, total int64)) (GPULease, error)
	// Declare notes memory of a former agent that a client still maps.
	Declare(ctx context.Context, d openapi.LeaseDeclare, segments []node.Orphan, pid int) (Held, error)
	// Ready returns why the node does not take work yet, or any more.
	Ready() error
}

// Held is what a client has of this node or of a former one, until Release.
type Held interface {
	// Moved gets the version that the reference names now, whenever that changes. It
	// may be nil for a reference that never moves.
	Moved() <-chan node.Move
	Release()
}

// Lease is the use of a version.
type Lease interface {
	Held
	Ref() name.Ref
	Version() chunker.Digest
	Manifest() *manifest.Manifest
	// Place returns where a chunk of the manifest lies; false while it is not there.
	Place(chunk uint32) (node.Place, bool)
	// Segment returns a segment that a Place names. Its descriptor is valid until
	// Release.
	Segment(id uint64) (node.Segment, error)
	// Arrivals yields every tensor of a stream or window when it is there.
	Arrivals(ctx context.Context) iter.Seq2[node.Arrival, error]
	// Whole waits until every chunk of a stream is there.
	Whole(ctx context.Context) error
	// Ack takes the oldest tensor of a window back from the client.
	Ack()
}

// GPULease is the use of a version on a GPU. What it has, it is told by Asks.
type GPULease interface {
	Held
	Ref() name.Ref
	Version() chunker.Digest // that it has, or had last
	// Asks are what the client is told, in order. They may be closed with the lease.
	Asks() <-chan gpu.Ask
	// Export returns a descriptor of a slab of an image that was asked to be mapped.
	// The caller closes it.
	Export(slab uint64) (*os.File, error)
	// Paused says that the client has done what a pause asked for. One that is over,
	// or was never asked for, changes nothing.
	Paused(id uint64)
	// Detach says that the client has unmapped everything.
	Detach()
	// Acquire asks for the image again, and does not wait: an image or a denial is an
	// Ask. deadline bounds the wait, 0 is the node's.
	Acquire(priority int, deadline time.Duration)
}
