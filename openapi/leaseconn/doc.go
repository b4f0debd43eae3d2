// Package leaseconn owns how frames travel, those of a lease first of all: each
// as four bytes of length, most significant first, and that many bytes of JSON,
// over a unix socket that carries descriptors beside them.
//
// Laws:
//   - Descriptors come with the first byte of the frame that they belong to, and
//     with no other byte.
//   - A frame takes no more memory than has arrived of it, whatever length it
//     announces, and never more than the reader's limit.
//   - Every descriptor that arrives is given to the caller or closed.
//   - A peer that stops to read ends a write after the connection's patience.
package leaseconn

import "errors"

// ErrFrame reports bytes that are no frame, or one beyond its limits. The
// connection is of no use any more.
var ErrFrame = errors.New("malformed lease frame")
