package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
)

// around is what every request goes through.
func (a *API) around(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		begun, aborted := time.Now(), true
		a.meet(c)
		done, record := a.begin(c), a.watch(c)
		defer func() {
			record(aborted)
			done(aborted)
			a.logRequest(c, begun, aborted)
		}()
		c.Response().Header().Set("X-Content-Type-Options", "nosniff")
		a.arm(c)
		if err := a.admit(c, next); err != nil {
			a.fail(c, err)
		}
		aborted = false
		return nil
	}
}

// admit runs the handler, unless the request is not to be served, and makes an
// error of a panic.
func (a *API) admit(c echo.Context, next echo.HandlerFunc) (err error) {
	if a.draining.Load() {
		c.Response().Header().Set("Connection", "close")
		return openapi.Errorf(openapi.CodeUnavailable, "the registry is stopping: try again later")
	}
	if c.Request().Method == http.MethodOptions {
		return echo.ErrMethodNotAllowed // the router would answer it by itself
	}
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v)
		default:
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	if a.lead(c) {
		return nil
	}
	if refused, err := a.identify(c); refused || err != nil {
		return err
	}
	if err := a.recordable(c); err != nil {
		return err
	}
	if err = next(c); errors.Is(err, echo.ErrNotFound) {
		err = a.view(c)
	}
	return err
}

func (a *API) logRequest(c echo.Context, begun time.Time, aborted bool) {
	level, status := slog.LevelInfo, 0 // nothing was answered
	if c.Response().Committed {
		status = c.Response().Status
	}
	if frequent(c.Path()) {
		level = slog.LevelDebug
	}
	r, ctx := c.Request(), c.Request().Context()
	a.logger.LogAttrs(ctx, level, "request",
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.Int("status", status),
		slog.Int64("received", max(0, r.ContentLength)),
		slog.Int64("sent", c.Response().Size),
		slog.Duration("took", time.Since(begun)),
		slog.Bool("aborted", aborted),
		slog.String("from", r.RemoteAddr),
	)
}

// frequent tells the routes that one push or pull, or every node, calls many times.
func frequent(route string) bool {
	return strings.Contains(route, "/chunks") || strings.HasSuffix(route, "/missing") || route == nodePath
}
