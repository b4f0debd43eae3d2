package nodecache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// gpus are the GPUs of a node. Its zero value is a node without.
type gpus struct {
	state, message string
	devices        []*device
	pins           *mover.Pins
	herald         *herald
}

// openGPUs starts what works for the GPUs that the configuration names. Where there
// is none, or no driver, the node works without.
func (n *Node) openGPUs() error {
	g := &n.gpus
	g.state, g.herald = openapi.GPUOff, newHerald()
	if len(n.config.GPU) == 0 {
		return nil
	}
	if n.ram == nil {
		return errors.New("a GPU is filled from RAM, and the node has no budget there")
	}
	driver, err := cuda.Open("")
	if err != nil {
		g.state, g.message = quiet(err), err.Error()
		n.config.Logger.Warn("the node works without a GPU", "state", g.state, "err", err)
		return nil
	}
	chosen, problems := choose(n.config, driver.Devices())
	started := make([]*device, len(chosen))
	failed := make([]error, len(chosen))
	var wg sync.WaitGroup
	for i, c := range chosen {
		wg.Go(func() { started[i], failed[i] = n.openGPU(c) }) // a driver takes its time
	}
	wg.Wait()
	for i, d := range started {
		if failed[i] != nil {
			problems = append(problems, failed[i].Error())
			continue
		}
		g.devices = append(g.devices, d)
	}
	g.message = strings.Join(problems, "; ")
	for _, p := range problems {
		n.config.Logger.Warn("a GPU is not used, or not as it was said", "why", p)
	}
	if len(g.devices) == 0 {
		g.state = openapi.GPUNoDevice
		return nil
	}
	g.state = openapi.GPUReady
	n.pin()
	return nil
}

// quiet names why the machine has no GPU that can be used.
func quiet(err error) string {
	switch {
	case errors.Is(err, cuda.ErrNoLibrary):
		return openapi.GPUNoLibrary
	case errors.Is(err, cuda.ErrNoDevice):
		return openapi.GPUNoDevice
	}
	return openapi.GPUNoDriver // or one that does not work
}

// choice is a GPU and its budget.
type choice struct {
	*cuda.Device
	budget int64
}

// choose returns the GPUs that the configuration names, and what is not as it says.
func choose(c Config, there []*cuda.Device) (chosen []choice, problems []string) {
	rest := int64(0) // budget of every GPU without one of its own
	named := map[cuda.UUID]int64{}
	for _, b := range c.GPU {
		if b.UUID == "" {
			rest = b.Bytes
			continue
		}
		u, err := cuda.ParseUUID(b.UUID)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		named[u] = b.Bytes
	}
	for _, d := range there {
		budget, ok := named[d.UUID()]
		delete(named, d.UUID())
		if !ok {
			budget = rest
		}
		if budget == 0 {
			continue
		}
		most := d.TotalMemory() - c.GPUHeadroom
		if most <= 0 {
			problems = append(problems, fmt.Sprintf("%s has %d bytes of memory, and %d are to be left to others", d.UUID(), d.TotalMemory(), c.GPUHeadroom))
			continue
		}
		if budget > most {
			problems = append(problems, fmt.Sprintf("%s has a budget of %d bytes instead of %d: that is what it has less what is left to others", d.UUID(), most, budget))
		}
		chosen = append(chosen, choice{d, min(budget, most)})
	}
	for u := range named {
		problems = append(problems, fmt.Sprintf("there is no GPU %s on this machine", u))
	}
	return chosen, problems
}

// openGPU starts what works for one GPU.
func (n *Node) openGPU(c choice) (*device, error) {
	command := n.config.MoverCommand
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the program of the mover: %w", err)
		}
		command = []string{self, "mover"}
	}
	uuid := c.UUID().String()
	d := &device{uuid: uuid, total: c.TotalMemory(), now: time.Now}
	var err error
	d.mover, err = mover.Start(mover.Config{
		Command: command, UUID: c.UUID(), Logger: n.config.Logger, Segment: n.ram.SegmentFile,
		Restarted: func() { n.gpus.herald.state(uuid, "it works again", true) },
		Failed:    d.failed(n.gpus.herald),
	})
	if err != nil {
		return nil, err
	}
	d.Device = gpu.New(gpu.Config{
		UUID: uuid, Name: c.Name(), Budget: c.budget, Headroom: n.config.GPUHeadroom, Slice: n.config.GPUSlice,
		Memory: c.Device, Bus: bus{d.mover, n.gpus.herald}, Logger: n.config.Logger, Event: n.gpus.herald.event,
	})
	return d, nil
}

// pin has the RAM pinned for the GPUs in the background.
func (n *Node) pin() {
	movers := make([]*mover.Mover, 0, len(n.gpus.devices))
	for _, d := range n.gpus.devices {
		movers = append(movers, d.mover)
	}
	n.gpus.pins = mover.PinAll(n.ram, movers, n.config.Logger)
}

// close ends everything. Clients keep what they have mapped.
func (g *gpus) close() error {
	if g.pins != nil {
		g.pins.Close()
	}
	var errs []error
	for _, d := range g.devices {
		d.Close()
		errs = append(errs, d.mover.Close())
		d.asks.Wait()
	}
	return errors.Join(errs...)
}

// device is a GPU in the words of package node.
type device struct {
	*gpu.Device
	mover *mover.Mover
	uuid  string
	total int64
	now   func() time.Time
	facts facts
	asks  sync.WaitGroup // of who asks the driver
}

func (d *device) Lease(ctx context.Context, v gpu.Version, t gpu.Terms) (node.Mapping, error) {
	l, err := d.Device.Lease(ctx, v, t)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// failed returns what to do when the GPU does not work and a new mover did not help.
// If it is the driver that says so, what was on the GPU is gone; the end of a process
// says nothing of the memory.
func (d *device) failed(h *herald) func(error) {
	return func(err error) {
		var said *cuda.Error
		if errors.As(err, &said) {
			h.tell(func(*node.Node) { d.Failed(err) })
		}
		h.state(d.uuid, "it does not work: "+err.Error(), false)
	}
}

// bus is a mover whose bytes are counted.
type bus struct {
	*mover.Mover
	herald *herald
}

func (b bus) Copy(ctx context.Context, list []mover.Copy, progress func(bytes int64)) (mover.Moved, error) {
	moved, err := b.Mover.Copy(ctx, list, progress)
	b.herald.moved(moved)
	return moved, err
}

// herald tells the engine what happens on GPUs, which are open before it.
type herald struct {
	opened chan struct{} // closed when engine is set
	engine *node.Node
}

func newHerald() *herald { return &herald{opened: make(chan struct{})} }

func (h *herald) open(n *node.Node) {
	h.engine = n
	close(h.opened)
}

// tell does not wait for the engine: before that is open, nothing happens that
// matters to it.
func (h *herald) tell(what func(*node.Node)) {
	select {
	case <-h.opened:
		what(h.engine)
	default:
	}
}

func (h *herald) event(k ledger.Key, e openapi.NodeEvent) {
	h.tell(func(n *node.Node) { n.GPUEvent(k, e) })
}

func (h *herald) state(uuid, message string, works bool) {
	h.tell(func(n *node.Node) { n.GPUState(uuid, message, works) })
}

func (h *herald) moved(m mover.Moved) {
	h.tell(func(n *node.Node) { n.GPUMoved(m.Uploaded, m.DeviceCopied) })
}
