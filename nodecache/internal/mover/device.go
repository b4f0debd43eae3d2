package mover

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/cuda"
)

// Limits of what a mover keeps, far above what an agent needs.
const (
	maxSegments = 1 << 16
	maxSlabs    = 1 << 16
	maxPins     = 1 << 20
)

// device is the GPU, and what the mover knows of memory. Driver calls are made without
// mu, but for those that put work into the stream: what work uses is noted before
// anybody can take it away.
type device struct {
	device  *cuda.Device
	context *cuda.Context
	options Options
	info    Info

	mu       sync.Mutex // protects what follows
	stream   cuda.Stream
	segments map[uint64]*mapped
	slabs    map[uint64]*placed
	pins     int
	given    uint64 // how much work the stream was given
	done     uint64 // how much of it is known to be done
}

// mapped is a segment.
type mapped struct {
	data []byte
	// use is held for reading while the processor reads data, and for writing when it
	// is unmapped. It comes after device.mu.
	use  sync.RWMutex
	pins []*registered // by offset
}

// registered is a part of a segment that is pinned.
type registered struct {
	from, to int64
	last     uint64 // the newest work that uses it
}

// placed is a slab and where it is mapped.
type placed struct {
	at   cuda.Ptr
	size int64
	last uint64 // the newest work that uses it
}

// openDevice opens the driver and a context.
func openDevice(o Options) (*device, error) {
	driver, err := cuda.Open(o.Library)
	if err != nil {
		return nil, err
	}
	gpu, err := driver.Device(o.UUID)
	if err != nil {
		return nil, err
	}
	d := &device{
		device: gpu, options: o, info: Info{Name: gpu.Name(), Total: gpu.TotalMemory()},
		segments: map[uint64]*mapped{}, slabs: map[uint64]*placed{},
	}
	if d.info.Granularity, err = gpu.Granularity(); err != nil {
		return nil, err
	}
	readOnly, err := gpu.Attribute(cuda.ReadOnlyRegister)
	if err != nil {
		return nil, err
	}
	d.info.ReadOnlyRegister = readOnly != 0
	if d.context, err = gpu.Retain(); err != nil {
		return nil, err
	}
	return d, d.context.With(func(b *cuda.Bound) error {
		d.stream, err = b.NewStream()
		return err
	})
}

// wait waits until the stream has done what it had been given when last was.
func (d *device) wait(b *cuda.Bound, last uint64) error {
	d.mu.Lock()
	given, idle := d.given, last <= d.done
	d.mu.Unlock()
	if idle {
		return nil
	}
	event, err := b.NewEvent()
	if err == nil {
		err = errors.Join(b.Record(event, d.stream), b.SynchronizeEvent(event), b.DestroyEvent(event))
	}
	if err != nil {
		return fmt.Errorf("wait for copies: %w: %w", err, errState)
	}
	d.did(given)
	return nil
}

// did notes that the stream has done so much.
func (d *device) did(given uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = max(d.done, given)
}

// addSegment maps a segment.
func (d *device) addSegment(id uint64, size int64, files []*os.File) error {
	d.mu.Lock()
	is, full := d.segments[id] != nil, len(d.segments) >= maxSegments
	d.mu.Unlock()
	if is || full || len(files) != 1 || size <= 0 || size%int64(os.Getpagesize()) != 0 {
		return fmt.Errorf("segment %d of %d bytes with %d descriptors: %w", id, size, len(files), ErrUnknown)
	}
	data, err := mapFile(files[0], size, !d.info.ReadOnlyRegister)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.segments[id] = &mapped{data: data}
	return nil
}

// forget unpins and unmaps a segment.
func (d *device) forget(b *cuda.Bound, id uint64) error {
	d.mu.Lock()
	g := d.segments[id]
	delete(d.segments, id)
	d.mu.Unlock()
	if g == nil {
		return nil // it was never added
	}
	for _, p := range g.pins { // nobody else finds it any more
		if err := d.unregister(b, g, p); err != nil {
			return err
		}
	}
	g.use.Lock()
	defer g.use.Unlock()
	return unmap(g.data)
}

// pin registers a part of a segment.
func (d *device) pin(b *cuda.Bound, id uint64, offset, length int64) error {
	g, err := d.pinnable(id, offset, length)
	if err != nil {
		return err
	}
	flags := cuda.RegisterPortable
	if d.info.ReadOnlyRegister {
		flags |= cuda.RegisterReadOnly
	}
	if err := b.Register(g.data[offset:offset+length], flags); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g.pins = slices.Insert(g.pins, g.after(offset), &registered{from: offset, to: offset + length})
	d.pins++
	return nil
}

// pinnable returns the segment, part of which is to be pinned.
func (d *device) pinnable(id uint64, offset, length int64) (*mapped, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.segments[id]
	page := int64(os.Getpagesize())
	if g == nil || !within(offset, length, int64(len(g.data))) || offset%page != 0 || length%page != 0 || d.pins >= maxPins {
		return nil, fmt.Errorf("pin %d bytes from %d of segment %d: %w", length, offset, id, ErrUnknown)
	}
	i := g.after(offset)
	if i > 0 && g.pins[i-1].to > offset || i < len(g.pins) && g.pins[i].from < offset+length {
		return nil, fmt.Errorf("pin %d bytes from %d of segment %d: some of it is pinned: %w", length, offset, id, ErrUnknown)
	}
	return g, nil
}

// after returns the place of the first pin that begins behind offset. device.mu is
// held.
func (g *mapped) after(offset int64) int {
	i, _ := slices.BinarySearchFunc(g.pins, offset+1, func(p *registered, at int64) int { return int(max(min(p.from-at, 1), -1)) })
	return i
}

// unpin ends what pin began for exactly that part; what is not pinned is left.
func (d *device) unpin(b *cuda.Bound, id uint64, offset, length int64) error {
	d.mu.Lock()
	g := d.segments[id]
	var p *registered
	if g != nil {
		i := slices.IndexFunc(g.pins, func(p *registered) bool { return p.from == offset && p.to-p.from == length })
		if i >= 0 {
			p = g.pins[i]
			g.pins = slices.Delete(g.pins, i, i+1)
		}
	}
	d.mu.Unlock()
	if p == nil {
		return nil
	}
	return d.unregister(b, g, p)
}

// unregister ends a pin that no new work finds any more.
func (d *device) unregister(b *cuda.Bound, g *mapped, p *registered) error {
	if err := d.wait(b, p.last); err != nil {
		return err
	}
	if err := b.Unregister(g.data[p.from:p.to]); err != nil {
		return fmt.Errorf("unpin: %w: %w", err, errState)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pins--
	return nil
}

// addSlab maps a slab at addresses of its own.
func (d *device) addSlab(b *cuda.Bound, id uint64, size int64, files []*os.File) error {
	d.mu.Lock()
	is, full := d.slabs[id] != nil, len(d.slabs) >= maxSlabs
	d.mu.Unlock()
	if is || full || len(files) != 1 || size <= 0 || size > d.info.Total || size%d.info.Granularity != 0 {
		return fmt.Errorf("slab %d of %d bytes with %d descriptors: %w", id, size, len(files), ErrUnknown)
	}
	handle, err := d.device.Import(files[0])
	if err != nil {
		return err
	}
	at, err := d.place(b, size, handle)
	if err := d.device.Release(handle); err != nil { // the mapping holds it now, if there is one
		return fmt.Errorf("slab: %w: %w", err, errState)
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slabs[id] = &placed{at: at, size: size}
	return nil
}

// place maps memory of the device, for this device to read and write.
func (d *device) place(b *cuda.Bound, size int64, handle cuda.Handle) (at cuda.Ptr, err error) {
	at, err = b.Reserve(size, d.info.Granularity)
	if err != nil {
		return 0, err
	}
	if err := b.Map(at, size, handle); err != nil {
		return 0, undone(err, b.FreeAddress(at, size))
	}
	if err := b.SetAccess(at, size, true); err != nil {
		return 0, undone(err, d.displace(b, at, size))
	}
	return at, nil
}

// displace ends what place began.
func (d *device) displace(b *cuda.Bound, at cuda.Ptr, size int64) error {
	if err := b.Unmap(at, size); err != nil {
		return err
	}
	return b.FreeAddress(at, size)
}

// undone returns err, with what went wrong when what was done before it was undone.
func undone(err, also error) error {
	if also == nil {
		return err
	}
	return fmt.Errorf("%w: %w: %w", err, also, errState)
}

// drop unmaps a slab.
func (d *device) drop(b *cuda.Bound, id uint64) error {
	d.mu.Lock()
	s := d.slabs[id]
	delete(d.slabs, id)
	d.mu.Unlock()
	if s == nil {
		return nil // it was never added
	}
	if err := d.wait(b, s.last); err != nil {
		return err
	}
	if err := d.displace(b, s.at, s.size); err != nil {
		return fmt.Errorf("drop slab %d: %w: %w", id, err, errState)
	}
	return nil
}
