package httpapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
)

// How slowly a body may move, in either direction: patience, and a rate in bytes
// a second. Slower callers would hold memory and connections for ever. A body
// that comes in may not stop for longer than maxStall.
const (
	patience = time.Minute
	maxStall = 30 * time.Second
	// DefaultBodyRate is that of Callers.
	DefaultBodyRate = 64 << 10
)

// maxWait is how long a request waits for memory before it is told to come back.
const maxWait = 30 * time.Second

// within returns until when a body of n bytes has to have moved.
func (a *API) within(n int64) time.Time {
	return time.Now().Add(patience + time.Duration(n/a.callers.BodyRate)*time.Second)
}

// checkBody returns the length of the request's body, which must be of that
// media type and have 1 to most bytes.
//
// The type is insisted on because a page in a browser can send bodies of the
// simple types to a registry on the same machine without asking anybody.
func checkBody(r *http.Request, media string, most int64) (int64, error) {
	if r.ContentLength < 1 {
		return 0, openapi.Errorf(openapi.CodeBadRequest, "a body with Content-Length is needed")
	}
	if r.ContentLength > most {
		return 0, openapi.Errorf(openapi.CodeTooLarge, "body of %d bytes, want at most %d", r.ContentLength, most)
	}
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != media {
		return 0, openapi.Errorf(openapi.CodeBadRequest, "Content-Type %.80q, want %s", r.Header.Get("Content-Type"), media)
	}
	return r.ContentLength, nil
}

// reserve takes n bytes of the budget, or all of it if n is more. The caller
// calls release when the memory is free again.
func (a *API) reserve(ctx context.Context, n int64) (release func(), err error) {
	n = min(n, a.memory)
	wait, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	give, err := a.shares.Acquire(wait, taker(ctx), n)
	if err != nil {
		a.observer.Limited(limitMemory)
		return nil, openapi.Errorf(openapi.CodeBusy, "your share of the memory for uploads is in use: try again after a pause")
	}
	if err := a.budget.Acquire(wait, n); err != nil {
		give()
		return nil, openapi.Errorf(openapi.CodeBusy, "the memory for uploads is in use: try again after a pause")
	}
	a.usage.memory.Add(n)
	return func() {
		a.usage.memory.Add(-n)
		a.budget.Release(n)
		give()
	}, nil
}

// receive reads the body with read, which must return before its time is up.
func (a *API) receive(c echo.Context, n int64, read func(io.Reader) error) error {
	conn := http.NewResponseController(c.Response().Writer)
	err := read(&arriving{c.Request().Body, conn, a.stall, a.within(n)})
	if err == nil {
		// The connection is watched while the request is worked on: the deadline
		// would end that work.
		_ = conn.SetReadDeadline(time.Time{}) // fails as in arm
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return openapi.Errorf(openapi.CodeBusy, "the body came too slowly: less than %d bytes a second", a.callers.BodyRate)
	}
	return err
}

// arriving is a body that has to come in before end, and without long breaks.
type arriving struct {
	body  io.Reader
	conn  *http.ResponseController
	stall time.Duration
	end   time.Time
}

// Read implements io.Reader.
func (a *arriving) Read(p []byte) (int, error) {
	due := time.Now().Add(a.stall)
	if due.After(a.end) {
		due = a.end
	}
	_ = a.conn.SetReadDeadline(due) // fails as in arm
	return a.body.Read(p)
}

// arm bounds what net/http reads of a body that no handler reads.
func (a *API) arm(c echo.Context) {
	if c.Request().ContentLength != 0 {
		// It fails for a writer without connection, as in tests, which has no slow
		// callers either.
		_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(a.stall))
	}
}

// fill reads exactly len(b) bytes, the whole body.
func (a *API) fill(c echo.Context, b []byte) error {
	return a.receive(c, int64(len(b)), func(r io.Reader) error {
		_, err := io.ReadFull(r, b)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return openapi.Errorf(openapi.CodeBadRequest, "the body is shorter than its Content-Length")
		}
		return err
	})
}

// document reads a body into new memory: share times its length is reserved until
// release.
func (a *API) document(c echo.Context, media string, most, share int64) (doc []byte, release func(), err error) {
	n, err := checkBody(c.Request(), media, most)
	if err != nil {
		return nil, nil, err
	}
	release, err = a.reserve(c.Request().Context(), share*n)
	if err != nil {
		return nil, nil, err
	}
	doc = make([]byte, n)
	if err := a.fill(c, doc); err != nil {
		release()
		return nil, nil, err
	}
	return doc, release, nil
}
