package nodecache

import (
	"context"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/cuda/inventory"
	"github.com/ingot-ml/ingot/openapi"
)

const (
	// factsFor is how old what is said of a GPU may be.
	factsFor = 2 * time.Second
	// factsWait is how long whoever asks waits for what is newer.
	factsWait = 200 * time.Millisecond
)

// facts are what the driver says of a GPU.
type facts struct {
	mu    sync.Mutex    // protects what follows
	at    time.Time     // zero before the first
	busy  chan struct{} // closed when somebody has asked; nil when nobody asks
	free  int64
	known inventory.GPU
	ok    bool // the inventory has it
}

// Usage is what the GPU holds, and how it is.
func (d *device) Usage() openapi.GPUDevice {
	u := d.Device.Usage()
	u.State, u.Message, u.Restarts = d.mover.State()
	u.Pinned, u.Total = d.mover.Pinned(), d.total
	d.refresh()
	f := &d.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	if u.State == openapi.DeviceReady {
		u.Free = f.free
	}
	if f.ok {
		u.PCIeGeneration, u.PCIeWidth, u.MIG, u.Processes = f.known.PCIe.Generation, f.known.PCIe.Width, f.known.MIG, len(f.known.Processes)
		if node := f.known.NUMANode; node >= 0 {
			u.NUMANode = &node
		}
	}
	return u
}

// refresh asks again if what is known is old. It doesn't wait for long: a driver may
// hang.
func (d *device) refresh() {
	f := &d.facts
	f.mu.Lock()
	if f.busy == nil && (f.at.IsZero() || d.now().Sub(f.at) >= factsFor) {
		done := make(chan struct{})
		f.busy = done
		d.asks.Go(func() { d.ask(done) })
	}
	busy := f.busy
	f.mu.Unlock()
	if busy == nil {
		return
	}
	timer := time.NewTimer(factsWait)
	defer timer.Stop()
	select {
	case <-busy:
	case <-timer.C:
	}
}

// ask asks the driver.
func (d *device) ask(done chan struct{}) {
	var free int64
	if state, _, _ := d.mover.State(); state == openapi.DeviceReady {
		free, _, _ = d.mover.Memory() // 0 where it is not known
	}
	report, err := inventory.Read(context.Background())
	f := &d.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.busy, f.free, f.ok = d.now(), nil, free, false
	for _, g := range report.GPUs {
		if err == nil && g.UUID.String() == d.uuid {
			f.known, f.ok = g, true
		}
	}
	close(done)
}
