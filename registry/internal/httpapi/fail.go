package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// fail answers with what the error is to the caller. Where that cannot be, or the
// caller is gone, it closes the connection.
//
// What was meant for the caller is sent even if the request has ended: net/http
// ends it also when a body does not come in, and that caller still listens.
func (a *API) fail(c echo.Context, err error) {
	_, meant := errors.AsType[*openapi.Error](err)
	if c.Response().Committed || !meant && c.Request().Context().Err() != nil {
		a.abort(c, err)
	}
	e := a.challenge(c, a.told(c, err))
	if e.Code == openapi.CodeUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", wantsToken)
	}
	if h := c.Response().Header(); h.Get("Retry-After") == "" && (e.Code == openapi.CodeBusy || e.Code == openapi.CodeUnavailable) {
		h.Set("Retry-After", "1")
	}
	a.observer.Failed(e.Code)
	if err := sendJSON(c, e.Code.Status(), openapi.ErrorBody{Error: e, RequestID: trace.Request(c.Request().Context())}); err != nil {
		a.abort(c, err)
	}
}

// told returns what the caller is told of an error. What is not for the caller
// goes to the log, under an id that the message has too.
func (a *API) told(c echo.Context, err error) *openapi.Error {
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*echo.HTTPError](err); ok {
		return unrouted(e, c.Request())
	}
	id := trace.Request(c.Request().Context())
	switch {
	case errors.Is(err, blobs.ErrNoSpace):
		a.logFault(c, id, err)
		return openapi.Errorf(openapi.CodeNoSpace, "the registry has no space left: ask its operator to make room")
	case errors.Is(err, blobs.ErrUnavailable):
		a.logFault(c, id, err)
		return openapi.Errorf(openapi.CodeUnavailable, "the registry cannot reach its store (its log has the cause under %s): try again later", id)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return openapi.Errorf(openapi.CodeUnavailable, "the registry gave up the request: try again later")
	}
	a.logFault(c, id, err)
	return openapi.Errorf(openapi.CodeInternal, "the registry failed: its log has the cause under %s", id)
}

func (a *API) logFault(c echo.Context, id string, err error) {
	r := c.Request()
	a.logger.ErrorContext(r.Context(), "request failed", "id", id, "method", r.Method, "path", r.URL.Path, "error", err)
}

// unrouted translates the router's errors.
func unrouted(e *echo.HTTPError, r *http.Request) *openapi.Error {
	switch e.Code {
	case http.StatusNotFound:
		return openapi.Errorf(openapi.CodeNotFound, "no such path: %.200q", r.URL.Path)
	case http.StatusMethodNotAllowed:
		return openapi.Errorf(openapi.CodeNotAllowed, "no %.20q for %.200q", r.Method, r.URL.Path)
	default:
		return openapi.Errorf(openapi.CodeBadRequest, "%v", e.Message)
	}
}

// abort closes the connection, the only way to tell of a failure behind the
// first byte of a body.
func (a *API) abort(c echo.Context, err error) {
	if c.Request().Context().Err() == nil {
		a.logFault(c, "", err)
	}
	panic(http.ErrAbortHandler)
}
