package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// outgoing are the chunks of one answer.
type outgoing struct {
	service   Service
	principal access.Principal
	located   []versions.Located
	held      []versions.Located // what the caller has for each; nil for nothing
	wish      versions.Wish
	room      versions.Room
	allow     func(n int64) // gives the caller time to take n bytes in
}

// outgoing reserves the memory that the chunks need until release: none as long as all
// go as they are stored.
func (a *API) outgoing(c echo.Context, located, held []versions.Located, w versions.Wish) (o *outgoing, release func(), err error) {
	r := c.Request()
	o = &outgoing{
		service: a.service, principal: a.principal(r), located: located, held: held, wish: w,
		allow: func(n int64) { a.allow(c, n) },
	}
	if held == nil && o.allWhole() {
		return o, func() {}, nil
	}
	// The room, and the bytes of one chunk as they are read and as they are plain.
	free, err := a.reserve(r.Context(), 4*int64(maxEncoded))
	if err != nil {
		return nil, nil, err
	}
	room := a.rooms.Get().(versions.Room)
	o.room = room
	return o, func() { a.rooms.Put(room); free() }, nil
}

func (o *outgoing) allWhole() bool {
	for _, l := range o.located {
		if whole, _ := l.Stored(); !whole {
			return false
		}
	}
	return true
}

// length returns how many bytes the chunks take, or -1 if that is not known ahead.
func (o *outgoing) length() (n int64) {
	if o.held != nil || !o.allWhole() {
		return -1
	}
	for _, l := range o.located {
		n += openapi.FrameHeader + l.Length
	}
	return n
}

// frames returns those of the i-th chunk.
func (o *outgoing) frames(ctx context.Context, i int) ([]versions.Frame, error) {
	w := o.wish
	if o.held != nil {
		w.Held = &o.held[i]
	}
	frames, err := o.service.Frames(ctx, o.principal, o.located[i], w, o.room)
	if err == nil && len(frames) == 0 {
		err = fmt.Errorf("chunk %s: no frames", o.located[i].Digest.Short())
	}
	return frames, err
}

// send sends the first chunk, and then the others one by one. Each has time of its own to
// be taken in.
func (o *outgoing) send(ctx context.Context, w io.Writer, first []versions.Frame) error {
	o.allow(lengthOf(first))
	if err := sendFrames(w, first); err != nil {
		return err
	}
	for i := 1; i < len(o.located); i++ {
		frames, err := o.frames(ctx, i)
		if err != nil {
			return err
		}
		o.allow(lengthOf(frames))
		err = sendFrames(w, frames)
		closeFrames(frames)
		if err != nil {
			return err
		}
	}
	return nil
}

// allow gives the caller time to take n bytes in. It fails as in arm.
func (a *API) allow(c echo.Context, n int64) {
	_ = http.NewResponseController(c.Response().Writer).SetWriteDeadline(a.within(n))
}

func sendFrames(w io.Writer, frames []versions.Frame) error {
	for _, f := range frames {
		header := openapi.AppendFrameHeader(nil, f.Digest, int(f.Length))
		if _, err := w.Write(header); err != nil {
			return fmt.Errorf("send chunk %s: %w", f.Digest.Short(), err)
		}
		if err := copyChunk(w, f); err != nil {
			return err
		}
	}
	return nil
}

func lengthOf(frames []versions.Frame) (n int64) {
	for _, f := range frames {
		n += openapi.FrameHeader + f.Length
	}
	return n
}

func closeFrames(frames []versions.Frame) {
	for _, f := range frames {
		_ = f.Close() // they were only read
	}
}
