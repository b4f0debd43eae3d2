// Package collect owns the collection of garbage: it finds the objects that no
// version needs any more, and deletes them while others push.
//
// Laws:
//   - A collection publishes what it may delete (G2), then reads again what is
//     referenced (G3), and deletes only what is in both (G4, G5). A push publishes
//     what it needs, then reads what collections have published. So one of the two
//     sees the other.
//   - What is deleted is decided by one write of one register. Who takes a
//     collection over deletes what was decided, and decides nothing again.
//   - No clock decides what is safe. The grace only decides what is worth a try.
//   - What cannot be understood is kept: an object that the registry did not name,
//     a body that no head or push knows, and everything while the body of a version
//     cannot be read.
//   - Memory is bounded: names are remembered by 8 bytes, in as many passes as a
//     limit asks for, and a collection deletes at most placement.MaxList objects.
//
// The steps are numbered as in docs/formats/registry.md, section "Collection". Any
// number of collectors may run at the same time, and any of them may end at any
// step: the next one goes on.
package collect

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// The defaults of a Config.
const (
	// DefaultGrace is longer than a push with a night in it.
	DefaultGrace = 48 * time.Hour
	// DefaultReaders is longer than somebody reads a version who began before it was
	// retired.
	DefaultReaders = 24 * time.Hour
	// DefaultNames is how many names a pass remembers, in 8 bytes each.
	DefaultNames = 32 << 20
)

// Config is what a Collector works with. Zero values of the last group mean the
// defaults; Retire may be nil, everything else must be set.
type Config struct {
	Registers registers.Engine
	Blobs     blobs.Store
	Sweeper   blobs.Sweeper
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
	Logger    *slog.Logger
	Owner     string // tells people who collects

	// Untagged is how old a version has to be that no tag points at to be retired; 0
	// keeps such versions for ever. Retire does it.
	Untagged time.Duration
	Retire   func(context.Context, name.Repo, chunker.Digest) error

	// Grace is how old, by the store's clock, an object has to be that nothing needs.
	// Readers is how long a retired version is still read. Both only save others the
	// trouble of doing something again. Negative is none.
	Grace   time.Duration
	Readers time.Duration
	// Names bounds the names that are remembered at a time.
	Names int
	// Parallel is how many registers or bodies are read at a time; 0 is 16.
	Parallel int
}

// Collector collects. It is safe for concurrent use.
type Collector struct {
	Config
	book   record.Book
	memory *semaphore.Weighted // for bodies that are read, in bytes
	gone   *gone
}

// bodyMemory bounds the bodies that are read at a time, unless a single one is
// larger.
const bodyMemory = 256 << 20

// New returns a Collector.
func New(c Config) *Collector {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Grace = cmp.Or(c.Grace, DefaultGrace)
	c.Readers = cmp.Or(c.Readers, DefaultReaders)
	c.Names = cmp.Or(c.Names, DefaultNames)
	c.Parallel = cmp.Or(c.Parallel, 16)
	return &Collector{
		Config: c,
		book:   record.Book{Registers: c.Registers, Rand: c.Rand},
		memory: semaphore.NewWeighted(bodyMemory),
		gone:   newGone(),
	}
}

// Options says what one collection is to do.
type Options struct {
	// DryRun only tells what would be freed. Nothing is written.
	DryRun bool
	// Grace is used in place of the Collector's; 0 also frees what open pushes have
	// uploaded and what retired versions are still read for, and costs them a retry.
	Grace *time.Duration
	// Progress, if not nil, is called now and then, by one goroutine at a time.
	Progress func(openapi.GCProgress)
}

// rounds bounds how often a collection begins again because another was faster.
const rounds = 16

// run is one call of Run.
type run struct {
	*Collector
	Options
	grace   time.Duration
	readers time.Duration
	report  openapi.GCReport
}

// Run finishes the collection that is under way, if there is one, and then does
// one of its own. It may be called at any time, by any number of processes.
func (c *Collector) Run(ctx context.Context, o Options) (openapi.GCReport, error) {
	began := c.Now()
	r := &run{Collector: c, Options: o, grace: c.Grace, readers: c.Readers}
	if o.Grace != nil {
		r.grace = *o.Grace
		r.readers = min(r.readers, *o.Grace)
	}
	r.report = openapi.GCReport{DryRun: o.DryRun, Kept: map[string]openapi.GCTotal{}, Anomalies: []string{}}
	err := r.collect(ctx)
	r.report.Seconds = c.Now().Sub(began).Seconds()
	if err != nil {
		return r.report, fmt.Errorf("collect garbage: %w", err)
	}
	c.Logger.InfoContext(ctx, "garbage collected", "dry_run", o.DryRun, "epoch", r.report.Epoch,
		"freed_objects", r.report.Freed.Objects, "freed_bytes", r.report.Freed.Bytes, "objects", r.report.Objects)
	return r.report, nil
}

// collect is G0: it goes on where the register says that collection is.
func (r *run) collect(ctx context.Context) error {
	for range rounds {
		s, err := r.load(ctx)
		if err != nil {
			return err
		}
		r.report.Epoch = s.Epoch
		if r.DryRun || s.Phase == record.Idle {
			done, err := r.cycle(ctx, s)
			if done || err != nil && !lost(err) {
				return err
			}
			continue
		}
		if err := r.takeOver(ctx, s); err != nil && !lost(err) {
			return err
		}
	}
	return openapi.Errorf(openapi.CodeBusy, "others collect at the same time: try again later")
}

func lost(err error) bool { return errors.Is(err, registers.ErrConflict) }

// state is the register of collection as it was read.
type state struct {
	record.Collection
	at registers.Version
}

func (c *Collector) load(ctx context.Context) (*state, error) {
	s := &state{Collection: record.Collection{Phase: record.Idle}}
	var err error
	s.at, err = c.book.Load(ctx, record.CollectionKey, &s.Collection)
	return s, err
}

// write moves the state on, if it is still what it was.
func (c *Collector) write(ctx context.Context, s *state, phase, list string) error {
	s.Phase, s.List, s.Owner, s.At = phase, list, c.Owner, c.Now().UTC()
	at, err := c.book.Swap(ctx, record.CollectionKey, s.at, &s.Collection)
	s.at = at
	return err
}

// cycle is a collection from its beginning. done is false when another began one
// in the meantime.
func (r *run) cycle(ctx context.Context, s *state) (done bool, err error) {
	m := newMarks(r)
	found, err := r.find(ctx, m) // G1
	if err != nil {
		return false, err
	}
	if r.DryRun {
		r.count(found)
		return true, nil
	}
	if len(found.names) == 0 {
		if err := r.write(ctx, s, record.Idle, ""); err != nil && !lost(err) {
			return true, err // it only tells others when it was
		}
		return true, nil
	}
	if err := r.publish(ctx, s, found.names); err != nil { // G2
		return false, err
	}
	if err := r.decide(ctx, s, found, m.seen); err != nil { // G3, G4
		return false, err
	}
	r.count(found)
	return true, r.sweep(ctx, s, found.names)
}

// takeOver finishes what another collector has begun.
func (r *run) takeOver(ctx context.Context, s *state) error {
	names, err := r.readList(ctx, s.List)
	if errors.Is(err, blobs.ErrNotFound) || errors.Is(err, placement.ErrInvalid) {
		// What it was to delete is not known, so it deletes nothing: all of that is
		// garbage for the next collection. Pushes that need the list start again.
		r.anomaly("collection %d is given up: %v", s.Epoch, err)
		return r.write(ctx, s, record.Idle, "")
	}
	if err != nil {
		return err
	}
	found := &candidates{names: names}
	if s.Phase != record.Sweeping {
		if err := r.decide(ctx, s, found, nil); err != nil {
			return err
		}
	}
	return r.sweep(ctx, s, found.names)
}

// maxListBytes bounds the blob of a list: its names at about their longest.
const maxListBytes = 160 << 20

func (c *Collector) readList(ctx context.Context, blob string) ([]string, error) {
	raw, err := blobs.Read(ctx, c.Blobs, blob, maxListBytes)
	if err != nil {
		return nil, fmt.Errorf("read list of collection: %w", err)
	}
	names, err := placement.ReadList(blob, raw)
	if err != nil {
		return nil, fmt.Errorf("read list of collection %q: %w", blob, err)
	}
	return names, nil
}

// Due reports whether no collection has begun or ended for that long, as far as this
// clock tells: it keeps collectors from working side by side for nothing.
func (c *Collector) Due(ctx context.Context, since time.Duration) (bool, error) {
	s, err := c.load(ctx)
	if err != nil {
		return false, fmt.Errorf("look when garbage was collected: %w", err)
	}
	return c.Now().Sub(s.At) >= since, nil
}

func (r *run) tell(phase string, done, total int64) {
	if r.Progress != nil {
		r.Progress(openapi.GCProgress{Phase: phase, Epoch: r.report.Epoch, Done: done, Total: total})
	}
}

// anomaly notes what should not be.
func (r *run) anomaly(format string, args ...any) {
	if len(r.report.Anomalies) < openapi.MaxAnomalies {
		r.report.Anomalies = append(r.report.Anomalies, fmt.Sprintf(format, args...))
	}
}
