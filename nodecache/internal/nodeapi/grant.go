package nodeapi

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// grant leases what the client asks for, until the connection ends.
func (s *session) grant(q *openapi.LeaseRequest) error {
	o, err := order(q, s.pid)
	if err != nil {
		return err
	}
	s.listen()
	lease, err := s.await(o)
	if err != nil {
		return err
	}
	s.lease, s.held = lease, lease
	if o.Mode == openapi.LeaseWindow {
		close(s.granted)
	}
	if o.Mode != openapi.LeaseWhole {
		if err := s.stream(o.Mode); err != nil {
			return err
		}
	}
	if o.Mode != openapi.LeaseWindow {
		if err := s.layout(); err != nil {
			return err
		}
	}
	return s.follow(lease.Ref().String(), lease)
}

// order checks what a client wants.
func order(q *openapi.LeaseRequest, pid int) (o node.LeaseOrder, err error) {
	o = node.LeaseOrder{Mode: q.Mode, First: q.First, Client: printable(q.Client), PID: pid}
	if o.Ref, err = parseRef(q.Ref); err != nil {
		return o, err
	}
	switch q.Mode {
	case openapi.LeaseWhole, openapi.LeaseStream, openapi.LeaseWindow:
	default:
		return o, openapi.Errorf(openapi.CodeBadRequest, "mode %.40q: want nothing, %s or %s", q.Mode, openapi.LeaseStream, openapi.LeaseWindow)
	}
	o.Deadline, err = seconds("deadline", q.Deadline)
	return o, err
}

// printable makes a client's word for itself fit for a line of a log or table.
func printable(s string) string {
	const most = 128
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// progress is how far a version is that a lease waits for.
type progress struct{ done, total int64 }

// beatTime is the least time between two frames of progress.
const beatTime = 100 * time.Millisecond

// await asks the node for the lease, and tells the client how far it is.
func (s *session) await(o node.LeaseOrder) (Lease, error) {
	news, told := make(chan progress, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(s.ctx)
	go func() {
		defer close(told)
		s.progress(ctx, o.Ref.String(), news)
	}()
	lease, err := s.api.node.Lease(s.ctx, o, func(done, total int64) {
		select {
		case <-news: // an older one that was not sent
		default:
		}
		select {
		case news <- progress{done, total}:
		default: // somebody else was quicker
		}
	})
	cancel()
	<-told
	return lease, err
}

// progress sends news, not too often, until ctx ends.
func (s *session) progress(ctx context.Context, ref string, news <-chan progress) {
	pause := time.NewTicker(beatTime)
	defer pause.Stop()
	for {
		select {
		case p := <-news:
			f := openapi.LeaseFrame{Type: openapi.FrameWaiting, Ref: ref, Bytes: p.done, Total: p.total}
			if err := s.write(f); err != nil {
				s.cancel(err)
				return
			}
		case <-ctx.Done():
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}
