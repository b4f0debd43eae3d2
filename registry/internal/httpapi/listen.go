package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/events"
)

const (
	// aliveEvery is how often a stream says something, so that both ends know of
	// each other.
	aliveEvery = 15 * time.Second
	// slowListener is how long a write to a stream may take before its listener is
	// cut off.
	slowListener = 30 * time.Second
)

// listen streams changes of tags until the caller goes or the registry stops.
func (a *API) listen(c echo.Context) error {
	r := c.Request()
	l, err := a.events.Listen(a.principal(r), c.QueryParams()["match"])
	if err != nil {
		return err
	}
	defer l.Close()
	header := c.Response().Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	c.Response().WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	s := stream{c.Response(), http.NewResponseController(c.Response().Writer)}
	if err := s.event(openapi.StreamReady, struct{}{}); err != nil {
		return err
	}
	return s.follow(r.Context(), l, a.drained, func() bool { return a.still(r) })
}

// still reports whether the credentials of a request that takes long are good yet.
func (a *API) still(r *http.Request) bool {
	if a.authenticator == nil {
		return true
	}
	p, err := a.authenticator.Authenticate(r)
	return err == nil && p == a.principal(r)
}

// stream is an answer of server-sent events.
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

// follow writes what l is told, for as long as the caller may listen.
func (s *stream) follow(ctx context.Context, l *events.Listener, drained <-chan struct{}, may func() bool) error {
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-drained:
			return nil
		case <-alive.C:
			if !may() {
				return nil
			}
			err = s.write(": alive\n\n")
		case <-l.Ready():
			err = s.changes(l.Take())
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) changes(changes []openapi.TagEvent, missed bool) error {
	for _, e := range changes {
		if err := s.event(openapi.StreamTag, e); err != nil {
			return err
		}
	}
	if missed {
		return s.event(openapi.StreamReset, struct{}{})
	}
	return nil
}

func (s *stream) event(kind string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return s.write(fmt.Sprintf("event: %s\ndata: %s\n\n", kind, b))
}

// write sends text at once. A listener who does not take it is cut off.
func (s *stream) write(text string) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(slowListener)) // fails as in arm
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.conn.Flush()
}
