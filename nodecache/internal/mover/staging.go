package mover

import (
	"runtime"
	"sync"

	"github.com/ingot-ml/ingot/cuda"
)

// slots is how many parts the staging ring has: while the device reads some, the
// processor fills the next.
const slots = 8

// staging is a ring of pinned memory that bytes go through which are not pinned
// themselves. It is made when it is needed first.
type staging struct {
	engine *engine
	size   int64 // wanted

	slots []slot
	slot  int   // that is filled
	at    int64 // how far it is
}

// slot is part of the ring.
type slot struct {
	memory []byte
	event  cuda.Event
	set    bool // the device may read the memory until the event comes
}

// open makes the ring.
func (s *staging) open() error {
	if s.slots != nil {
		return nil
	}
	const page = 64 << 10 // of any machine
	each := max(s.size/slots/page, 1) * page
	memory, err := mapMemory(each * slots)
	if err != nil {
		return err
	}
	if err := s.engine.bound.Register(memory, cuda.RegisterPortable); err != nil {
		return undone(err, unmap(memory))
	}
	ring := make([]slot, slots)
	for i := range ring {
		event, err := s.engine.bound.NewEvent()
		if err != nil {
			return s.undo(err, ring[:i], memory)
		}
		ring[i] = slot{memory: memory[int64(i)*each : int64(i+1)*each : int64(i+1)*each], event: event}
	}
	s.slots, s.slot, s.at = ring, 0, 0
	return nil
}

// undo gives back what open had when it failed.
func (s *staging) undo(err error, ring []slot, memory []byte) error {
	for _, r := range ring {
		err = undone(err, s.engine.bound.DestroyEvent(r.event))
	}
	if also := s.engine.bound.Unregister(memory); also != nil {
		return undone(err, also)
	}
	return undone(err, unmap(memory))
}

// copy copies what fits of the beginning of a copy, all of it from memory that is not
// pinned.
func (s *staging) copy(c Copy) (int64, error) {
	if err := s.open(); err != nil {
		return 0, err
	}
	memory, err := s.room()
	if err != nil {
		return 0, err
	}
	n, err := s.fill(memory, c)
	if err != nil || n == 0 {
		return 0, err
	}
	err = s.engine.give(c.Slab, c.Offset, n, func(at cuda.Ptr, _ uint64) error {
		return s.engine.bound.HtoD(at, memory[:n], s.engine.device.stream)
	})
	if err != nil {
		return 0, err
	}
	s.at += (n + 255) &^ 255
	return n, s.close()
}

// room returns what is free of the slot that is filled.
func (s *staging) room() ([]byte, error) {
	r := &s.slots[s.slot]
	if r.set {
		if err := s.engine.bound.SynchronizeEvent(r.event); err != nil {
			return nil, err
		}
		r.set = false
	}
	return r.memory[s.at:], nil
}

// fill reads the beginning of a copy.
func (s *staging) fill(memory []byte, c Copy) (int64, error) {
	d := s.engine.device
	d.mu.Lock()
	g, err := d.source(c)
	if err != nil {
		d.mu.Unlock()
		return 0, err
	}
	n, _ := g.here(c.At, min(c.Length, int64(len(memory))))
	g.use.RLock() // under d.mu: whoever unmaps it has not begun
	d.mu.Unlock()
	defer g.use.RUnlock()
	copyBytes(memory[:n], g.data[c.At:c.At+n])
	return n, nil
}

// close goes to the next slot when one is full.
func (s *staging) close() error {
	r := &s.slots[s.slot]
	if s.at < int64(len(r.memory)) {
		return nil
	}
	if err := s.engine.bound.Record(r.event, s.engine.device.stream); err != nil {
		return err
	}
	r.set = true
	s.slot, s.at = (s.slot+1)%len(s.slots), 0
	return nil
}

// settled says that the device reads none of it.
func (s *staging) settled() {
	for i := range s.slots {
		s.slots[i].set = false
	}
	s.at = 0
}

// copyBytes copies with as many processors as help: one alone does not fill the bus.
func copyBytes(dst, src []byte) {
	const least, most = 2 << 20, 4
	parts := min(len(src)/least, most, runtime.GOMAXPROCS(0))
	if parts < 2 {
		copy(dst, src)
		return
	}
	var all sync.WaitGroup
	each := (len(src)/parts + 63) &^ 63
	for from := 0; from < len(src); from += each {
		to := min(from+each, len(src))
		all.Go(func() { copy(dst[from:to], src[from:to]) })
	}
	all.Wait()
}
