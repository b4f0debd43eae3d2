package gate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// retryAfter is what a client that was sent away is told to wait: long enough for
// a model to come some way.
const retryAfter = 10 * time.Second

// newTransport reaches a service over TCP as it is: without the proxies of the
// environment, without compression of its own.
func newTransport() *http.Transport {
	dial := net.Dialer{Timeout: probeTime}
	return &http.Transport{
		DialContext: dial.DialContext, DisableCompression: true,
		MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: probeTime,
	}
}

// newProxy returns the proxy whose requests pass the barrier.
func (g *Gate) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:     &passing{g},
		FlushInterval: -1, // a token is told when it is there
		ErrorHandler:  g.sorry,
		ModifyResponse: func(*http.Response) error {
			g.metrics.requests.WithLabelValues(outcomePassed).Inc()
			return nil
		},
		ErrorLog: slog.NewLogLogger(g.c.Logger.Handler(), slog.LevelWarn),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(g.c.Upstream)
			p.Out.Host = p.In.Host
			p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
			p.SetXForwarded()
		},
	}
}

// passing delivers requests when the barrier lets them through.
type passing struct{ g *Gate }

// RoundTrip implements http.RoundTripper.
func (p *passing) RoundTrip(q *http.Request) (*http.Response, error) {
	limit := time.NewTimer(p.g.c.Deadline)
	defer limit.Stop()
	for {
		began := time.Now()
		t, err := p.g.barrier.pass(q.Context(), limit.C)
		p.g.metrics.held.Observe(time.Since(began).Seconds())
		if err != nil {
			return nil, err
		}
		once, body := untouched(q)
		r, err := p.g.c.Transport.RoundTrip(once)
		if err == nil || !undelivered(err) || body.touched {
			return r, err
		}
		p.g.barrier.because(err)
		p.g.barrier.failed(t)
	}
}

// undelivered tells an error before anything was sent.
func undelivered(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// untouched returns q with a body that can be sent again if it was not read: a
// transport closes the one that it has, whatever comes of it.
func untouched(q *http.Request) (*http.Request, *keptBody) {
	if q.Body == nil {
		return q, &keptBody{}
	}
	again := *q
	body := &keptBody{from: q.Body}
	again.Body = body
	return &again, body
}

// keptBody is a body that the proxy closes, and not the transport.
type keptBody struct {
	from    io.Reader
	touched bool
}

// Read implements io.Reader.
func (b *keptBody) Read(p []byte) (int, error) {
	b.touched = true
	return b.from.Read(p)
}

// Close implements io.Closer.
func (b *keptBody) Close() error { return nil }

// sorry answers a request that was not let through, or that the service failed.
func (g *Gate) sorry(w http.ResponseWriter, _ *http.Request, err error) {
	outcome, temporary := outcomeOf(err)
	g.metrics.requests.WithLabelValues(outcome).Inc()
	if outcome == outcomeGone {
		return // nobody reads it
	}
	status, message := http.StatusBadGateway, "the service failed: "+err.Error()
	if temporary {
		status, message = http.StatusServiceUnavailable, "the model is not available: "+err.Error()
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	g.c.Logger.Warn("request failed", "outcome", outcome, "err", err)
	refuse(w, status, openapi.Errorf(openapi.CodeUnavailable, "%s", message))
}

// refuse answers with an error of the gate's own.
func refuse(w http.ResponseWriter, status int, e *openapi.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever has gone away does not miss it.
	_ = json.NewEncoder(w).Encode(openapi.ErrorBody{Error: e})
}

// outcomeOf says what became of a request, and whether it is worth another try.
func outcomeOf(err error) (outcome string, temporary bool) {
	switch {
	case errors.Is(err, errDeadline):
		return outcomeLate, true
	case errors.Is(err, errCrowded):
		return outcomeCrowded, true
	case errors.Is(err, errEnding):
		return outcomeEnding, true
	case errors.Is(err, ErrPermanent):
		return outcomeRefused, true
	case errors.Is(err, context.Canceled):
		return outcomeGone, false
	}
	return outcomeFailed, false
}
