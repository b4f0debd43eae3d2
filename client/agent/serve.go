package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// How long to wait before an agent that is gone is looked for again: at first,
// and at most. A restart takes less than a second.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// declareTime bounds how long an agent takes to hold what is declared to it.
const declareTime = time.Minute

// serve follows the lease's connection until Close, and declares the lease to the
// next agent when one goes away.
func (l *Lease) serve(conn *leaseconn.Conn[openapi.LeaseFrame]) {
	defer close(l.ended)
	defer close(l.moved)
	for conn != nil {
		err := l.follow(conn)
		if l.ctx.Err() != nil {
			return
		}
		if isOwn(err) || !l.whole() {
			l.fail(l.lost(err))
			return
		}
		if conn, err = l.declare(); err != nil {
			l.fail(l.lost(err))
			return
		}
	}
}

// follow takes frames until the connection ends.
func (l *Lease) follow(conn *leaseconn.Conn[openapi.LeaseFrame]) error {
	stop := context.AfterFunc(l.ctx, func() { _ = conn.Close() }) // ends the lease
	defer func() {
		stop()
		_ = conn.Close() // of no use any more
	}()
	for {
		f, files, err := conn.Read()
		if err != nil {
			return err
		}
		if err := l.take(f, files); err != nil {
			return err
		}
	}
}

// lost says of what an error is.
func (l *Lease) lost(err error) error {
	if isOwn(err) {
		return err
	}
	return fmt.Errorf("lease %s: agent %s: %w: %w", l.Ref(), l.agent.address, ErrLost, err)
}

// declare tries to have the next agent hold the lease, until one does or refuses,
// or the lease is closed.
func (l *Lease) declare() (*leaseconn.Conn[openapi.LeaseFrame], error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		conn, err := l.redeclare()
		if err == nil {
			return conn, nil
		}
		if e, told := errors.AsType[*openapi.Error](err); told && !e.Code.Temporary() {
			return nil, err
		}
		// Many clients lose one agent at a time.
		wait := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-wait.C:
		case <-l.ctx.Done():
			wait.Stop()
			return nil, l.ctx.Err()
		}
	}
}

// redeclare tries once.
func (l *Lease) redeclare() (*leaseconn.Conn[openapi.LeaseFrame], error) {
	ctx, cancel := context.WithTimeout(l.ctx, declareTime)
	defer cancel()
	conn, err := l.agent.connect(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the attempt
	err = l.present(conn)
	if stop() && err == nil {
		return conn, nil
	}
	_ = conn.Close() // of no use any more
	if err == nil {
		err = ctx.Err()
	}
	return nil, err
}

// present shows the agent what the lease holds, and waits until it holds it too.
func (l *Lease) present(conn *leaseconn.Conn[openapi.LeaseFrame]) error {
	q := &openapi.LeaseDeclare{Client: l.agent.client}
	var files []*os.File
	l.mu.Lock()
	q.Ref, q.Version = l.ref, l.version
	for _, id := range slices.Sorted(maps.Keys(l.segments)) {
		q.Segments = append(q.Segments, l.segments[id].LeaseSegment)
		files = append(files, l.segments[id].file)
	}
	l.mu.Unlock()
	first := openapi.LeaseFrame{Type: openapi.FrameDeclare, Declare: q}
	if err := conn.Write(first, files[:min(len(files), openapi.MaxLeaseFiles)]...); err != nil {
		return err
	}
	for n := openapi.MaxLeaseFiles; n < len(files); n += openapi.MaxLeaseFiles {
		end := min(n+openapi.MaxLeaseFiles, len(files))
		more := openapi.LeaseFrame{Type: openapi.FrameSegments, Segments: q.Segments[n:end]}
		if err := conn.Write(more, files[n:end]...); err != nil {
			return err
		}
	}
	f, got, err := conn.Read()
	leaseconn.CloseAll(got)
	switch {
	case err != nil:
		return err
	case f.Type == openapi.FrameError && f.Error != nil:
		return f.Error
	case f.Type != openapi.FrameHeld:
		return fmt.Errorf("agent %s answers a declared lease by %.40q: %w", l.agent.address, f.Type, ErrProtocol)
	}
	return nil
}
