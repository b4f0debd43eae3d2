package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/cenkalti/backoff/v5"
)

// maxEvent bounds a server-sent event in bytes.
const maxEvent = 64 << 10

// ErrEvent reports a stream that is not one of server-sent events.
var ErrEvent = errors.New("not server-sent events")

// Once is Call with one attempt, for streams that nobody can go on with in another
// answer.
func (c *Caller) Once(ctx context.Context, q Request, read func(Answer) error) error {
	target := c.target(q)
	err := c.attempt(ctx, target.String(), q, read)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", q.Method, target, ctx.Err())
	}
	if permanent, ok := errors.AsType[*backoff.PermanentError](err); ok {
		err = permanent.Unwrap()
	}
	return settled(err)
}

// Event is a server-sent event. Data is valid until the next.
type Event struct {
	Type string // "message" for one that does not say
	Data []byte
}

// Events yields the events of a stream until it ends, and then why it did: io.EOF
// between two events is a stream that was ended in order.
func Events(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		lines := bufio.NewReaderSize(r, maxEvent)
		var e Event
		for {
			line, err := readLine(lines)
			if err != nil {
				yield(Event{}, err)
				return
			}
			if len(line) > 0 {
				if err := e.add(line); err != nil {
					yield(Event{}, err)
					return
				}
				continue
			}
			if len(e.Data) > 0 && !yield(e.named(), nil) {
				return
			}
			e = Event{Data: e.Data[:0]}
		}
	}
}

// readLine returns the next line without its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("a line of more than %d bytes: %w", maxEvent, ErrEvent)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// add takes one line of an event. Comments, and fields that are of no use here, say
// nothing.
func (e *Event) add(line []byte) error {
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		e.Type = string(value)
	case "data":
		if len(e.Data)+len(value) > maxEvent {
			return fmt.Errorf("an event of more than %d bytes: %w", maxEvent, ErrEvent)
		}
		if len(e.Data) > 0 {
			e.Data = append(e.Data, '\n')
		}
		e.Data = append(e.Data, value...)
	}
	return nil
}

func (e *Event) named() Event {
	if e.Type == "" {
		return Event{"message", e.Data}
	}
	return *e
}
