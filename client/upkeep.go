package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

// CollectGarbage has the registry free what no version needs. It calls progress,
// unless that is nil, every some seconds. The collection ends with ctx; what it has
// not done the next one does. It is not tried again: the error is *openapi.Error,
// ErrUnreachable, also when the answer was cut off, or that of ctx.
func (r *Registry) CollectGarbage(ctx context.Context, q openapi.GCRequest, progress func(openapi.GCProgress)) (openapi.GCReport, error) {
	return work(ctx, r, "gc", q, func(line openapi.GCLine) (*openapi.GCReport, *openapi.Error) {
		if line.Progress != nil && progress != nil {
			progress(*line.Progress)
		}
		return line.Report, line.Error
	})
}

// VerifyStore has the registry look for everything that versions name, and with deep
// read and compare it. It calls progress, unless that is nil, every some seconds.
// What is bad is in the report, and no error. Errors are those of CollectGarbage.
func (r *Registry) VerifyStore(ctx context.Context, deep bool, progress func(openapi.VerifyProgress)) (openapi.VerifyReport, error) {
	return work(ctx, r, "verify", openapi.VerifyRequest{Deep: deep}, func(line openapi.VerifyLine) (*openapi.VerifyReport, *openapi.Error) {
		if line.Progress != nil && progress != nil {
			progress(*line.Progress)
		}
		return line.Report, line.Error
	})
}

// Compact has the registry choose anew how the chunks of a model are stored, or of all
// where repo is empty. It calls progress, unless that is nil, every some seconds. Errors
// are those of CollectGarbage.
func (r *Registry) Compact(ctx context.Context, repo string, progress func(openapi.CompactProgress)) (openapi.CompactReport, error) {
	return work(ctx, r, "compact", openapi.CompactRequest{Repo: repo}, func(line openapi.CompactLine) (*openapi.CompactReport, *openapi.Error) {
		if line.Progress != nil && progress != nil {
			progress(*line.Progress)
		}
		return line.Report, line.Error
	})
}

// work asks for something whose answer is lines, and gives each to take until that
// returns the report or the failure.
func work[Line, Report any](ctx context.Context, r *Registry, what string, ask any, take func(Line) (*Report, *openapi.Error)) (got Report, err error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return got, fmt.Errorf("%s: %w", what, err)
	}
	q := wire.Request{Method: http.MethodPost, Path: []string{"v1", what}, Type: mediaJSON, Accept: openapi.MediaLines, Body: body}
	err = r.wire.Once(ctx, q, func(a wire.Answer) error {
		for text, err := range wire.Lines(a.Body) {
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return fmt.Errorf("%s has broken off its answer: %w", r.wire.Base(), ErrUnreachable)
			case err != nil:
				return err
			}
			var line Line
			if err := json.Unmarshal(text, &line); err != nil {
				return fmt.Errorf("%s does not answer like a registry: %w", r.wire.Base(), err)
			}
			report, failure := take(line)
			if failure != nil {
				failure.Message = wire.Printable(failure.Message)
				return failure
			}
			if report != nil {
				got = *report
				return nil
			}
		}
		return nil
	})
	return got, err
}
