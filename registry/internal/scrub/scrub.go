// Package scrub owns the soundness of what a registry stores: it compares the
// objects of the store with what versions name, takes bad ones out of use, heals
// versions from other copies, and rewrites bundles that are mostly garbage.
//
// Laws:
//   - Damage is what a second read says too. A store that does not answer is no
//     damage, and neither is what a collection or a push changes meanwhile: the head
//     of a version is read again before anything is held against it.
//   - Nothing is deleted here. A bad object is put in quarantine, versions are pointed
//     at good copies by protocol R, and a collection takes what no version names any
//     more.
//   - A copy is used only after its bytes were decoded and their digest compared.
//   - A delta is sound when it decodes through the bases that a version names for it.
//     Nothing moves without the bases that it needs.
//   - Memory is bounded: a place is remembered by 16 bytes, in as many passes as a
//     limit asks for, and one body, or one chunk and its bases, for each reader.
package scrub

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// The defaults of a Config.
const (
	// DefaultRate reads a terabyte in nine hours.
	DefaultRate = 32 << 20
	// DefaultPlaces is how many places of chunks a pass remembers, in 16 bytes each
	// and as many again while they are sorted.
	DefaultPlaces = 16 << 20
	// DefaultParallel is how many bodies or objects are read at a time.
	DefaultParallel = 8
)

// Config is what a Scrubber works with. Zero values of the last group mean the
// defaults; Foreign, Rules and Verified may be nil, everything else must be set.
type Config struct {
	Service   *versions.Service
	Registers registers.Engine
	Blobs     blobs.Store
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
	Logger    *slog.Logger

	// Foreign returns objects beside the blobs that are none of the registry's, at
	// most so many.
	Foreign func(ctx context.Context, most int) ([]string, error)
	// Rules returns, in words, rules of the store that delete or move objects.
	Rules func(ctx context.Context) ([]string, error)
	// Verified is told of every verification that is done; nil for nobody.
	Verified func(openapi.VerifyReport)
	// ReadOnly is for a registry that writes nothing: it only tells.
	ReadOnly bool

	Rate     int64 // bytes that Run reads in a second
	Places   int   // that are remembered at a time
	Parallel int
}

// Scrubber verifies, heals and compacts. It is safe for concurrent use, and any
// number may work on the same registry.
type Scrubber struct {
	Config
	book   record.Book
	memory *semaphore.Weighted // for bodies that are read, in bytes

	decoding *semaphore.Weighted     // of deltas
	recodes  *semaphore.Weighted     // one, who has settled
	settled  map[placeHash]placeHash // versions of which nothing is to be stored otherwise, in their states
}

// bodyMemory bounds the bodies that are read at a time, unless a single one is
// larger.
const bodyMemory = 128 << 20

// New returns a Scrubber.
func New(c Config) *Scrubber {
	c.Rate = cmp.Or(c.Rate, DefaultRate)
	c.Places = cmp.Or(c.Places, DefaultPlaces)
	c.Parallel = cmp.Or(c.Parallel, DefaultParallel)
	return &Scrubber{
		Config: c, book: record.Book{Registers: c.Registers, Rand: c.Rand},
		memory: semaphore.NewWeighted(bodyMemory), decoding: semaphore.NewWeighted(int64(c.Parallel)),
		recodes: semaphore.NewWeighted(1), settled: map[placeHash]placeHash{},
	}
}

// What a report names at most, and how many bad chunks of an object are told apart.
const (
	mostPlaces   = 1024
	mostForeign  = 100
	mostVersions = 20 // for one object
)

// verification is one call of Verify.
type verification struct {
	*Scrubber
	began  time.Time
	deep   bool
	tell   func(openapi.VerifyProgress)
	pace   *pace // nil for as fast as it goes
	report openapi.VerifyReport
	*findings
}

// Verify compares everything that is stored, heals what it can, and tells what it
// has found. With deep it reads every chunk; otherwise it looks whether the objects
// are there and as long as they should be. progress, if not nil, is called by one
// goroutine at a time.
func (s *Scrubber) Verify(ctx context.Context, deep bool, progress func(openapi.VerifyProgress)) (openapi.VerifyReport, error) {
	v := s.verification(deep, progress)
	err := v.all(ctx)
	v.report.Seconds = s.Now().Sub(v.began).Seconds()
	if err != nil {
		return v.report, fmt.Errorf("verify what is stored: %w", err)
	}
	s.told(v.report)
	s.Logger.InfoContext(ctx, "verified what is stored", "deep", deep, "versions", v.report.Versions, "objects", v.report.Objects,
		"bad", len(v.report.Bad), "missing", len(v.report.Missing), "healed", v.report.Healed)
	return v.report, nil
}

// told tells whoever counts of a verification.
func (s *Scrubber) told(r openapi.VerifyReport) {
	if s.Config.Verified != nil {
		s.Config.Verified(r)
	}
}

func (s *Scrubber) verification(deep bool, progress func(openapi.VerifyProgress)) *verification {
	var one sync.Mutex // calls progress at a time
	tell := func(p openapi.VerifyProgress) {
		if progress != nil {
			one.Lock()
			defer one.Unlock()
			progress(p)
		}
	}
	return &verification{
		Scrubber: s, began: s.Now(), deep: deep, tell: tell, findings: newFindings(),
		report: openapi.VerifyReport{Bad: []openapi.BadObject{}, Missing: []openapi.BadObject{}, Foreign: []string{}},
	}
}

func (v *verification) all(ctx context.Context) error {
	if _, err := v.Service.Quarantined(ctx); err != nil { // what is bad already
		return err
	}
	if err := v.compare(ctx); err != nil {
		return err
	}
	if v.deep {
		if err := v.deltas(ctx); err != nil {
			return err
		}
	}
	if err := v.registers(ctx); err != nil {
		return err
	}
	if err := v.surroundings(ctx); err != nil {
		return err
	}
	if err := v.settle(ctx); err != nil {
		return err
	}
	v.fill()
	return nil
}

// surroundings looks at what stands around the registry's objects.
func (v *verification) surroundings(ctx context.Context) error {
	if v.Foreign != nil {
		found, err := v.Foreign(ctx, mostForeign)
		if err != nil {
			return fmt.Errorf("look for foreign objects: %w", err)
		}
		// The list of blobs has some of them too, by a shorter name.
		known := slices.DeleteFunc(v.report.Foreign, func(blob string) bool {
			return slices.ContainsFunc(found, func(object string) bool { return strings.HasSuffix(object, "/"+blob) })
		})
		v.report.Foreign = append(known, found...)
	}
	if v.Rules != nil {
		rules, err := v.Rules(ctx)
		if err != nil {
			return fmt.Errorf("look at the store's rules: %w", err)
		}
		v.rules = rules
		v.report.Foreign = append(v.report.Foreign, rules...)
	}
	return nil
}
