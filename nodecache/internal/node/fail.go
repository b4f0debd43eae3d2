package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/openapi"
)

// mostHolders is how many of those who have the room an error names.
const mostHolders = 5

// told turns an error into what callers are told of it: an *openapi.Error, whose
// code says what they can do.
func told(what string, err error) error {
	var wire *openapi.Error
	var full *ledger.FullError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wire):
		return openapi.Errorf(wire.Code, "%s: %s", what, wire.Message)
	case errors.As(err, &full):
		return fullError(what, full)
	case errors.Is(err, gpu.ErrNotOn):
		return openapi.Errorf(openapi.CodeNotFound, "%s: %v", what, err)
	case errors.Is(err, gpu.ErrNoTensors):
		return openapi.Errorf(openapi.CodeBadRequest, "%s: %v", what, err)
	case errors.Is(err, gpu.ErrPause), errors.Is(err, gpu.ErrMemory), errors.Is(err, cuda.ErrOutOfMemory):
		return openapi.Errorf(openapi.CodeBusy, "%s: %v", what, err)
	case errors.Is(err, gpu.ErrLost), errors.Is(err, gpu.ErrClosed), errors.Is(err, mover.ErrGone),
		errors.Is(err, mover.ErrClosed), errors.Is(err, cuda.ErrSticky), errors.Is(err, cuda.ErrNoDevice):
		return openapi.Errorf(openapi.CodeUnavailable, "%s: %v", what, err)
	case errors.Is(err, tier.ErrFull):
		return openapi.Errorf(openapi.CodeNoSpace, "%s: %v", what, err)
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return openapi.Errorf(openapi.CodeUnavailable, "%s: %v", what, err)
	case errors.Is(err, client.ErrCorrupt):
		return openapi.Errorf(openapi.CodeBadChunk, "%s: %v", what, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return openapi.Errorf(openapi.CodeInternal, "%s: %v", what, err)
}

// fullError says how much is needed, and who has it.
func fullError(what string, full *ledger.FullError) error {
	if errors.Is(full, ledger.ErrTooLarge) {
		return openapi.Errorf(openapi.CodeTooLarge, "%s: it needs %s and the budget is %s",
			what, spell(full.Need), spell(full.Budget))
	}
	need := fmt.Sprintf("it needs %s more, and %s of %s are free", spell(full.Need), spell(full.Free), spell(full.Budget))
	if full.Count > 0 {
		need = fmt.Sprintf("the tier has room for %d models", full.Count)
	}
	held := make([]string, 0, mostHolders+1)
	for i, h := range full.Holders {
		if i == mostHolders {
			held = append(held, fmt.Sprintf("%d more", len(full.Holders)-i))
			break
		}
		held = append(held, holder(h))
	}
	return openapi.Errorf(openapi.CodeBusy, "%s: %s; in use are %s", what, need, strings.Join(held, ", "))
}

func holder(h ledger.Holder) string {
	who := h.Name
	if who == "" {
		who = h.Key.String()
	}
	switch {
	case h.Leases > 0:
		who += fmt.Sprintf(" (%s, %d leases)", spell(h.Bytes), h.Leases)
	case h.Pinned:
		who += fmt.Sprintf(" (%s, pinned)", spell(h.Bytes))
	default:
		who += fmt.Sprintf(" (%s)", spell(h.Bytes))
	}
	return who
}

// spell writes a number of bytes for people.
func spell(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}
