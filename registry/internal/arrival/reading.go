package arrival

import (
	"context"
	"io"
	"sync"
)

// Started returns nil once the other side has begun to send, or why it will not.
func (a *Arrival) Started(ctx context.Context) error {
	return a.until(ctx, func() bool { return a.started })
}

// Proven returns nil once all bytes are here and right, or why they are not.
func (a *Arrival) Proven(ctx context.Context) error {
	return a.until(ctx, func() bool { return a.proven })
}

// until waits for what is, which it asks under mu.
func (a *Arrival) until(ctx context.Context, is func() bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !is() {
		if a.err != nil {
			return a.err
		}
		if err := a.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Read returns a reader of the file; false when the Arrival is closed. The caller
// closes it.
func (a *Arrival) Read() (*Reader, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return nil, false
	}
	a.readers++
	return &Reader{arrival: a}, true
}

// Close has the room given back when the last reader is closed. Run has returned.
func (a *Arrival) Close() error {
	a.mu.Lock()
	if !a.proven && a.err == nil {
		a.err = errUnfinished
		a.tell()
	}
	last := !a.closing && a.readers == 0
	a.closing = true
	a.mu.Unlock()
	if !last {
		return nil
	}
	return a.config.Room.Close()
}

// Reader reads a file on its way. It is a stream.Content.
type Reader struct {
	arrival *Arrival
	once    sync.Once
}

// Size implements stream.Content.
func (r *Reader) Size() int64 { return r.arrival.config.Size }

// Close implements stream.Content.
func (r *Reader) Close() error {
	var err error
	r.once.Do(func() {
		a := r.arrival
		a.mu.Lock()
		a.readers--
		last := a.closing && a.readers == 0
		a.mu.Unlock()
		if last {
			err = a.config.Room.Close()
		}
	})
	return err
}

// pieces are buffers of readers.
var pieces = sync.Pool{New: func() any { return new([piece]byte) }}

// Send implements stream.Content.
func (r *Reader) Send(ctx context.Context, w io.Writer, offset, n int64) error {
	buf := pieces.Get().(*[piece]byte)
	defer pieces.Put(buf)
	for n > 0 {
		end, err := r.arrival.await(ctx, offset)
		if err != nil {
			return err
		}
		b := buf[:min(end-offset, n, piece)]
		if _, err := r.arrival.config.Room.ReadAt(b, offset); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		offset += int64(len(b))
		n -= int64(len(b))
	}
	return nil
}

// await waits for the byte at offset, and returns up to where there are more.
func (a *Arrival) await(ctx context.Context, offset int64) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	registered := false
	for {
		if a.err != nil {
			return 0, a.err
		}
		end := a.here.gap(offset)
		if end == a.config.Size && !a.proven {
			end-- // the last byte says that all were right
		}
		if end > offset {
			return end, nil
		}
		if !registered {
			registered = true
			a.waiting[offset]++
			defer a.gone(offset)
			a.tell()
		}
		if err := a.wait(ctx); err != nil {
			return 0, err
		}
	}
}

// gone forgets a reader that waited. The caller holds mu.
func (a *Arrival) gone(offset int64) {
	if a.waiting[offset]--; a.waiting[offset] == 0 {
		delete(a.waiting, offset)
	}
}

// wait waits for a change. The caller holds mu, and holds it again afterwards.
func (a *Arrival) wait(ctx context.Context) error {
	changed := a.changed
	a.mu.Unlock()
	defer a.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
