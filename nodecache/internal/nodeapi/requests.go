package nodeapi

import (
	"net/http"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/node"
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
	if q.Tier != openapi.TierGPU && (q.Device != "" || q.Hint) {
		return openapi.Errorf(openapi.CodeBadRequest, "device and hint go with the tier gpu, not with %s", q.Tier)
	}
	if err := checkDevice(q.Device); err != nil {
		return err
	}
	o := node.LoadOrder{Ref: ref, Tier: q.Tier, Deadline: deadline, Device: q.Device, Hint: q.Hint}
	if q.DryRun {
		receipt, err := a.node.Plan(r.Context(), o)
		return answer(w, receipt, err)
	}
	receipt, err := a.node.Load(r.Context(), o)
	return answer(w, receipt, err)
}

func (a *API) swap(w http.ResponseWriter, r *http.Request) error {
	q, err := receive[openapi.SwapRequest](w, r)
	if err != nil {
		return err
	}
	if err := checkDevice(q.Device); err != nil {
		return err
	}
	o := node.SwapOrder{Device: q.Device, Priority: q.Priority}
	if o.From, err = parseRef(q.From); err != nil {
		return err
	}
	if o.To, err = parseRef(q.To); err != nil {
		return err
	}
	if o.Deadline, err = seconds("deadline", q.Deadline); err != nil {
		return err
	}
	receipt, err := a.node.Swap(r.Context(), o)
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

func (a *API) materialize(w http.ResponseWriter, r *http.Request) error {
	q, err := receive[openapi.MaterializeRequest](w, r)
	if err != nil {
		return err
	}
	ref, err := parseRef(q.Ref)
	if err != nil {
		return err
	}
	receipt, err := a.node.Materialize(r.Context(), ref)
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

// maxDevice is the most bytes of a GPU's UUID, however it is spelt.
const maxDevice = 64

// checkDevice refuses what is no UUID, so that it is not repeated in errors and logs.
// Which there are the node knows.
func checkDevice(uuid string) error {
	if len(uuid) <= maxDevice && printable(uuid) == uuid {
		return nil
	}
	return openapi.Errorf(openapi.CodeBadRequest, "device %.80q: want the UUID of a GPU", uuid)
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
