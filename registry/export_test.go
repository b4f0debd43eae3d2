package registry

import (
	"context"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/doctor"
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

// DropUploads drops the uploads that were made before a time.
func DropUploads(r *Registry, before time.Time) (int, error) {
	return r.service.DropUploads(context.Background(), before)
}

// ChunkIndex is the index of chunks as the registry's core has it.
type ChunkIndex = chunkIndex

// ExamineQuickly is Examine with less of everything.
func ExamineQuickly(ctx context.Context, t Target) (Examination, error) {
	return (&examination{depth: doctor.Quick}).examine(ctx, t)
}

// ExamineOutside is Examine without the tests of the store itself.
func ExamineOutside(ctx context.Context, t Target) (Examination, error) {
	return (&examination{outside: true}).examine(ctx, t)
}
