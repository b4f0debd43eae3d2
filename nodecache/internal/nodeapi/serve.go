package nodeapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/guard"
	"github.com/ingot-ml/ingot/openapi/trace"
)

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	r, done := a.traced(w, r)
	defer done()
	if !a.lets(w, r) {
		return
	}
	if v := a.view(r); v != nil {
		v.ServeHTTP(w, r)
		return
	}
	route, err := a.route(w, r)
	if err == nil {
		err = a.handle(route, w, r)
	}
	if err != nil {
		a.fail(w, r, err)
	}
	if route.changes {
		a.logger.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path,
			"took", time.Since(begun), "from", r.RemoteAddr, "error", errText(err))
	}
}

// lets tells whether a request is to be answered, and if not says so.
func (a *API) lets(w http.ResponseWriter, r *http.Request) bool {
	if a.config.Guard == nil {
		return true
	}
	e := a.config.Guard.Check(r)
	if e == nil {
		return true
	}
	a.logger.DebugContext(r.Context(), "request refused", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr, "host", r.Host, "error", e)
	guard.Explain(w.Header(), e)
	a.fail(w, r, e)
	return false
}

// view finds the view that answers a request, nil for none, and for all once the
// agent stops.
func (a *API) view(r *http.Request) http.Handler {
	if a.ctx.Err() != nil {
		return nil
	}
	for _, v := range a.config.Views {
		if v.Owns(r.URL.EscapedPath()) {
			return v
		}
	}
	return nil
}

// route finds what answers a request.
func (a *API) route(w http.ResponseWriter, r *http.Request) (route, error) {
	found, ok := a.routes[r.URL.Path]
	switch {
	case a.ctx.Err() != nil:
		w.Header().Set("Connection", "close")
		return route{}, openapi.Errorf(openapi.CodeUnavailable, "the agent is stopping: try again later")
	case !ok:
		return route{}, openapi.Errorf(openapi.CodeNotFound, "no such path: %.200q", r.URL.Path)
	case r.Method != found.method && (r.Method != http.MethodHead || found.method != http.MethodGet):
		w.Header().Set("Allow", found.method)
		return route{}, openapi.Errorf(openapi.CodeNotAllowed, "no %.20q for %.200q", r.Method, r.URL.Path)
	}
	return found, nil
}

// handle runs the handler and makes an error of a panic.
func (a *API) handle(to route, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v)
		default:
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return to.handle(w, r)
}

// fail answers with what the error is to the client. The answer has not begun.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := a.told(r.Context(), r.URL.Path, err)
	if e.Code == openapi.CodeBusy || e.Code == openapi.CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if err := sendJSON(w, e.Code.Status(), openapi.ErrorBody{Error: e, RequestID: trace.Request(r.Context())}); err != nil {
		a.logger.DebugContext(r.Context(), "answer was not taken", "path", r.URL.Path, "error", err)
	}
}

// told returns what the client is told of an error. What is not for the client
// goes to the log, under an id that the message has too.
func (a *API) told(ctx context.Context, what string, err error) *openapi.Error {
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return openapi.Errorf(openapi.CodeUnavailable, "the agent gave up the request: try again later")
	}
	id := cmp.Or(trace.Request(ctx), trace.NameRequest("")) // a lease has no request any more
	a.logger.ErrorContext(ctx, "request failed", "id", id, "what", what, "error", err)
	return openapi.Errorf(openapi.CodeInternal, "the agent failed: its log has the cause under %s", id)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
