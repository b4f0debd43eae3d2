package faultproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Fault is what can happen to a request.
type Fault uint8

// The faults.
const (
	None     Fault = iota
	Reset          // the connection is cut before the server sees anything
	Lose           // the server does as it is asked, and the connection is cut instead of answering
	Late           // the connection is cut, and the server is asked later
	Twice          // answered as usual, and the server is asked again later
	Delay          // passed on after a pause
	Truncate       // the body of the answer ends in the middle
	SlowDown       // 503 without asking the server, for this request and some that follow
	Conflict       // 409 without asking the server, as S3 says when two writers meet
)

var faultNames = [...]string{"none", "reset", "lose", "late", "twice", "delay", "truncate", "slow down", "conflict"}

// All are the faults.
func All() []Fault {
	return []Fault{Reset, Lose, Late, Twice, Delay, Truncate, SlowDown, Conflict}
}

// String returns a word or two.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return fmt.Sprintf("Fault(%d)", uint8(f))
}

// lateAnswer bounds how long the server may take for what comes later.
const lateAnswer = 30 * time.Second

// exchange is one request on its way.
type exchange struct {
	*Proxy
	choice
	call    Call
	request *http.Request
	body    []byte
}

func (e *exchange) serve(w http.ResponseWriter) {
	ctx := e.request.Context()
	switch e.fault {
	case Reset:
		e.cut(w)
	case Lose:
		e.apply(context.WithoutCancel(ctx)) // the client must not be able to take it back
		e.cut(w)
	case Late:
		e.again()
		e.cut(w)
	case Twice:
		e.again()
		e.pass(ctx, w)
	case Delay:
		if !pause(ctx, e.between(0, e.config.Pause)) {
			panic(http.ErrAbortHandler)
		}
		e.pass(ctx, w)
	case SlowDown:
		refuse(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	case Conflict:
		refuse(w, http.StatusConflict, "ConditionalRequestConflict", "A conflicting conditional operation is currently in progress against this resource.")
	default:
		e.pass(ctx, w)
	}
}

// outgoing is the request as the client made it. The target goes through as it is
// spelt, and so does the Host.
func (e *exchange) outgoing(ctx context.Context) *http.Request {
	q := &http.Request{
		Method: e.request.Method, Header: e.request.Header.Clone(), Host: e.request.Host,
		URL: &url.URL{Scheme: "http", Host: e.config.Target, Opaque: e.request.RequestURI},
	}
	if len(e.body) > 0 || e.request.ContentLength > 0 {
		q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(e.body)), int64(len(e.body))
	}
	for _, own := range []string{"Connection", "Keep-Alive", "Expect"} {
		q.Header.Del(own) // each connection has its own
	}
	if _, named := q.Header["User-Agent"]; !named {
		q.Header.Set("User-Agent", "") // not the transport's
	}
	return q.WithContext(ctx)
}

// pass passes the request on and the answer back.
func (e *exchange) pass(ctx context.Context, w http.ResponseWriter) {
	resp, err := e.transport.RoundTrip(e.outgoing(ctx))
	if err != nil {
		e.cut(w) // as the client would see it without a proxy
		return
	}
	defer resp.Body.Close()
	if e.config.Rewrite != nil {
		if err := e.config.Rewrite(e.call, resp); err != nil {
			e.cut(w)
			return
		}
	}
	for key, values := range resp.Header {
		w.Header()[key] = values
	}
	w.Header().Del("Connection")
	w.WriteHeader(resp.StatusCode)
	if e.fault == Truncate {
		e.truncate(w, resp)
		return
	}
	if _, err := io.Copy(flusher{w, http.NewResponseController(w)}, resp.Body); err != nil {
		panic(http.ErrAbortHandler) // the client must see that there was more
	}
}

// truncate sends a part of the body and cuts the connection. An answer without a
// body comes whole: nothing can be told apart then.
func (e *exchange) truncate(w http.ResponseWriter, resp *http.Response) {
	b, err := io.ReadAll(resp.Body)
	if err == nil && len(b) == 0 {
		return
	}
	if len(b) > 0 {
		_, _ = w.Write(b[:e.rand.IntN(len(b))])   // it is cut anyway
		_ = http.NewResponseController(w).Flush() // likewise
	}
	panic(http.ErrAbortHandler)
}

// apply has the server do it, and drops the answer.
func (e *exchange) apply(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lateAnswer)
	defer cancel()
	resp, err := e.transport.RoundTrip(e.outgoing(ctx))
	if err != nil {
		return // the server is down: then it was not done
	}
	_, _ = io.Copy(io.Discard, resp.Body) // nobody is told
	resp.Body.Close()
}

// again has the server do it later.
func (e *exchange) again() {
	wait := e.between(e.config.After[0], e.config.After[1])
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.settled {
		return // as if it were lost on the way
	}
	e.late.Go(func() {
		select {
		case <-time.After(wait):
		case <-e.hurry:
		}
		e.apply(context.Background())
	})
}

func (e *exchange) between(least, most time.Duration) time.Duration {
	return least + time.Duration(e.rand.Int64N(int64(max(1, most-least))))
}

// cut ends the connection: in half of the cases as a machine does that has lost
// it, without good-bye.
func (e *exchange) cut(w http.ResponseWriter) {
	if e.rand.IntN(2) == 0 {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the good-bye is all that is lost
	}
	_ = conn.Close() // nobody reads it any more
}

// refuse answers as S3 does.
func refuse(w http.ResponseWriter, status int, code, message string) {
	body := `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>"
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client may have gone
}

// flusher passes on what it gets at once: an answer may be a stream of events.
type flusher struct {
	io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (f flusher) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// quiet is a log for what goes wrong on purpose.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
