package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/ingot-ml/ingot/openapi"
)

// maxAnswer bounds a JSON answer in bytes: the longest is the status of an agent
// that offers a hundred thousand models.
const maxAnswer = 128 << 20

// Status returns what the agent holds and does.
func (a *Agent) Status(ctx context.Context) (openapi.NodeStatus, error) {
	return call[openapi.NodeStatus](ctx, a, http.MethodGet, "/v1/status", nil)
}

// Load brings a version into a tier and returns when it is there, or, with
// DryRun, says what that would take.
func (a *Agent) Load(ctx context.Context, q openapi.LoadRequest) (openapi.LoadReceipt, error) {
	return call[openapi.LoadReceipt](ctx, a, http.MethodPost, "/v1/load", q)
}

// Swap has those who use a version on a GPU use another, and returns when all may
// go on.
func (a *Agent) Swap(ctx context.Context, q openapi.SwapRequest) (openapi.SwapReceipt, error) {
	return call[openapi.SwapReceipt](ctx, a, http.MethodPost, "/v1/swap", q)
}

// Unload lets a version fall to a slower tier.
func (a *Agent) Unload(ctx context.Context, q openapi.UnloadRequest) (openapi.UnloadReceipt, error) {
	return call[openapi.UnloadReceipt](ctx, a, http.MethodPost, "/v1/unload", q)
}

// Pin keeps a version in its tier, or ends that.
func (a *Agent) Pin(ctx context.Context, q openapi.PinRequest) (openapi.ModelStatus, error) {
	return call[openapi.ModelStatus](ctx, a, http.MethodPost, "/v1/pin", q)
}

// Materialize makes the files of a version, and returns when all are there.
func (a *Agent) Materialize(ctx context.Context, q openapi.MaterializeRequest) (openapi.MaterializeReceipt, error) {
	return call[openapi.MaterializeReceipt](ctx, a, http.MethodPost, "/v1/materialize", q)
}

// Ready returns nil when the agent takes work, and otherwise why it does not.
func (a *Agent) Ready(ctx context.Context) error {
	_, err := call[openapi.Health](ctx, a, http.MethodGet, "/readyz", nil)
	return err
}

// call makes one request with JSON both ways.
func call[T any](ctx context.Context, a *Agent, method, path string, in any) (out T, err error) {
	r, err := a.send(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	defer func() { _ = r.Body.Close() }() // read to its end, or of no use
	b, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer+1))
	if err != nil {
		return out, a.explain(ctx, err)
	}
	if len(b) > maxAnswer {
		return out, fmt.Errorf("agent %s: %s answers more than %d bytes: %w", a.address, path, maxAnswer, ErrProtocol)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return out, fmt.Errorf("agent %s: answer of %s: %w: %w", a.address, path, err, ErrProtocol)
	}
	return out, nil
}

// send makes one request; an answer that is none of success is its error.
func (a *Agent) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("agent %s: %s: %w", a.address, path, err)
		}
		body = bytes.NewReader(b)
	}
	q, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", a.address, err)
	}
	if in != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	r, err := a.do(q)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		defer func() { _ = r.Body.Close() }() // as in call
		return nil, a.refusal(r)
	}
	return r, nil
}

// refusal reads the error that an answer carries.
func (a *Agent) refusal(r *http.Response) error {
	var body openapi.ErrorBody
	b, err := io.ReadAll(io.LimitReader(r.Body, openapi.MaxJSON))
	if err == nil {
		err = json.Unmarshal(b, &body)
	}
	if err != nil || body.Error == nil {
		return fmt.Errorf("agent %s answers %.80s: %w", a.address, r.Status, ErrProtocol)
	}
	return body.Error
}

// explain says what a failed connection means to the caller.
func (a *Agent) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("agent %s: %w", a.address, context.Cause(ctx))
	}
	op, dialled := errors.AsType[*net.OpError](err)
	switch {
	case dialled && op.Op == "dial" && !errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w at %s (%w): start one by 'ingot agent', or say by %s where it is", ErrNoAgent, a.address, op.Err, EnvAddress)
	case dialled && op.Op == "dial":
		return fmt.Errorf("agent %s: %w: ask its owner for access to the socket", a.address, op.Err)
	}
	return fmt.Errorf("agent %s: %w: %w", a.address, ErrLost, err)
}
