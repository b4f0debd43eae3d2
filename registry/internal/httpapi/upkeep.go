package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// progressEvery is the shortest time between two lines of an answer.
const progressEvery = 250 * time.Millisecond

// errStopping ends work whose answer takes long.
var errStopping = errors.New("the registry is stopping")

func (a *API) collectGarbage(c echo.Context) error {
	var q openapi.GCRequest
	release, err := a.upkeep(c, &q)
	if err != nil {
		return err
	}
	defer release()
	if a.readOnly && !q.DryRun {
		return refuseWrite()
	}
	o := Collection{DryRun: q.DryRun}
	if o.Grace, err = graceOf(q); err != nil {
		return err
	}
	begin := openapi.GCLine{Progress: &openapi.GCProgress{Phase: "begin"}}
	return a.alone(c, &a.collecting, begin, func(ctx context.Context, tell func(any)) (any, error) {
		o.Progress = func(p openapi.GCProgress) { tell(openapi.GCLine{Progress: &p}) }
		report, err := a.collector.Run(ctx, o)
		if report.Kept == nil {
			report.Kept = map[string]openapi.GCTotal{} // not null
		}
		report.Anomalies = listed(report.Anomalies)
		return openapi.GCLine{Report: &report}, err
	})
}

func graceOf(q openapi.GCRequest) (*time.Duration, error) {
	if q.GraceSeconds == nil {
		return nil, nil
	}
	if n := *q.GraceSeconds; n < 0 || n > openapi.MaxGrace {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "grace_seconds %d: want 0 to %d", n, openapi.MaxGrace)
	}
	grace := time.Duration(*q.GraceSeconds) * time.Second
	return &grace, nil
}

func (a *API) verifyStore(c echo.Context) error {
	var q openapi.VerifyRequest
	release, err := a.upkeep(c, &q)
	if err != nil {
		return err
	}
	defer release()
	begin := openapi.VerifyLine{Progress: &openapi.VerifyProgress{Phase: "begin"}}
	return a.alone(c, &a.verifying, begin, func(ctx context.Context, tell func(any)) (any, error) {
		report, err := a.verifier.Verify(ctx, q.Deep, func(p openapi.VerifyProgress) { tell(openapi.VerifyLine{Progress: &p}) })
		report.Bad, report.Missing, report.Foreign = objects(report.Bad), objects(report.Missing), listed(report.Foreign)
		return openapi.VerifyLine{Report: &report}, err
	})
}

func (a *API) compactStore(c echo.Context) error {
	var q openapi.CompactRequest
	release, err := a.upkeep(c, &q)
	if err != nil {
		return err
	}
	defer release()
	if a.readOnly {
		return refuseWrite()
	}
	begin := openapi.CompactLine{Progress: &openapi.CompactProgress{Phase: "begin"}}
	return a.alone(c, &a.compacting, begin, func(ctx context.Context, tell func(any)) (any, error) {
		report, err := a.compactor.Recode(ctx, q.Repo, func(p openapi.CompactProgress) { tell(openapi.CompactLine{Progress: &p}) })
		return openapi.CompactLine{Report: &report}, err
	})
}

// admits refuses who does not run the registry.
func (a *API) admits(c echo.Context) error {
	err := a.policy.Allow(a.principal(c.Request()), name.Repo{}, access.Admin)
	if errors.Is(err, access.ErrDenied) {
		return openapi.Errorf(openapi.CodeForbidden, "only who runs the registry may do this")
	}
	return err
}

// listed makes a list that JSON has as one, though it be empty.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func objects(list []openapi.BadObject) []openapi.BadObject {
	list = listed(list)
	for i := range list {
		list[i].Versions = listed(list[i].Versions)
	}
	return list
}

// upkeep reads what somebody asks of the registry as a whole, who must be allowed to.
func (a *API) upkeep(c echo.Context, into any) (release func(), err error) {
	if err := a.admits(c); err != nil {
		return nil, err
	}
	doc, release, err := a.document(c, mediaJSON, openapi.MaxJSON, 2)
	if err != nil {
		return nil, err
	}
	if err := parseComplete(doc, into); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// alone does work of which one is done at a time, and answers with lines: what the
// work tells, begin as long as that is nothing, and at last what it returns. It ends
// the work when the caller goes away or the registry stops. What fails before the
// first line is answered like any failure.
func (a *API) alone(c echo.Context, running *atomic.Bool, begin any, work func(ctx context.Context, tell func(any)) (any, error)) error {
	if !running.CompareAndSwap(false, true) {
		return openapi.Errorf(openapi.CodeBusy, "the registry does this already: one at a time")
	}
	ctx, end := context.WithCancelCause(c.Request().Context())
	defer end(nil)
	l := &lines{stream: stream{c.Response(), http.NewResponseController(c.Response().Writer)}, last: begin}
	last, err := l.during(func() (any, error) {
		defer running.Store(false) // ahead of the last line: who has read it may ask again
		return work(ctx, l.tell)
	}, a.drained, end)
	if err != nil && !c.Response().Committed {
		return err
	}
	if err != nil {
		last = openapi.ErrorBody{Error: a.told(c, err)}
	}
	return l.line(last)
}

// lines is an answer of lines of JSON.
type lines struct {
	stream

	mu   sync.Mutex // protects what follows
	last any        // that was told
	news bool       // and not written yet
}

// tell takes what a line is to say; only the last of several is written.
func (l *lines) tell(line any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.news = line, true
}

// take returns what was told last, and whether it is new.
func (l *lines) take() (line any, news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news, l.news = l.news, false
	return l.last, news
}

// during writes lines while work is done. Nothing is written any more when it
// returns.
func (l *lines) during(work func() (any, error), drained <-chan struct{}, end context.CancelCauseFunc) (any, error) {
	done, followed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(followed)
		l.follow(done, drained, end)
	}()
	defer func() {
		close(done)
		<-followed
	}()
	return work()
}

// follow writes until done is closed. It ends the work when the caller takes nothing
// any more, or the registry stops.
func (l *lines) follow(done, drained <-chan struct{}, end context.CancelCauseFunc) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for wrote := time.Now(); ; {
		select {
		case <-done:
			return
		case <-drained:
			end(errStopping)
			return
		case <-tick.C:
		}
		line, news := l.take()
		if !news && time.Since(wrote) < aliveEvery {
			continue
		}
		if err := l.line(line); err != nil {
			end(err)
			return
		}
		wrote = time.Now()
	}
}

func (l *lines) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	l.w.Header().Set("Content-Type", openapi.MediaLines) // not of a failure ahead of it
	l.w.Header().Set("Cache-Control", "no-store")
	return l.write(string(b) + "\n")
}
