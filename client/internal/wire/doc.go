// Package wire owns one exchange with a registry over HTTP: the request, the
// patience to send it again, and the way failures become errors.
//
// Laws:
//   - What may pass by itself is tried again: a failed or stalled connection, a
//     body cut short, and the statuses 408, 429, 500, 502, 503 and 504. Nothing
//     else is. Every call is idempotent.
//   - A call returns after the transport has let go of the caller's bytes.
//   - Nothing that an answer says of its length is trusted.
//   - An address that a registry sends a caller to gets none of what is meant for the
//     registry, and stands in no error.
//   - A token goes to the registry's own scheme, host and port, and over plain HTTP to
//     this machine alone unless told otherwise. It stands in no error either.
package wire
