package registry

import (
	"context"
	"time"
)

// DefaultReserve is what a disk of that many bytes holds back.
func DefaultReserve(disk int64) int64 { return defaultReserve(disk) }

// OpenIdle opens a registry that works on its own after that much quiet.
func OpenIdle(c Config, idle time.Duration) (*Registry, error) {
	return open(context.Background(), c, idle)
}

// Fail makes r believe that its registers failed with the error that comes.
func Fail(r *Registry, failed <-chan error) { r.failed = failed }

// Indexed reports whether the index of chunks knows all versions.
func Indexed(r *Registry) bool { return !r.place.index.Fresh() }

// ChunkIndex is the index of chunks as the registry's core has it.
type ChunkIndex = chunkIndex
