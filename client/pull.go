package client

import (
	"context"
	"errors"

	"github.com/ingot-ml/ingot/registry/name"
)

// PullOptions say how a version comes into a folder.
type PullOptions struct {
	// Cache keeps received chunks for later pulls; nil for none.
	Cache *Cache
	// Delete removes files of the folder that the version does not have.
	Delete bool
	// Sync returns only after files and folders are on the disk.
	Sync bool
	// Progress may be nil.
	Progress Progress
}

// Pull makes the files of a version in the folder dir, which it creates.
func (r *Registry) Pull(ctx context.Context, ref name.Ref, dir string, o PullOptions) (Receipt, error) {
	return Receipt{}, errors.New("pull: not built")
}
