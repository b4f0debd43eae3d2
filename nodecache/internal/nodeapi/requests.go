package nodeapi

import (
	"net/http"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func (a *API) getHealth(w http.ResponseWriter, _ *http.Request) error {
	return sendJSON(w, http.StatusOK, openapi.Health{Status: "ok", Version: a.config.Version})
}

func (a *API) getReady(w http.ResponseWriter, _ *http.Request) error {
	if err := a.node.Ready(); err != nil {
		return openapi.Errorf(openapi.CodeUnavailable, "not ready: %v", err)
	}
	return sendJSON(w, http.StatusOK, openapi.Health{Status: "ok", Version: a.config.Version})
}

func (a *API) getSpec(w http.ResponseWriter, _ *http.Request) error {
	send(w, http.StatusOK, "application/yaml", openapi.NodeSpec)
	return nil
}

func (a *API) getMetrics(w http.ResponseWriter, r *http.Request) error {
	a.metrics.ServeHTTP(w, r)
	return nil
}

func (a *API) getStatus(w http.ResponseWriter, _ *http.Request) error {
	return sendJSON(w, http.StatusOK, a.node.Status())
}

func (a *API) load(w http.ResponseWriter, r *http.Request) error {
	q, err := receive[openapi.LoadRequest](w, r)
	if err != nil {
		return err
	}
	ref, err := parseRef(q.Ref)
	if err != nil {
		return err
	}
	if q.Tier == openapi.TierNone {
		return openapi.Errorf(openapi.CodeBadRequest, "tier: want disk, ram or gpu; to let %s go, unload it", ref)
	}
	deadline, err := seconds("deadline", q.Deadline)
	if err != nil {
		return err
	}
	if q.DryRun {
		receipt, err := a.node.Plan(r.Context(), ref, q.Tier)
		return answer(w, receipt, err)
	}
	receipt, err := a.node.Load(r.Context(), ref, q.Tier, deadline)
	return answer(w, receipt, err)
}

func (a *API) unload(w http.ResponseWriter, r *http.Request) error {
	q, err := receive[openapi.UnloadRequest](w, r)
	if err != nil {
		return err
	}
	ref, err := parseRef(q.Ref)
	if err != nil {
		return err
	}
	if q.Tier == openapi.TierGPU {
		return openapi.Errorf(openapi.CodeBadRequest, "tier: want none, disk or ram: there is nothing faster than gpu to leave")
	}
	receipt, err := a.node.Unload(r.Context(), ref, q.Tier)
	return answer(w, receipt, err)
}

func (a *API) pin(w http.ResponseWriter, r *http.Request) error {
	q, err := receive[openapi.PinRequest](w, r)
	if err != nil {
		return err
	}
	ref, err := parseRef(q.Ref)
	if err != nil {
		return err
	}
	model, err := a.node.Pin(r.Context(), ref, q.Pinned)
	return answer(w, model, err)
}

func parseRef(s string) (name.Ref, error) {
	ref, err := name.ParseRef(s)
	if err != nil {
		return ref, openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	return ref, nil
}

// longestWait bounds every deadline that a client may give.
const longestWait = 7 * 24 * time.Hour

// seconds makes a duration of a number of a client.
func seconds(what string, n float64) (time.Duration, error) {
	if n < 0 || n > longestWait.Seconds() {
		return 0, openapi.Errorf(openapi.CodeBadRequest, "%s: %g seconds, want 0 to %g", what, n, longestWait.Seconds())
	}
	return time.Duration(n * float64(time.Second)), nil
}
