// Package registers owns the contract of the registry's metadata: single keys
// that are read, compared and swapped, and listed. Tags, heads of versions, push
// records and the state of collection are registers; see docs/formats/registry.md
// for their keys.
//
// Laws, which package registerstest holds every engine to:
//   - Each key is linearizable. Nothing is promised across keys.
//   - There is no Delete: a key that has been made keeps a value, at the end a
//     tombstone of its owner, so a version that was once seen never comes back.
//   - A CAS that returned nil is durable.
package registers

import (
	"context"
	"errors"
)

// Errors of every engine, wrapped with the key.
var (
	// ErrNotFound reports a key that was never written.
	ErrNotFound = errors.New("register not found")
	// ErrConflict reports that the register's version was not the wanted one. The
	// write has not happened and will not.
	ErrConflict = errors.New("register changed")
	// ErrUnknown reports a write that may have happened or may happen yet: the
	// caller reads again and looks for its own nonce, or fences the write by
	// another CAS. See Settle.
	ErrUnknown = errors.New("outcome of the write unknown")
	// ErrLimit reports a key, value or count beyond the limits below. It is
	// permanent.
	ErrLimit = errors.New("beyond the limits of a register")
)

// Version is the opaque version of a register's value. Two values that were
// written by different calls have different versions, even if they are equal.
type Version string

// Absent is the version of a key that was never written.
const Absent Version = ""

// Limits that every engine accepts, and beyond which it answers ErrLimit.
const (
	MaxKey     = 512      // bytes
	MaxSegment = 255      // bytes of a key between two slashes
	MaxValue   = 64 << 10 // bytes
	MaxList    = 1000     // entries of one List
)

// Entry is one register in a List.
type Entry struct {
	Key     string
	Version Version
}

// Engine keeps registers. All methods are safe for concurrent use. An engine
// does not retry a CAS by itself; it may retry reads. Values are copied: neither
// side keeps the other's slice.
type Engine interface {
	// Get returns the value and its version, or ErrNotFound.
	Get(ctx context.Context, key string) ([]byte, Version, error)
	// CAS writes val if the register's version is want, Absent to make it, and
	// returns the new version. It fails with ErrConflict or ErrUnknown.
	CAS(ctx context.Context, key string, want Version, val []byte) (Version, error)
	// List returns up to n entries, in the byte order of their keys, whose keys
	// start with prefix and are greater than after; n is 1 to MaxList. Fewer than n
	// entries mean the end. A scan by repeated calls returns every key that existed
	// during the whole scan.
	List(ctx context.Context, prefix, after string, n int) ([]Entry, error)
}
