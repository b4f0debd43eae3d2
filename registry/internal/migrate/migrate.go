// Package migrate owns the copying of a whole registry from one store to another:
// from a disk to an object store, back, or to a folder as a backup.
//
// Laws:
//   - The source is only read. Its names and values arrive byte for byte.
//   - A register of the destination says from the first write to the last that it
//     is being filled, and by what. A destination that says so is not served, and
//     can only be filled on from the same source.
//   - It is finished only when every blob that was copied was read back and
//     compared, every register compared, and the source was not written to from
//     before the first blob was looked for until after the last register was.
//   - A run that was taken over by another writes nothing that the other, or those
//     who are served after it, could miss.
//   - Memory is bounded by Config.Memory and a page of names, whatever there is to
//     copy.
//
// Everything is copied but what belongs to the place and not to the registry: the
// mark of a migration, and what was found out about the store; and the lists of
// collections that have ended: they only let pushes go on that began before. Such a
// push is told to begin again.
package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// Errors of this package.
var (
	// ErrUnderWay reports a registry that a migration has not finished to fill.
	ErrUnderWay = errors.New("a migration into it has not ended")
	// ErrTaken reports a destination that holds something else.
	ErrTaken = errors.New("the destination is not empty")
	// ErrWritten reports a source that was written to during its migration.
	ErrWritten = errors.New("the source was written to meanwhile")
	// ErrDiffers reports a destination that has other bytes than the source.
	ErrDiffers = errors.New("the destination differs from the source")
	// ErrOvertaken reports a run that another one took over.
	ErrOvertaken = errors.New("another run of the migration goes on with it")
)

// Side is a registry's registers and blobs.
type Side struct {
	Registers registers.Engine
	Blobs     blobs.Store
}

// Config says what is copied where.
type Config struct {
	From, To Side
	// Source names the source to people, and Identity to the next run: it may not
	// go on from another.
	Source, Identity string
	// Memory bounds the bytes of blobs that are in memory at a time; 0 is
	// DefaultMemory. A blob that is larger is copied alone.
	Memory int64
	// Workers is how much is copied at a time; 0 is DefaultWorkers.
	Workers  int
	Progress func(Progress) // may be nil; calls do not overlap
	Now      func() time.Time
	Rand     io.Reader // must be safe for concurrent use
}

// The defaults of a Config.
const (
	DefaultMemory  = 256 << 20
	DefaultWorkers = 16
)

// The phases of a run, in their order.
const (
	PhaseBlobs     = "blobs"
	PhaseRegisters = "registers"
	PhaseCompare   = "compare"
)

// Progress says how far a run is: with how many blobs or registers of its phase.
type Progress struct {
	Phase string
	Done  int64
}

// Report is what a run did.
type Report struct {
	Copied, CopiedBytes int64 // blobs
	Found, FoundBytes   int64 // blobs that an earlier run had copied
	Left                int64 // blobs of an earlier run that the source has no longer
	Registers           int64
}

// run is a migration under way.
type run struct {
	Config
	book   record.Book // of the destination
	marker marker
	at     registers.Version // of marker
	report Report
}

// Run copies. A run that was interrupted, in whatever way, is gone on with by the
// next one with the same source. The report is right also with an error.
func Run(ctx context.Context, c Config) (Report, error) {
	c.Memory = cmp.Or(max(0, c.Memory), DefaultMemory)
	c.Workers = cmp.Or(max(0, c.Workers), DefaultWorkers)
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	r := &run{Config: c, book: record.Book{Registers: c.To.Registers, Rand: c.Rand}}
	err := r.all(ctx)
	if err != nil {
		err = fmt.Errorf("migrate %s: %w", c.Source, err)
	}
	return r.report, err
}

func (r *run) all(ctx context.Context) error {
	if err := Check(ctx, r.From.Registers); err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	before, err := r.scan(ctx)
	if err != nil {
		return err
	}
	if err := r.copyBlobs(ctx); err != nil {
		return err
	}
	during, err := r.copyRegisters(ctx)
	if err != nil {
		return err
	}
	differs := r.compareRegisters(ctx)
	if differs != nil && !errors.Is(differs, ErrDiffers) {
		return differs
	}
	after, err := r.scan(ctx)
	if err != nil {
		return err
	}
	if before != during || during != after { // which is why it differs, if it does
		return fmt.Errorf("%w; %s", ErrWritten, rest)
	}
	if differs != nil {
		return differs
	}
	return r.end(ctx)
}

// rest is what to do with a source that is written to.
const rest = "serve it with --read-only, or not at all, and run the migration again; what is copied stays"
