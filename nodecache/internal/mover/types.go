package mover

import (
	"errors"
	"time"
)

// Errors that a caller decides by. Those of the driver keep their class besides:
// errors.Is tells cuda.ErrOutOfMemory and the others.
var (
	// ErrGone says that there is no mover at the moment, or that it died meanwhile.
	// There will be one again, as State says.
	ErrGone = errors.New("the GPU's mover is gone")
	// ErrClosed says that the Mover was closed.
	ErrClosed = errors.New("the GPU's mover is closed")
	// ErrUnknown says that something named a segment or a slab that the mover does
	// not have, or bytes beyond its end.
	ErrUnknown = errors.New("no such memory")
)

// From is what a Copy writes.
type From uint8

const (
	// FromMemory is bytes of a segment of the RAM tier.
	FromMemory From = iota
	// FromSlab is bytes of a slab, of this GPU too.
	FromSlab
	// FromZero is zeros.
	FromZero
)

// Copy is one run of bytes to write into a slab.
type Copy struct {
	Slab           uint64
	Offset, Length int64
	From           From
	Source         uint64 // segment or slab
	At             int64  // where in it
}

// Range is a part of a slab.
type Range struct {
	Slab           uint64
	Offset, Length int64
}

// Moved is what a list of copies came to, in bytes.
type Moved struct {
	Uploaded     int64 `json:"uploaded,omitempty"`
	DeviceCopied int64 `json:"device_copied,omitempty"`
	Zeroed       int64 `json:"zeroed,omitempty"`
	// Staged is how much of Uploaded was not pinned.
	Staged int64 `json:"staged,omitempty"`
	// Copies is how many the driver was given, of memory and of slabs.
	Copies int `json:"copies,omitempty"`
	// Elapsed is from when the mover began till the stream was idle again.
	Elapsed time.Duration `json:"elapsed,omitempty"`
}

// Info is what a GPU is.
type Info struct {
	Name  string `json:"name"`
	Total int64  `json:"total"` // bytes of memory
	// Granularity is what sizes of slabs are multiples of, in bytes.
	Granularity int64 `json:"granularity"`
	// ReadOnlyRegister tells whether memory that can't be written can be pinned.
	ReadOnlyRegister bool `json:"read_only_register,omitempty"`
}
