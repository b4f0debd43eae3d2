package node

import "github.com/ingot-ml/ingot/openapi"

// Counters are what has happened on a node since it was opened.
type Counters struct {
	Hits     Hits
	Bytes    openapi.Sources // plain bytes that loads brought, by where from
	Received int64           // encoded bytes over the network
	Loads    uint64          // that ended well
	Failed   uint64          // loads that did not
	Evicted  TierCounts      // versions that left a tier for want of room
	Idle     TierCounts      // versions that left a tier because nobody used them
	Demoted  uint64          // chunks written to the disk when their version left the RAM
	Damaged  uint64          // chunks of the disk that were dropped
	Refused  uint64          // chunks of a registry that were not what they are named for
	Switches uint64          // references that moved to another version
}

// Hits counts leases by the fastest tier that held the whole version when it was
// asked for.
type Hits struct{ GPU, RAM, Disk, None uint64 }

// TierCounts counts by tier.
type TierCounts struct{ Disk, RAM uint64 }

// Orphan is memory of a former agent: a segment that a client still has.
type Orphan struct {
	Device, Inode uint64
	Bytes         int64 // resident
}
