package node

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// mostUnread is how many events a reader may be behind. Of a reader that is
// further behind than half of it, news of loads under way are left out.
const mostUnread = 1024

// events tells what happens to all who listen.
type events struct {
	now func() time.Time

	mu        sync.Mutex // protects what follows
	seq       uint64
	listeners map[chan openapi.NodeEvent]struct{}
}

func newEvents(now func() time.Time) *events {
	return &events{now: now, listeners: map[chan openapi.NodeEvent]struct{}{}}
}

// tell sends e to all who listen. One that is too far behind is cut off.
func (b *events) tell(e openapi.NodeEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	e.Seq, e.Time = b.seq, b.now()
	for to := range b.listeners {
		if e.Type == openapi.EventLoading && len(to) > mostUnread/2 {
			continue
		}
		select {
		case to <- e:
		default:
			delete(b.listeners, to)
			close(to)
		}
	}
}

// listen yields what happens from now on, until ctx ends or the listener is too
// far behind.
func (b *events) listen(ctx context.Context) iter.Seq[openapi.NodeEvent] {
	from := make(chan openapi.NodeEvent, mostUnread)
	b.mu.Lock()
	b.listeners[from] = struct{}{}
	b.mu.Unlock()
	return func(yield func(openapi.NodeEvent) bool) {
		defer b.leave(from)
		for {
			select {
			case e, ok := <-from:
				if !ok || !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (b *events) leave(from chan openapi.NodeEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.listeners, from)
}
