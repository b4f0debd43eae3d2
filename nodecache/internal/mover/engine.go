package mover

import (
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/cuda"
)

const (
	// A fence stands in the stream behind so many copies, or bytes, and so many of them
	// may be ahead: enough for the device never to wait, and little enough for who
	// wants something to end.
	fenceBytes  = 64 << 20
	fenceCopies = 256
	fences      = 4
)

// engine gives the stream its work. It belongs to the thread that does jobs.
type engine struct {
	device  *device
	bound   *cuda.Bound
	staging *staging
	summer  *summer

	fences []fence // ring; the next to use is the oldest
	next   int
	bytes  int64 // since the last fence
	copies int   // since the last fence

	moved    Moved
	began    time.Time
	arrived  int64
	progress func(int64)
}

// fence is a mark in the stream.
type fence struct {
	event cuda.Event
	set   bool   // and not waited for
	given uint64 // work before it
	bytes int64  // between it and the one before
}

func newEngine(d *device, b *cuda.Bound) (*engine, error) {
	e := &engine{device: d, bound: b, fences: make([]fence, fences)}
	e.staging = &staging{engine: e, size: d.options.Staging}
	for i := range e.fences {
		var err error
		if e.fences[i].event, err = b.NewEvent(); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// begin begins a list of copies.
func (e *engine) begin(progress func(int64)) {
	e.moved, e.began, e.arrived, e.progress = Moved{}, time.Now(), 0, progress
}

// finish returns what a list of copies came to.
func (e *engine) finish() *Moved {
	e.moved.Elapsed = time.Since(e.began)
	return &e.moved
}

// copy gives the stream one copy, in as many parts as it takes.
func (e *engine) copy(c Copy) error {
	switch c.From {
	case FromMemory:
		return e.upload(c)
	case FromSlab:
		return e.within(c)
	}
	return e.zero(c)
}

// give calls f, which puts work of n bytes in the stream, while nothing that it uses
// can be taken away. where is the slab that it writes, at offset.
func (e *engine) give(slab uint64, offset, n int64, f func(at cuda.Ptr, given uint64) error) error {
	d := e.device
	d.mu.Lock()
	err := func() error {
		s := d.slabs[slab]
		if s == nil || !within(offset, n, s.size) {
			return fmt.Errorf("write %d bytes at %d of slab %d: %w", n, offset, slab, ErrUnknown)
		}
		given := d.given + 1
		if err := f(s.at+cuda.Ptr(offset), given); err != nil {
			return err
		}
		d.given, s.last = given, given
		return nil
	}()
	d.mu.Unlock()
	if err != nil {
		return err
	}
	e.bytes += n
	e.copies++
	if e.bytes >= fenceBytes || e.copies >= fenceCopies {
		return e.fence()
	}
	return nil
}

// zero clears part of a slab.
func (e *engine) zero(c Copy) error {
	err := e.give(c.Slab, c.Offset, c.Length, func(at cuda.Ptr, _ uint64) error {
		return e.bound.Memset(at, 0, c.Length, e.device.stream)
	})
	if err == nil {
		e.moved.Zeroed += c.Length
	}
	return err
}

// within copies from slab to slab.
func (e *engine) within(c Copy) error {
	d := e.device
	err := e.give(c.Slab, c.Offset, c.Length, func(at cuda.Ptr, given uint64) error {
		s := d.slabs[c.Source]
		if s == nil || !within(c.At, c.Length, s.size) || c.Source == c.Slab && c.At < c.Offset+c.Length && c.Offset < c.At+c.Length {
			return fmt.Errorf("read %d bytes at %d of slab %d: %w", c.Length, c.At, c.Source, ErrUnknown)
		}
		if err := e.bound.DtoD(at, s.at+cuda.Ptr(c.At), c.Length, d.stream); err != nil {
			return err
		}
		s.last = given
		return nil
	})
	if err == nil {
		e.moved.DeviceCopied += c.Length
		e.moved.Copies++
	}
	return err
}

// upload copies from memory: each part that is pinned as it is, and what lies between
// through the staging ring.
func (e *engine) upload(c Copy) error {
	for c.Length > 0 {
		n, err := e.direct(c)
		if err == nil && n == 0 {
			n, err = e.staging.copy(c)
			e.moved.Staged += n
		}
		if err != nil {
			return err
		}
		e.moved.Uploaded += n
		e.moved.Copies++
		c.Offset, c.At, c.Length = c.Offset+n, c.At+n, c.Length-n
	}
	return nil
}

// direct copies what is pinned at the beginning of a copy; n is 0 if nothing is.
func (e *engine) direct(c Copy) (n int64, err error) {
	d := e.device
	d.mu.Lock()
	g, err := d.source(c)
	if err != nil {
		d.mu.Unlock()
		return 0, err
	}
	n, pinned := g.here(c.At, c.Length)
	d.mu.Unlock()
	if !pinned {
		return 0, nil
	}
	err = e.give(c.Slab, c.Offset, n, func(at cuda.Ptr, given uint64) error {
		p := g.pin(c.At)
		if p == nil || p.to < c.At+n || d.segments[c.Source] != g {
			return errMoved
		}
		if err := e.bound.HtoD(at, g.data[c.At:c.At+n], d.stream); err != nil {
			return err
		}
		p.last = given
		return nil
	})
	if errors.Is(err, errMoved) {
		return 0, nil
	}
	return n, err
}

// errMoved says that a pin has gone while it was looked at.
var errMoved = errors.New("not pinned any more")

// source returns the segment that a copy reads. d.mu is held.
func (d *device) source(c Copy) (*mapped, error) {
	g := d.segments[c.Source]
	if g == nil || !within(c.At, c.Length, int64(len(g.data))) {
		return nil, fmt.Errorf("read %d bytes at %d of segment %d: %w", c.Length, c.At, c.Source, ErrUnknown)
	}
	return g, nil
}

// pin returns the pin that an offset is in, nil for none. device.mu is held.
func (g *mapped) pin(offset int64) *registered {
	i := g.after(offset)
	if i == 0 || g.pins[i-1].to <= offset {
		return nil
	}
	return g.pins[i-1]
}

// here returns how many of length bytes at offset are of one kind: in one pin, or in
// none. device.mu is held.
func (g *mapped) here(offset, length int64) (n int64, pinned bool) {
	if p := g.pin(offset); p != nil {
		return min(length, p.to-offset), true
	}
	if i := g.after(offset); i < len(g.pins) {
		return min(length, g.pins[i].from-offset), false
	}
	return length, false
}

// fence puts a mark behind what was given, and waits for the oldest if there are
// too many.
func (e *engine) fence() error {
	f := &e.fences[e.next]
	if err := e.pass(f); err != nil {
		return err
	}
	e.device.mu.Lock()
	f.given = e.device.given
	e.device.mu.Unlock()
	if err := e.bound.Record(f.event, e.device.stream); err != nil {
		return err
	}
	f.set, f.bytes = true, e.bytes
	e.next, e.bytes, e.copies = (e.next+1)%len(e.fences), 0, 0
	return nil
}

// pass waits for a fence.
func (e *engine) pass(f *fence) error {
	if !f.set {
		return nil
	}
	if err := e.bound.SynchronizeEvent(f.event); err != nil {
		return err
	}
	f.set = false
	e.device.did(f.given)
	e.arrived += f.bytes
	e.progress(e.arrived)
	return nil
}

// settle waits until the stream is idle, and returns err. Where it cannot be waited
// for, the mover has to end.
func (e *engine) settle(err error) error {
	e.device.mu.Lock()
	given := e.device.given
	e.device.mu.Unlock()
	if idle := e.bound.Synchronize(e.device.stream); idle != nil {
		return errors.Join(err, fmt.Errorf("wait for copies: %w: %w", idle, errState))
	}
	e.device.did(given)
	for i := range e.fences {
		if f := &e.fences[i]; f.set {
			f.set = false
			e.arrived += f.bytes
		}
	}
	e.arrived += e.bytes
	e.bytes, e.copies = 0, 0
	e.staging.settled()
	e.progress(e.arrived)
	return err
}
