package fakecuda

import "sync/atomic"

// What follows is laid out as in driver/fake.h. The driver refuses a state whose size
// is not its own.

const (
	magic          = 0x3161646375656b66
	specSize       = 2048
	faultCount     = 64
	callCount      = 256
	processCount   = 1024
	allocationMost = 16384
	deviceMost     = 16
	liveCount      = 11
)

type fault struct {
	seen, nth          uint64
	call, code, onward int32
	role               [36]byte
}

type process struct {
	pid        atomic.Uint64
	started    uint64
	role       [32]byte
	sticky     atomic.Uint64
	violations atomic.Uint64
	calls      atomic.Uint64
	live       [liveCount]atomic.Int64
	registered [deviceMost]atomic.Int64
}

type allocation struct {
	inode, size, device uint64
}

type layout struct {
	magic, size                     uint64
	devices, memory, context        uint64
	filesystem                      uint64
	readOnlyRegister, lazy, version uint64
	gbps                            float64
	specGeneration, parsed          atomic.Uint64
	faultsUsed                      atomic.Uint64
	total, violations               atomic.Uint64
	copies, bytes                   [kinds]atomic.Uint64
	spec                            [specSize]byte
	faults                          [faultCount]fault
	calls                           [callCount]atomic.Uint64
	processes                       [processCount]process
	allocations                     [allocationMost]allocation
}
