package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// scheduleBlocking makes a thread that waits for the device sleep.
const scheduleBlocking = 4

// Context is the primary context of a device, as long as the process uses it.
type Context struct {
	device  *Device
	address uintptr

	mu     sync.Mutex
	users  int  // calls of With that run
	closed bool // no more of them may begin
	idle   sync.Cond
}

// Retain takes the device's primary context for this process, which Close gives back.
func (v *Device) Retain() (*Context, error) {
	d := v.driver
	err := d.call(cuPrimaryCtxSetFlags, uintptr(v.handle), scheduleBlocking)
	if err != nil && !bearable(err) {
		return nil, err
	}
	address, err := d.out64(cuPrimaryCtxRetain, uintptr(v.handle))
	if err != nil {
		return nil, err
	}
	c := &Context{device: v, address: uintptr(address)}
	c.idle.L = &c.mu
	return c, nil
}

// bearable tells that the flags of the context cannot be set, which costs a core
// while something waits and nothing else: the driver has no such call, or somebody in
// this process has the context already and the driver is old.
func bearable(err error) bool {
	var refused *Error
	return errors.Is(err, ErrUnsupported) || errors.As(err, &refused) && refused.Code == PrimaryContextActive
}

// Device returns the device that the context is of.
func (c *Context) Device() *Device { return c.device }

// With calls f with the context current on an OS thread, which f has for itself
// until it returns. Within one f, With of another context may be called: until that
// returns, the outer Bound refuses.
func (c *Context) With(f func(*Bound) error) (err error) {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := &Bound{context: c, driver: c.device.driver, thread: threadID()}
	outer := bind(b)
	defer func() {
		bindAgain(b, outer)
		if e := c.current(outer); err == nil {
			err = e
		}
	}()
	if err := c.current(b); err != nil {
		return err
	}
	b.live.Store(true)
	return f(b)
}

// current makes the context of b current on this thread, none if b is nil. A thread
// is never left with a context: what would then work on it by luck, is refused.
func (c *Context) current(b *Bound) error {
	var address uintptr
	if b != nil {
		address = b.context.address
	}
	return c.device.driver.call(cuCtxSetCurrent, address)
}

// Close gives the context back, when the calls of With that run have returned. The
// second time it does nothing.
func (c *Context) Close() error {
	if holds(threadID(), c) {
		return fmt.Errorf("close the context of %s: it is in use by the caller", c.device.uuid)
	}
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	for c.users > 0 {
		c.idle.Wait()
	}
	c.mu.Unlock()
	if !first {
		return nil
	}
	return c.device.driver.call(cuPrimaryCtxRelease, uintptr(c.device.handle))
}

func (c *Context) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("%s: %w", c.device.uuid, ErrClosed)
	}
	c.users++
	return nil
}

func (c *Context) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	if c.users == 0 {
		c.idle.Broadcast()
	}
}
