package nodeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// beat is how often a stream without news says that it is alive.
const beat = 15 * time.Second

// getEvents tells what happens from now on, until the client goes away or is too
// slow.
func (a *API) getEvents(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	if !a.streams.TryAcquire(1) {
		return openapi.Errorf(openapi.CodeBusy, "%d streams of events are open already", maxStreams)
	}
	defer a.streams.Release(1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(a.ctx, cancel) // Drain ends the stream
	defer stop()
	events := a.node.Events(ctx) // before the client knows that it is listening
	out := &stream{w: w, conn: http.NewResponseController(w), stall: a.config.Stall}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if out.write(": from now on\n\n") != nil {
		return nil // the client is gone
	}
	ended := make(chan struct{})
	next := make(chan openapi.NodeEvent)
	go func() {
		defer close(ended)
		for e := range events {
			select {
			case next <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	out.copy(ctx, next, ended)
	cancel()
	<-ended
	return nil
}

// stream writes server-sent events.
type stream struct {
	w     http.ResponseWriter
	conn  *http.ResponseController
	stall time.Duration
}

// copy writes events until ctx ends, the client is gone, or no more come: then it
// was too slow.
func (s *stream) copy(ctx context.Context, next <-chan openapi.NodeEvent, ended <-chan struct{}) {
	alive := time.NewTicker(beat)
	defer alive.Stop()
	for {
		var err error
		select {
		case e := <-next:
			err = s.event(openapi.StreamNode, e)
		case <-alive.C:
			err = s.write(":\n\n")
		case <-ctx.Done():
			return
		case <-ended:
			if ctx.Err() == nil {
				_ = s.event(openapi.StreamLost, struct{}{}) // if it still can
			}
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *stream) event(kind string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return s.write("event: " + kind + "\ndata: " + string(b) + "\n\n")
}

func (s *stream) write(text string) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.stall)) // fails without connection, as in tests
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.conn.Flush()
}
