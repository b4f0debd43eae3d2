package stream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// How slowly a body may move, in either direction: patience, and a rate in bytes a
// second. Slower callers would hold memory and connections for ever. A body that
// comes in may not stop for longer than maxStall.
const (
	patience = time.Minute
	slowest  = 64 << 10
	maxStall = 30 * time.Second
)

// Serve answers a GET or HEAD with the content: the whole, one range of it, or that
// it has not changed. The caller has set ETag, and Content-Type, which it must. Of
// several ranges the whole is sent, as HTTP allows. After the first byte an error
// can only be shown by cutting the connection, which Serve does by panicking with
// http.ErrAbortHandler after it told failed, which may be nil, of the error.
func Serve(w http.ResponseWriter, r *http.Request, c Content, failed func(error)) {
	if strings.Contains(r.Header.Get("Range"), ",") {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	if c.Size() == 0 && r.Header.Get("Range") != "" {
		// There is no range of nothing, so that the answer is the whole; some clients
		// look for the size here all the same.
		w.Header().Set("Content-Range", "bytes */0")
	}
	s := &sender{ResponseWriter: w, ctx: r.Context(), conn: http.NewResponseController(w)}
	http.ServeContent(s, r, "", time.Time{}, &place{content: c})
	if s.err == nil {
		return
	}
	if failed != nil && r.Context().Err() == nil {
		failed(s.err)
	}
	panic(http.ErrAbortHandler)
}

// ServeHead is Serve for a HEAD, which needs no more of the content than its size.
func ServeHead(w http.ResponseWriter, r *http.Request, size int64) {
	http.ServeContent(w, r, "", time.Time{}, &place{content: sized(size)})
}

// sized is a Content that nobody reads.
type sized int64

func (s sized) Size() int64                                       { return int64(s) }
func (sized) Close() error                                        { return nil }
func (sized) Send(context.Context, io.Writer, int64, int64) error { return errors.ErrUnsupported }

// place is a Content as http.ServeContent wants it, which learns the size from it
// and leaves the reading to sender.
type place struct {
	content Content
	offset  int64
}

// Seek implements io.Seeker.
func (p *place) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.offset
	case io.SeekEnd:
		offset += p.content.Size()
	}
	p.offset = offset
	return offset, nil
}

// Read implements io.Reader.
func (*place) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// sender is a ResponseWriter that has a place write itself, without the copy that
// http.ServeContent would make.
type sender struct {
	http.ResponseWriter
	ctx  context.Context
	conn *http.ResponseController
	err  error
}

// ReadFrom implements io.ReaderFrom.
func (s *sender) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	p := limited.R.(*place)
	count := &counter{sender: s}
	s.err = p.content.Send(s.ctx, count, p.offset, limited.N)
	return count.n, s.err
}

// counter writes what comes, and gives each piece its time.
type counter struct {
	*sender
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	// It fails for a writer without connection, as in tests, which has no slow callers
	// either.
	_ = c.conn.SetWriteDeadline(within(int64(len(b))))
	n, err := c.ResponseWriter.Write(b)
	c.n += int64(n)
	return n, err
}

// within returns until when n bytes have to have moved.
func within(n int64) time.Time {
	return time.Now().Add(patience + time.Duration(n/slowest)*time.Second)
}

// Body returns the body of a request, of which n bytes are expected: it has to come
// in without long breaks, and in time.
func Body(w http.ResponseWriter, r *http.Request, n int64) io.Reader {
	return &arriving{r.Body, http.NewResponseController(w), within(n)}
}

type arriving struct {
	body io.Reader
	conn *http.ResponseController
	end  time.Time
}

// Read implements io.Reader.
func (a *arriving) Read(p []byte) (int, error) {
	due := time.Now().Add(maxStall)
	if due.After(a.end) {
		due = a.end
	}
	_ = a.conn.SetReadDeadline(due) // fails as in counter
	n, err := a.body.Read(p)
	if errors.Is(err, io.EOF) {
		// The connection is watched while the request is worked on: the deadline would
		// end that work.
		_ = a.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}
