package registry

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// errFrozen reports a write to what is open for reading only. Requests that would
// write are refused before they come so far.
var errFrozen = openapi.Errorf(openapi.CodeReadOnly, "this registry is read-only")

// frozenRegisters refuse to be written.
type frozenRegisters struct{ registers.Engine }

// CAS implements registers.Engine.
func (frozenRegisters) CAS(_ context.Context, key string, _ registers.Version, _ []byte) (registers.Version, error) {
	return registers.Absent, fmt.Errorf("write register %q: %w", key, errFrozen)
}

// frozenBlobs refuse to be made and deleted.
type frozenBlobs struct{ blobs.Store }

// Put implements blobs.Store.
func (frozenBlobs) Put(_ context.Context, name string, _ ...[]byte) error {
	return fmt.Errorf("put blob %s: %w", name, errFrozen)
}

// Delete implements blobs.Sweeper.
func (frozenBlobs) Delete(context.Context, []string) error {
	return fmt.Errorf("delete blobs: %w", errFrozen)
}
