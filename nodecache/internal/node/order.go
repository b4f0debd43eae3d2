package node

import (
	"os"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// LoadOrder is what somebody wants brought.
type LoadOrder struct {
	Ref      name.Ref
	Tier     openapi.Tier
	Deadline time.Duration // of the wait for room; 0 is the node's
	// What follows is for the tier gpu.
	Device string // UUID; empty for the one with the most room
	Hint   bool   // only into room that is free, and behind the call
}

// SwapOrder has those who use a version on a GPU use another.
type SwapOrder struct {
	From, To name.Ref
	Device   string        // UUID; empty for the one that From is on
	Deadline time.Duration // of the waits for room and for those who pause; 0 is the node's
	Priority int           // among those who wait
}

// LeaseOrder is what somebody wants to use.
type LeaseOrder struct {
	Ref      name.Ref
	Mode     string        // openapi.LeaseWhole, LeaseStream or LeaseWindow
	Deadline time.Duration // of the wait for a version that is not resident; 0 is the node's
	First    []string      // tensors to bring before all others
	Client   string        // who asks, for people
	PID      int           // of the client's process on this machine; 0 when unknown

	// What follows is for a lease on a GPU.
	Device   string // UUID; empty for the one with the most room
	Priority int    // among those who wait
	Yield    bool   // the client gives its room to others when it is asked to
	Follow   bool   // the client is swapped to what Ref names, whenever that changes
}

// Place is where the bytes of a chunk lie in RAM.
type Place struct {
	Segment uint64
	Offset  int64
	Length  int64
}

// Segment is a memfd that clients get. File is open for reading only and belongs
// to the tier: it is valid while the lease holds.
type Segment struct {
	ID   uint64
	Size int64
	File *os.File
}

// Arrival is a tensor that is in RAM now: indexes into the version's manifest.
type Arrival struct {
	File, Tensor int
}
