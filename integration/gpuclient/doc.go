// Package gpuclient owns a client of leases on a GPU that trusts nobody: it holds
// what the agent sends to the protocol, maps images to read only, and has every
// image looked at before anybody uses it.
//
// Laws:
//   - An image is mapped whole at the addresses of the first one, or not at all.
//   - Nothing is unmapped, and no pause answered, while Use runs.
//   - What the agent may not say ends the lease with ErrRules.
//   - When the lease has ended nothing of it is left: no mapping, no handle, no
//     addresses, no descriptor.
package gpuclient

import "errors"

var (
	// ErrRules reports an agent that breaks the rules of leases.
	ErrRules = errors.New("the agent breaks the rules")
	// ErrParked reports a lease that has no image now.
	ErrParked = errors.New("the lease has no image")
	// ErrEnded reports a lease whose connection is gone.
	ErrEnded = errors.New("the lease has ended")
)
