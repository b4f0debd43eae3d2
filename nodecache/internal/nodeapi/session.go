package nodeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// errGone reports a client that has closed the connection, or cannot be told
// anything.
var errGone = errors.New("the client is gone")

// session is one connection of a lease.
type session struct {
	api  *API
	conn *leaseconn.Conn[openapi.LeaseFrame]
	pid  int

	ctx    context.Context // until the client or the node ends the lease
	cancel context.CancelCauseFunc
	stop   func() bool   // undoes the watch of API.ctx
	heard  chan struct{} // closed when nobody listens to the client any more; nil before

	// take does what a frame of the client says once there is a lease. What it returns
	// ends the lease.
	take func(openapi.LeaseFrame) error
	news chan progress // of the version that the client waits for; the newest only

	held    Held          // what to release in the end; nil for nothing
	lease   Lease         // written before granted is closed
	granted chan struct{} // closed when a window gives tensors, which the client acknowledges
	sent    map[uint64]bool
}

func newSession(a *API, conn *leaseconn.Conn[openapi.LeaseFrame]) *session {
	s := &session{
		api: a, conn: conn, pid: conn.Process(), news: make(chan progress, 1),
		granted: make(chan struct{}), sent: map[uint64]bool{},
	}
	s.take = s.ack
	s.ctx, s.cancel = context.WithCancelCause(a.ctx)
	s.stop = context.AfterFunc(a.ctx, func() { _ = conn.Close() }) // ends reads and writes
	return s
}

// end closes the connection, waits for who listens to it, and releases what the
// client had.
func (s *session) end() {
	s.cancel(errGone)
	s.stop()
	_ = s.conn.Close() // whoever reads gets what was sent
	if s.heard != nil {
		<-s.heard
	}
	if s.held != nil {
		s.held.Release()
	}
}

// run takes the first frame and does what it says.
func (s *session) run() error {
	f, files, err := s.conn.Read()
	if err != nil {
		return s.unread(err)
	}
	_ = s.conn.SetReadDeadline(time.Time{}) // as in serveLease
	switch {
	case f.Type == openapi.FrameDeclare && f.Declare != nil:
		return s.declare(f.Declare, files)
	case f.Type == openapi.FrameLease && f.Lease != nil && len(files) == 0 && f.Lease.Tier == openapi.TierGPU:
		return s.grantGPU(f.Lease)
	case f.Type == openapi.FrameLease && f.Lease != nil && len(files) == 0:
		return s.grant(f.Lease)
	}
	leaseconn.CloseAll(files)
	return openapi.Errorf(openapi.CodeBadRequest, "first frame %.40q: want %s or %s, with what it is named for", f.Type,
		openapi.FrameLease, openapi.FrameDeclare)
}

// unread says what a frame that could not be read means.
func (s *session) unread(err error) error {
	switch {
	case errors.Is(err, leaseconn.ErrFrame):
		return openapi.Errorf(openapi.CodeBadRequest, "%v", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return openapi.Errorf(openapi.CodeBadRequest, "no whole first frame within %v", firstFrameTime)
	case errors.Is(err, io.EOF):
		return errGone
	}
	return fmt.Errorf("%w: %w", errGone, err)
}

// listen hears the client until it goes away, or says what it may not.
func (s *session) listen() {
	s.heard = make(chan struct{})
	go func() {
		defer close(s.heard)
		for s.ctx.Err() == nil {
			f, files, err := s.conn.Read()
			leaseconn.CloseAll(files)
			if err != nil {
				err = s.unread(err)
			} else {
				err = s.take(f)
			}
			if err != nil {
				s.cancel(err)
			}
		}
	}()
}

// ack takes what the client may say of a lease of tensors in RAM.
func (s *session) ack(f openapi.LeaseFrame) error {
	if f.Type != openapi.FrameAck || !s.sliding() {
		return outOfTurn(f)
	}
	s.lease.Ack()
	return nil
}

// outOfTurn refuses a frame that a client may not send, or not now.
func outOfTurn(f openapi.LeaseFrame) error {
	return openapi.Errorf(openapi.CodeBadRequest, "frame %.40q: the agent did not ask for it", f.Type)
}

// sliding reports whether the client may acknowledge tensors.
func (s *session) sliding() bool {
	select {
	case <-s.granted:
		return true
	default:
		return false
	}
}

// tell tells the client why its lease ends, if it still can be told.
func (s *session) tell(err error) {
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, errGone) || s.api.ctx.Err() != nil {
		return
	}
	e := s.api.told(s.ctx, "lease", err)
	if err := s.write(openapi.LeaseFrame{Type: openapi.FrameError, Error: e}); err != nil {
		s.api.logger.Debug("lease client was not told", "pid", s.pid, "told", e, "error", err)
	}
}

// write sends a frame. A client that does not take it is as good as gone.
func (s *session) write(f openapi.LeaseFrame, files ...*os.File) error {
	err := s.conn.Write(f, files...)
	if errors.Is(err, leaseconn.ErrFrame) {
		return openapi.Errorf(openapi.CodeTooLarge, "%v", err)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.api.logger.Warn("lease ends: its client does not read", "pid", s.pid)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// follow tells the client of new versions until the lease ends.
func (s *session) follow(ref string, h Held) error {
	moved := h.Moved()
	for {
		select {
		case to, ok := <-moved:
			if !ok {
				moved = nil
				continue
			}
			f := openapi.LeaseFrame{Type: openapi.FrameMoved, Ref: ref, Version: to.Version.String(), Patch: to.Patch}
			if err := s.write(f); err != nil {
				return err
			}
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}
