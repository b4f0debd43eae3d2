// Package agent talks to the ingot agent of this machine, or of another: it asks
// for its status, has versions loaded, and leases them, which maps their tensors
// into the process without a copy.
//
// Laws:
//   - A lease holds its version in the agent's memory until Close, or until the
//     process ends, however it does.
//   - The bytes of a tensor are the agent's own pages, mapped to be read. Only a
//     tensor that cannot be mapped is copied: one that is not aligned for its
//     type, or whose chunks do not end at pages, or one beyond the budget of
//     mappings. Stats counts both.
//   - A lease whose version is whole outlives the agent: the pages stay, and the
//     lease is declared to the next agent as soon as one listens.
//   - Nothing that an agent says of its memory is believed before it is compared
//     with the descriptors that came.
package agent

import "errors"

// The failures that are not the agent's own words. Those are *openapi.Error.
var (
	// ErrNoAgent reports an address at which nothing listens.
	ErrNoAgent = errors.New("no ingot agent listens")
	// ErrLost reports an agent that went away before it had done what was asked, and
	// a stream of tensors that broke with it. Asking again may help.
	ErrLost = errors.New("the ingot agent went away")
	// ErrMissed reports that events came faster than they were read, and that some
	// are gone: look at the status again.
	ErrMissed = errors.New("events were missed")
	// ErrSocket reports a lease that was asked for over HTTP: memory can be shared
	// only over the agent's unix socket.
	ErrSocket = errors.New("leases need the unix socket of an agent on this machine")
	// ErrClosed reports the use of a lease after Close.
	ErrClosed = errors.New("the lease is closed")
	// ErrProtocol reports an agent that speaks against the rules, perhaps because it
	// is of another release.
	ErrProtocol = errors.New("the ingot agent does not keep to the protocol")
)
