package node

import (
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// Counters are what has happened on a node since it was opened.
type Counters struct {
	Hits     Hits
	Bytes    openapi.Sources // plain bytes that loads brought, by where from
	Received int64           // encoded bytes over the network
	Deltas   openapi.DeltaTotals
	Loads    uint64     // that ended well
	Failed   uint64     // loads that did not
	Evicted  TierCounts // versions that left a tier for want of room
	Idle     TierCounts // versions that left a tier because nobody used them
	Demoted  uint64     // chunks written to the disk when their version left the RAM
	Damaged  uint64     // chunks of the disk that were dropped
	Refused  uint64     // chunks of a registry that were not what they are named for
	Switches uint64     // references that moved to another version
	GPU      Moves      // what went onto GPUs
}

// received counts what came over the network.
func (c *Counters) received(r client.Received) {
	c.Received += r.Bytes
	c.Deltas.Chunks += int64(r.DeltaChunks)
	c.Deltas.BytesReceived += r.DeltaBytes
	c.Deltas.BytesBase += r.BaseBytes
	c.Deltas.BasesWrong += int64(r.BasesWrong)
}

// Hits counts leases by the fastest tier that held the whole version when it was
// asked for.
type Hits struct{ GPU, RAM, Disk, None uint64 }

// TierCounts counts by tier.
type TierCounts struct{ Disk, RAM, GPU uint64 }

// Moves counts what went onto GPUs.
type Moves struct {
	Loads        uint64 // versions that came beside others
	Swaps        uint64 // versions that came in the place of others
	Dropped      uint64 // versions that left, for whatever reason
	Uploaded     int64  // bytes from RAM
	DeviceCopied int64  // bytes within a GPU
}

// Orphan is memory of a former agent: a segment that a client still has.
type Orphan struct {
	Device, Inode uint64
	Bytes         int64 // resident
}
