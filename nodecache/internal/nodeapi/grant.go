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
	if err := s.await(o.Ref.String(), func() (err error) {
		s.lease, err = s.api.node.Lease(s.ctx, o, s.note)
		return err
	}); err != nil {
		return err
	}
	lease := s.lease
	s.held = lease
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
	if o.Deadline, err = seconds("deadline", q.Deadline); err != nil {
		return o, err
	}
	if q.Tier == openapi.TierGPU {
		return orderGPU(o, q)
	}
	if q.Tier == openapi.TierDisk {
		return o, openapi.Errorf(openapi.CodeBadRequest, "tier %s: want ram or gpu, where a version can be used", q.Tier)
	}
	if q.Device != "" || q.Priority != 0 || q.Yield || q.Follow {
		return o, openapi.Errorf(openapi.CodeBadRequest, "device, priority, yield and follow go with the tier gpu")
	}
	switch q.Mode {
	case openapi.LeaseWhole, openapi.LeaseStream, openapi.LeaseWindow:
	default:
		return o, openapi.Errorf(openapi.CodeBadRequest, "mode %.40q: want nothing, %s or %s", q.Mode, openapi.LeaseStream, openapi.LeaseWindow)
	}
	return o, nil
}

// orderGPU adds what goes with a GPU.
func orderGPU(o node.LeaseOrder, q *openapi.LeaseRequest) (node.LeaseOrder, error) {
	if q.Mode != openapi.LeaseWhole || len(q.First) > 0 {
		return o, openapi.Errorf(openapi.CodeBadRequest, "a lease on a GPU is whole: mode and first go with the tier ram")
	}
	if err := checkDevice(q.Device); err != nil {
		return o, err
	}
	o.Device, o.Priority, o.Yield, o.Follow = q.Device, q.Priority, q.Yield, q.Follow
	return o, nil
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

// note hears how far a version is that the client waits for.
func (s *session) note(done, total int64) {
	select {
	case <-s.news: // an older one that was not sent
	default:
	}
	select {
	case s.news <- progress{done, total}:
	default: // somebody else was quicker
	}
}

// await tells the client what note hears, until ask returns.
func (s *session) await(ref string, ask func() error) error {
	told := make(chan struct{})
	ctx, cancel := context.WithCancel(s.ctx)
	go func() {
		defer close(told)
		s.progress(ctx, ref)
	}()
	err := ask()
	cancel()
	<-told
	return err
}

// progress sends news, not too often, until ctx ends.
func (s *session) progress(ctx context.Context, ref string) {
	pause := time.NewTicker(beatTime)
	defer pause.Stop()
	for {
		select {
		case p := <-s.news:
			if err := s.waiting(ref, p); err != nil {
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

func (s *session) waiting(ref string, p progress) error {
	return s.write(openapi.LeaseFrame{Type: openapi.FrameWaiting, Ref: ref, Bytes: p.done, Total: p.total})
}
