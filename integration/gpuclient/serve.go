package gpuclient

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// serve does what the agent says until the connection ends.
func (l *Lease) serve() {
	defer close(l.done)
	for {
		f, files, err := l.conn.Read()
		if err == nil {
			err = l.obey(f, files)
			leaseconn.CloseAll(files)
		}
		if err != nil {
			_ = l.conn.Close() // whatever it was, it has ended
			l.change(func() {
				l.err = fmt.Errorf("%w: %w", ErrEnded, err)
				l.state.Error = l.err.Error()
			})
			return
		}
	}
}

// obey does what a frame says. The descriptors are closed by the caller.
func (l *Lease) obey(f openapi.LeaseFrame, files []*os.File) error {
	if len(files) != len(f.Slabs) {
		return fmt.Errorf("frame %s: %d descriptors for %d slabs: %w", f.Type, len(files), len(f.Slabs), ErrRules)
	}
	l.mu.Lock()
	void := l.void > 0
	l.mu.Unlock()
	if void && f.Type != openapi.FrameDetached && f.Type != openapi.FrameError {
		return nil
	}
	switch f.Type {
	case openapi.FrameDetached:
		if !void {
			return fmt.Errorf("an answer to what nobody has sent: %w", ErrRules)
		}
		l.change(func() { l.void-- })
		return nil
	case openapi.FrameWaiting:
		l.change(func() { l.state.Waiting++ })
		return nil
	case openapi.FrameSlabs:
		return l.slabs(f.Slabs, files)
	case openapi.FrameImage:
		return l.newImage(f)
	case openapi.FramePause:
		return l.asked(f)
	case openapi.FrameLost:
		return l.lost(f.Error)
	case openapi.FrameDenied:
		l.change(func() { l.state.Denied++; l.state.Refusal = said(f.Error) })
		return nil
	case openapi.FrameMoved:
		l.change(func() { l.state.Moved = f.Version })
		return nil
	case openapi.FrameError:
		if f.Error == nil {
			return fmt.Errorf("an error that says nothing: %w", ErrRules)
		}
		return f.Error
	}
	return fmt.Errorf("frame %q: %w", f.Type, ErrRules)
}

func said(e *openapi.Error) string {
	if e == nil {
		return ""
	}
	return e.Error()
}

// slabs imports what came. The context is that of the device that was asked for,
// or of the only one, as no image has said yet which it is.
func (l *Lease) slabs(slabs []openapi.LeaseSlab, files []*os.File) error {
	if err := l.begin(); err != nil {
		return err
	}
	for i, s := range slabs {
		if err := l.image.take(s, files[i]); err != nil {
			return err
		}
	}
	l.arrived += len(slabs)
	l.change(func() { l.state.Slabs += len(slabs) })
	return nil
}

// begin opens the device before the first image.
func (l *Lease) begin() error {
	if l.image != nil {
		return nil
	}
	device, err := l.find(l.o.Request.Device)
	if err != nil {
		return err
	}
	context, err := device.Retain()
	if err == nil {
		l.device, l.image = device, newMapped(device, context)
	}
	return err
}

func (l *Lease) find(uuid string) (*cuda.Device, error) {
	if uuid == "" {
		return l.o.Driver.Devices()[0], nil
	}
	u, err := cuda.ParseUUID(uuid)
	if err != nil {
		return nil, err
	}
	return l.o.Driver.Device(u)
}

// newImage maps an image and has it looked at.
func (l *Lease) newImage(f openapi.LeaseFrame) error {
	if err := l.begin(); err != nil {
		return err
	}
	if f.Image == nil || f.Image.Device != l.device.UUID().String() {
		return fmt.Errorf("image %+v for %s: %w", f.Image, l.device.UUID(), ErrRules)
	}
	if f.ID > l.last && !l.keeps(f.ID) {
		return fmt.Errorf("image for pause %d, and the last was %d: %w", f.ID, l.last, ErrRules)
	}
	l.use.Lock()
	defer l.use.Unlock()
	if err := l.image.show(f.Image); err != nil {
		return err
	}
	view := &View{Image: f.Image, image: l.image}
	if l.o.Check != nil {
		if err := l.o.Check(view); err != nil {
			return err
		}
	}
	l.view, l.pause = view, 0
	l.change(func() {
		l.state.Images++
		l.state.Imported, l.arrived = l.arrived, 0
		l.state.Version, l.state.Address, l.state.Paused = f.Image.Version.String(), l.image.address(), false
	})
	return nil
}

// keeps reports whether a pause was asked for that the client has kept to itself.
func (l *Lease) keeps(pause uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.unasked, func(p openapi.LeasePause) bool { return p.ID == pause })
}

// asked answers a request to pause, or keeps it.
func (l *Lease) asked(f openapi.LeaseFrame) error {
	if f.Pause == nil || f.Pause.ID == 0 || f.Pause.Deadline <= 0 {
		return fmt.Errorf("pause %+v: %w", f.Pause, ErrRules)
	}
	deaf := false
	l.change(func() {
		l.state.Pauses++
		l.state.Reason, l.state.Unmapped = f.Pause.Reason, len(f.Pause.Unmap)
		if deaf = l.deaf; deaf {
			l.unasked = append(l.unasked, *f.Pause)
		}
	})
	if deaf {
		return nil
	}
	return l.paused(*f.Pause)
}

// paused stops, unmaps what it is asked to, and says so.
func (l *Lease) paused(p openapi.LeasePause) error {
	l.use.Lock()
	err := l.stop(p)
	l.use.Unlock()
	if err != nil {
		return err
	}
	l.write.Lock() // before whoever sees that it has paused asks for more
	defer l.write.Unlock()
	l.change(func() { l.state.Paused, l.state.Version = true, "" })
	return l.conn.Write(openapi.LeaseFrame{Type: openapi.FramePaused, ID: p.ID})
}

// stop ends the use of the image. l.use is held.
func (l *Lease) stop(p openapi.LeasePause) error {
	l.last = max(l.last, p.ID)
	if p.Reason != openapi.PauseSwap && p.Reason != openapi.PauseRoom {
		return fmt.Errorf("pause for %q: %w", p.Reason, ErrRules)
	}
	switch {
	case l.view == nil && l.pause == 0:
		return nil // it has let go by itself in the meantime
	case l.view == nil:
		l.pause = p.ID // it has stopped for another, which nobody waits for any more
		return l.image.hide(l.image.mappedOf(p.Unmap))
	case p.Reason == openapi.PauseRoom && len(p.Unmap) != len(l.view.Image.Slabs):
		return fmt.Errorf("pause for room that leaves %d of %d slabs: %w", len(l.view.Image.Slabs)-len(p.Unmap), len(l.view.Image.Slabs), ErrRules)
	}
	l.view, l.pause = nil, p.ID
	return l.image.hide(p.Unmap)
}

// lost unmaps an image that is gone.
func (l *Lease) lost(why *openapi.Error) error {
	if why == nil {
		return fmt.Errorf("an image that is lost for no reason: %w", ErrRules)
	}
	l.use.Lock()
	defer l.use.Unlock()
	err := l.park()
	l.change(func() { l.state.Lost++; l.state.Refusal = said(why); l.state.Paused = false })
	return err
}

// park unmaps everything. l.use is held.
func (l *Lease) park() error {
	l.view, l.pause = nil, 0
	l.change(func() { l.state.Version = "" })
	if l.image == nil {
		return nil
	}
	return l.image.clear()
}

// drop gives everything back when the lease has ended.
func (l *Lease) drop() error {
	l.use.Lock()
	defer l.use.Unlock()
	err := l.park()
	if l.image != nil {
		err = errors.Join(err, l.image.close())
		l.image = nil
	}
	return err
}
