package httpapi

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
)

// Observer is told what becomes of requests.
type Observer interface {
	// Answered is told of a request that is done. The route is one of the API's, the
	// name of a view, or "none"; status 0 is of one that was cut off.
	Answered(route, method string, status int, received, sent int64, took time.Duration)
	// Failed is told of the code of every failure that a caller is told.
	Failed(code openapi.Code)
	// Limited is told of every caller that meets a limit.
	Limited(limit string)
	// Pushed is told of the steps of pushes: "started", and "committed".
	Pushed(step string)
	// Mistaken is told of everybody who shows something that says nothing of who it is.
	Mistaken()
}

// nobody is an Observer that does not look.
type nobody struct{}

func (nobody) Answered(string, string, int, int64, int64, time.Duration) {}
func (nobody) Failed(openapi.Code)                                       {}
func (nobody) Limited(string)                                            {}
func (nobody) Pushed(string)                                             {}
func (nobody) Mistaken()                                                 {}

// usage is what the API has in use, for who asks.
type usage struct{ requests, memory atomic.Int64 }

// Usage returns how many requests are under way, and how many bytes of the memory for
// bodies are taken.
func (a *API) Usage() (requests, memory int64) { return a.usage.requests.Load(), a.usage.memory.Load() }

// routeOf names what answers a request.
func (a *API) routeOf(c echo.Context) string {
	path := c.Path()
	if path != "" && path != "/*" {
		return path
	}
	escaped := c.Request().URL.EscapedPath()
	for _, v := range a.views {
		if v.Owns(escaped) {
			return v.Name
		}
	}
	return "none"
}

// begin notes that a request is under way; done is called when it is not any more.
func (a *API) begin(c echo.Context) (done func(aborted bool)) {
	begun, route := time.Now(), a.routeOf(c)
	r := c.Request()
	ctx, span := trace.Serve(r.Context(), r.Method+" "+route, r.Header)
	if span != nil {
		c.SetRequest(r.WithContext(ctx))
		span.Text("http.request.method", r.Method)
		span.Text("http.route", route)
		span.Text("ingot.request", trace.Request(ctx))
	}
	a.usage.requests.Add(1)
	return func(aborted bool) {
		a.usage.requests.Add(-1)
		status := statusOf(c, aborted)
		a.observer.Answered(route, r.Method, status, r.ContentLength, c.Response().Size, time.Since(begun))
		a.pushed(c.Path(), status)
		span.Number("http.response.status_code", int64(status))
		span.Number("http.response.body.size", c.Response().Size)
		span.End(nil)
	}
}

// statusOf is 0 for a request of which the whole answer did not go out.
func statusOf(c echo.Context, aborted bool) int {
	if aborted || !c.Response().Committed {
		return 0
	}
	return c.Response().Status
}

// pushed tells the observer of the steps of a push.
func (a *API) pushed(path string, status int) {
	switch {
	case path == repoPath+"/pushes" && status == http.StatusCreated:
		a.observer.Pushed("started")
	case path == pushPath+"/commit" && status == http.StatusCreated:
		a.observer.Pushed("committed")
	}
}

// getMetrics answers whoever scrapes, and runs the registry.
func (a *API) getMetrics(c echo.Context) error {
	if a.metrics == nil {
		return echo.ErrNotFound
	}
	if err := a.admits(c); err != nil {
		return err
	}
	a.metrics.ServeHTTP(c.Response(), c.Request())
	return nil
}
