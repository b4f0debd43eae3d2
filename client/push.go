package client

import (
	"context"
	"errors"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// PushOptions say what goes with a push.
type PushOptions struct {
	// Parent is the version that this one was made from; zero for none.
	Parent chunker.Digest
	// Annotations are facts about the version.
	Annotations map[string]string
	// FollowLinks also reads what symbolic links outside the folder point at.
	FollowLinks bool
	// Journal is the folder that remembers interrupted pushes, which later ones go
	// on with; empty for none.
	Journal string
	// Expect is where the tag must be now: a digest, openapi.ExpectNone for a tag
	// that must not exist, or empty for anywhere.
	Expect string
	// Progress may be nil.
	Progress Progress
}

// Push stores the folder or file at path as a version and sets the tag of ref,
// which must have one.
func (r *Registry) Push(ctx context.Context, path string, ref name.Ref, o PushOptions) (Receipt, error) {
	return Receipt{}, errors.New("push: not built")
}
