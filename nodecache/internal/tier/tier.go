// Package tier owns the contract that every tier of a node keeps: a store of
// chunks by the digest of their plain bytes. Which chunks a tier should hold is
// not its business: package ledger decides, and tells.
//
// Laws:
//   - What Read returns are the bytes that the digest names, or it fails.
//   - A chunk is there whole or not at all.
//   - A tier never takes more than its budget.
package tier

import (
	"context"
	"errors"

	"github.com/ingot-ml/ingot/chunker"
)

// Errors of a Store, wrapped with the chunk's name.
var (
	// ErrAbsent reports a chunk that the tier does not hold.
	ErrAbsent = errors.New("chunk is not in the tier")
	// ErrDamaged reports a chunk whose bytes were not right. The tier has dropped it,
	// so that it can be put again.
	ErrDamaged = errors.New("chunk was damaged and is dropped")
	// ErrFull reports that the budget, or what is below it, has no room.
	ErrFull = errors.New("tier is full")
)

// Exchange is a chunk that comes into the room of another.
type Exchange struct{ Comes, Goes chunker.Ref }

// Store holds chunks. It is safe for concurrent use.
type Store interface {
	// Has reports whether Read would find the chunk.
	Has(d chunker.Digest) bool
	// Read returns the plain bytes of a chunk, written to dst[:0], whose capacity is
	// enough. They are verified as the tier does it.
	Read(ctx context.Context, ref chunker.Ref, dst []byte) ([]byte, error)
	// Put keeps a chunk, whose bytes the caller has verified. enc is its encoded
	// form, nil if the caller has none; both are the caller's again when Put
	// returns. A chunk that is there already is left as it is.
	Put(ctx context.Context, ref chunker.Ref, plain, enc []byte) error
	// Drop forgets a chunk; one that is not there is no mistake.
	Drop(d chunker.Digest)
	// Cost is what a chunk of so many plain bytes may take of the budget at most.
	Cost(size uint32) int64
	// Used is the bytes of the budget that are taken.
	Used() int64
}
