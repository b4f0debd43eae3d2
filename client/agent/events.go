package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/ingot-ml/ingot/openapi"
)

// Events returns what happens on the agent from the call on, so that nothing that
// is asked for afterwards is missed. The stream ends with ctx, and otherwise with
// an error: ErrMissed when it was read too slowly, ErrLost when the agent went
// away. It is read once.
func (a *Agent) Events(ctx context.Context) (iter.Seq2[openapi.NodeEvent, error], error) {
	r, err := a.send(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return nil, err
	}
	return func(yield func(openapi.NodeEvent, error) bool) {
		defer func() { _ = r.Body.Close() }() // nothing more is wanted of it
		err := readEvents(r.Body, func(e openapi.NodeEvent) bool { return yield(e, nil) })
		switch {
		case err == nil || ctx.Err() != nil:
		case isOwn(err):
			yield(openapi.NodeEvent{}, fmt.Errorf("agent %s: %w", a.address, err))
		default:
			yield(openapi.NodeEvent{}, a.explain(ctx, err))
		}
	}, nil
}

// readEvents hands on the events of a stream until that breaks, or take has
// enough.
func readEvents(r io.Reader, take func(openapi.NodeEvent) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, openapi.MaxJSON)
	kind, data := "", []byte(nil)
	for lines.Scan() {
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(lines.Bytes()) > 0 && string(field) == "event":
			kind = string(value)
		case len(lines.Bytes()) > 0 && string(field) == "data":
			data = append(data[:0], value...)
		case len(lines.Bytes()) > 0: // a comment, or of another release
		default:
			more, err := event(kind, data, take)
			if err != nil || !more {
				return err
			}
			kind, data = "", data[:0]
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// event hands on one event of a stream, and says whether more are wanted.
func event(kind string, data []byte, take func(openapi.NodeEvent) bool) (more bool, err error) {
	switch kind {
	case openapi.StreamNode:
		var e openapi.NodeEvent
		if err := json.Unmarshal(data, &e); err != nil {
			return false, fmt.Errorf("read event: %w: %w", err, ErrProtocol)
		}
		return take(e), nil
	case openapi.StreamLost:
		return false, ErrMissed
	}
	return true, nil
}
