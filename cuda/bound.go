package cuda

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Ptr is an address in the memory of a device.
type Ptr uint64

// Bound is a context on the OS thread where it is current. It is good only inside of
// the With that made it; everywhere else its methods fail with ErrUnbound.
type Bound struct {
	context *Context
	driver  *Driver
	thread  int
	live    atomic.Bool
}

// bounds is which Bound each OS thread has now.
var bounds struct {
	sync.Mutex
	by map[int]*Bound
}

// bind makes b its thread's, and returns the one that was.
func bind(b *Bound) (outer *Bound) {
	bounds.Lock()
	defer bounds.Unlock()
	if bounds.by == nil {
		bounds.by = map[int]*Bound{}
	}
	outer = bounds.by[b.thread]
	bounds.by[b.thread] = b
	if outer != nil {
		outer.live.Store(false)
	}
	return outer
}

// bindAgain ends b, and makes the one before it its thread's.
func bindAgain(b, outer *Bound) {
	b.live.Store(false)
	bounds.Lock()
	defer bounds.Unlock()
	if outer == nil {
		delete(bounds.by, b.thread)
		return
	}
	bounds.by[b.thread] = outer
	outer.live.Store(true)
}

// holds tells whether a thread is inside of a With of that context.
func holds(thread int, c *Context) bool {
	bounds.Lock()
	defer bounds.Unlock()
	b := bounds.by[thread]
	return b != nil && b.context == c
}

// ready tells that calls may be made from here.
func (b *Bound) ready(s symbol) error {
	if !b.live.Load() || threadID() != b.thread {
		return fmt.Errorf("%s: %w", symbols[s], ErrUnbound)
	}
	return nil
}

// call calls a function that takes no addresses of Go's memory.
func (b *Bound) call(s symbol, args ...uintptr) error {
	if err := b.ready(s); err != nil {
		return err
	}
	return b.driver.call(s, args...)
}

// sized is call for a function that works on n bytes. The driver would take a
// negative number for a huge one.
func (b *Bound) sized(s symbol, n int64, args ...uintptr) error {
	if err := b.fit(s, n); err != nil {
		return err
	}
	return b.driver.call(s, args...)
}

// fit tells that a function may be called for n bytes.
func (b *Bound) fit(s symbol, n int64) error {
	if err := b.ready(s); err != nil {
		return err
	}
	if n <= 0 {
		return b.driver.refuse(s, InvalidValue)
	}
	return nil
}

// SynchronizeContext waits for all that the process has asked of the device.
func (b *Bound) SynchronizeContext() error { return b.call(cuCtxSynchronize) }
