package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

var errStalled = errors.New("no byte moved for too long")

// watch ends an exchange in which nothing happens.
type watch struct {
	timer  *time.Timer
	most   time.Duration
	cancel context.CancelCauseFunc
}

// newWatch returns a watch and the context that it ends when nothing has moved
// for most.
func newWatch(ctx context.Context, most time.Duration) (*watch, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(most, func() { cancel(errStalled) })
	return &watch{timer, most, cancel}, ctx
}

// moved reports that something happened.
func (w *watch) moved() { w.timer.Reset(w.most) }

// rest stops the watch while the registry thinks, for which the transport has an
// own limit, and while the caller does something with what it has read.
func (w *watch) rest() { w.timer.Stop() }

// stop ends the watch and its context.
func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// upload is the body of a request. The transport reads and closes it in a
// goroutine of its own, even after an early answer.
type upload struct {
	r      *bytes.Reader
	watch  *watch
	once   sync.Once
	closed chan struct{}
	mu     sync.Mutex // protects r
}

func newUpload(b []byte, w *watch) *upload {
	return &upload{r: bytes.NewReader(b), watch: w, closed: make(chan struct{})}
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := u.r.Read(p)
	if u.r.Len() == 0 {
		u.watch.rest()
	} else {
		u.watch.moved()
	}
	return n, err
}

// Close implements io.Closer.
func (u *upload) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.r.Reset(nil)
	u.once.Do(func() { close(u.closed) })
	return nil
}

// wait ends the exchange and returns when the transport has let go of the bytes.
func (u *upload) wait() {
	u.watch.stop()
	<-u.closed
}

// download is the body of a response. It keeps the first error that is not the
// end.
type download struct {
	r     io.Reader
	watch *watch
	err   error
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	d.watch.moved()
	n, err := d.r.Read(p)
	d.watch.rest()
	if err != nil && !errors.Is(err, io.EOF) && d.err == nil {
		d.err = err
	}
	return n, err
}
