package node

import (
	"os"
	"time"

	"github.com/ingot-ml/ingot/registry/name"
)

// LeaseOrder is what somebody wants to use.
type LeaseOrder struct {
	Ref      name.Ref
	Mode     string        // openapi.LeaseWhole, LeaseStream or LeaseWindow
	Deadline time.Duration // of the wait for a version that is not resident; 0 is the node's
	First    []string      // tensors to bring before all others
	Client   string        // who asks, for people
	PID      int           // of the client's process on this machine; 0 when unknown
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
