package client

import (
	"errors"

	"github.com/ingot-ml/ingot/client/internal/folder"
	"github.com/ingot-ml/ingot/client/internal/source"
	"github.com/ingot-ml/ingot/client/internal/wire"
)

// The failures that are not the registry's own words. Those are *openapi.Error.
var (
	// ErrUnreachable reports a registry that does not answer, or stopped to, for
	// as long as the client is patient. It is transient.
	ErrUnreachable = wire.ErrUnreachable
	// ErrPlain reports a token that would have gone over plain HTTP to another machine.
	ErrPlain = wire.ErrPlain
	// ErrCorrupt reports bytes that are not what their name says.
	ErrCorrupt = errors.New("corrupt")
	// ErrInput reports a file or folder that cannot be pushed, and names it.
	ErrInput = source.ErrInput
	// ErrLeaves reports, beside ErrInput, a symbolic link that PushOptions.
	// FollowLinks would read.
	ErrLeaves = source.ErrLeaves
	// ErrBusyFolder reports a folder that another pull works in.
	ErrBusyFolder = folder.ErrBusy
	// ErrObstacle reports what stands in a folder where a file or folder of the
	// version must go, and names it.
	ErrObstacle = folder.ErrObstacle
)
