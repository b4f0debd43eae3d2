package httpapi

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/limits"
)

// Callers is how much each caller may ask for. The zero Callers lets everybody ask for
// everything.
type Callers struct {
	// Limits are requests and logins; nil is no limit.
	Limits *limits.Limits
	// Proxies are believed when they say for whom they ask.
	Proxies limits.Proxies
	// Share is how many bytes of Config.Memory a caller may take at a time; 0 is all.
	Share int64
	// BodyRate is how slowly a body may move after its first minute, in bytes a second;
	// 0 is DefaultBodyRate.
	BodyRate int64
}

// Where a caller meets a limit, for the Observer.
const (
	limitAddress = "address"
	limitSubject = "subject"
	limitLogin   = "login"
	limitMemory  = "memory"
)

// originKey is the address of who asks in the context of a request.
type originKey struct{}

// meet begins a request, which has a name and comes from somewhere from then on.
func (a *API) meet(c echo.Context) {
	r := c.Request()
	id := trace.NameRequest(r.Header.Get(trace.RequestHeader))
	ctx := context.WithValue(trace.WithRequest(r.Context(), id), originKey{}, a.callers.Proxies.Origin(r))
	c.SetRequest(r.WithContext(ctx))
	c.Response().Header().Set(trace.RequestHeader, id)
}

// originOf returns where a request comes from. The zero address is none of a network.
func originOf(ctx context.Context) netip.Addr {
	from, _ := ctx.Value(originKey{}).(netip.Addr)
	return from
}

// spare refuses a caller that asks too often, before anything is done for it.
func (a *API) spare(c echo.Context) error {
	r := c.Request()
	from := originOf(r.Context())
	if wait := a.callers.Limits.Address(from); wait > 0 {
		return a.later(c, limitAddress, wait, "too many requests from this address")
	}
	if !shows(r) && !loginPaths[c.Path()] {
		return nil
	}
	if wait := a.callers.Limits.Locked(from); wait > 0 {
		return a.later(c, limitLogin, wait, "too many logins from this address have failed")
	}
	return nil
}

// identify finds out who asks, unless that one asks too often. It has answered if
// refused is true.
func (a *API) identify(c echo.Context) (refused bool, err error) {
	if err := a.spare(c); err != nil {
		return a.refuse(c, err)
	}
	if refused, err := a.authenticate(c); refused || err != nil {
		return refused, err
	}
	if err := a.spareNamed(c, a.principal(c.Request())); err != nil {
		return a.refuse(c, err)
	}
	return false, nil
}

// turnAway refuses who has shown something that says nothing.
func (a *API) turnAway(c echo.Context, err error) (refused bool, _ error) {
	if errors.Is(err, &openapi.Error{Code: openapi.CodeUnauthorized}) {
		a.strange(c)
	}
	return a.refuse(c, err)
}

// refuse has a view refuse in its own words what is asked of it.
func (a *API) refuse(c echo.Context, err error) (refused bool, _ error) {
	e, meant := errors.AsType[*openapi.Error](err)
	v := a.viewOf(c.Request())
	if !meant || v == nil || v.Refuse == nil {
		return false, err
	}
	a.observer.Failed(e.Code)
	v.Refuse(c.Response(), c.Request(), e)
	return true, nil
}

// spareNamed refuses who has said who it is, and asks too often. Who has not said so
// shares its name with all of those.
func (a *API) spareNamed(c echo.Context, p access.Principal) error {
	if !p.Named() {
		return nil
	}
	if wait := a.callers.Limits.Subject(p.Subject); wait > 0 {
		return a.later(c, limitSubject, wait, "too many requests of "+p.Subject)
	}
	return nil
}

// strange notes what somebody has shown who is not who it says.
func (a *API) strange(c echo.Context) {
	a.observer.Mistaken()
	a.callers.Limits.Failed(originOf(c.Request().Context()))
}

// loginPaths are the routes that make something to show of something else, which may
// be wrong too.
var loginPaths = map[string]bool{exchangePath: true, sessionPath: true}

// shows tells a request with something that says who asks.
func shows(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != ""
}

// later is the refusal of a caller that is told when to come back.
func (a *API) later(c echo.Context, limit string, wait time.Duration, why string) error {
	a.observer.Limited(limit)
	seconds := int(math.Ceil(wait.Seconds()))
	c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
	return openapi.Errorf(openapi.CodeBusy, "%s: try again in %d seconds", why, seconds)
}

// taker is whose share of the memory a request takes.
func taker(ctx context.Context) string {
	if p := access.FromContext(ctx); p.Named() {
		return p.Subject
	}
	return originOf(ctx).String()
}
