// Package blobs owns the contract of the registry's bulk store: immutable byte
// strings under opaque names. Encoded chunks, bundles of small ones, and the
// bodies of versions are blobs; see docs/formats/registry.md for their names.
//
// Laws, which package blobstest holds every store to:
//   - A name is written once. A second Put leaves the first bytes as they are.
//   - A blob is there whole or not at all, and durable when Put returns.
//   - A name that has been deleted is never used again; that is for callers to
//     keep, by names that no two uploads share.
package blobs

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors of every store, wrapped with the name.
var (
	// ErrNotFound reports a name that no blob has.
	ErrNotFound = errors.New("blob not found")
	// ErrExists reports a Put of a name that has a blob already, perhaps by an
	// earlier try of the same Put. Stat tells whether it is of the same length.
	ErrExists = errors.New("blob exists")
	// ErrNoSpace reports a store without room. It is permanent until somebody makes
	// room.
	ErrNoSpace = errors.New("no space left in the store")
	// ErrUnavailable reports a store that does not answer, or says that it cannot
	// now: what was asked for may work later.
	ErrUnavailable = errors.New("the store cannot be reached")
	// ErrName reports a name that CheckName refuses.
	ErrName = errors.New("invalid blob name")
)

// Info describes a blob.
type Info struct {
	Name     string
	Size     int64     // bytes
	Modified time.Time // when it was made, by the store's clock
}

// Store keeps blobs. All methods are safe for concurrent use.
type Store interface {
	// Put makes a blob of the parts, one behind the other, and returns when it is
	// durable. It fails with ErrExists when the name is taken, and then the bytes
	// that are there stay. The parts are only read, and not kept.
	Put(ctx context.Context, name string, parts ...[]byte) error
	// Open returns a reader of n bytes of the blob from off; n < 0 means all that
	// follow. A range that leaves the blob fails with io.ErrUnexpectedEOF, here or
	// when it is read. Where the store has a file, the reader implements
	// io.WriterTo such that io.Copy to a network connection is a sendfile.
	Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)
	// Stat returns the blob's size, or ErrNotFound.
	Stat(ctx context.Context, name string) (Info, error)
	// List yields the blobs whose names start with prefix and are greater than
	// after, in byte order. It yields every blob that was there during the whole
	// scan, and ends after an error.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
}

// Sweeper deletes blobs. It stands apart from Store because only the collection of
// garbage is given one: nobody else may take a name away.
type Sweeper interface {
	// Delete deletes the blobs, and returns when all are gone and the store has said
	// so. A name without a blob is fine. After an error some are gone and others not.
	Delete(ctx context.Context, names []string) error
}
