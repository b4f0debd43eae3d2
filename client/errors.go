package client

import "errors"

// The failures that are not the registry's own words. Those are *openapi.Error.
var (
	// ErrUnreachable reports a registry that does not answer, or stopped to, for
	// as long as the client is patient. It is transient.
	ErrUnreachable = errors.New("registry unreachable")
	// ErrCorrupt reports bytes that are not what their name says.
	ErrCorrupt = errors.New("corrupt")
	// ErrInput reports a file or folder that cannot be pushed, and names it.
	ErrInput = errors.New("cannot be pushed")
	// ErrBusyFolder reports a folder that another pull works in.
	ErrBusyFolder = errors.New("another pull works in this folder")
)
