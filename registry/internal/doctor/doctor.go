// Package doctor owns the examination of a store: whether an engine of registers
// and a store of blobs have what the registry's protocols rely on, each property
// by a name and with a sentence of what was seen.
//
// Laws:
//   - A property that is reported as there was put to the test: by a race that a
//     store without it loses, or by a call that it answers wrongly. What no test
//     can show (that a bucket outlives its disks) has no property.
//   - A property is found missing by its own test alone. A test that stands on
//     another property is left out when that one is missing.
//   - Only the scratch that the caller hands over is written to. The caller
//     removes it.
//   - An examination runs its tests one after the other, and has no goroutine
//     left when it returns.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// Store is what is examined: an empty scratch space of the store in question.
type Store struct {
	// Registers are ways to the same registers, each as another replica has one: a
	// client with connections of its own. There is at least one.
	Registers []registers.Engine
	// Blobs are ways to the same blobs, as many.
	Blobs []blobs.Store
	// Sweeper deletes blobs.
	Sweeper blobs.Sweeper
	Now     func() time.Time
	Rand    io.Reader
}

// Depth says how thoroughly a store is examined.
type Depth int

// The depths.
const (
	// Quick takes a few seconds on a store nearby: what serve does before it shares
	// a store with others.
	Quick Depth = iota
	// Thorough takes as long as a minute.
	Thorough
)

// State says how a property was found.
type State string

// The states.
const (
	OK      State = "ok"
	Warning State = "warning" // nothing is lost by it, and somebody should know
	Failed  State = "failed"
	Skipped State = "skipped" // another property is missing that the test needs
)

// Finding is what the examination says of one property.
type Finding struct {
	Property string // its name
	Needs    string // what ingot needs
	State    State
	Saw      string // what was seen
	Do       string // what to do; "" when all is well
}

// verdict is what a test says. Its error is a failure to see anything, and
// fails the property too.
type verdict struct {
	state State
	saw   string
}

func seen(format string, args ...any) (verdict, error) {
	return verdict{OK, fmt.Sprintf(format, args...)}, nil
}

func lacks(format string, args ...any) (verdict, error) {
	return verdict{Failed, fmt.Sprintf(format, args...)}, nil
}

func warns(format string, args ...any) (verdict, error) {
	return verdict{Warning, fmt.Sprintf(format, args...)}, nil
}

// property is something that ingot needs of a store.
type property struct {
	name  string
	needs string
	after []string // properties that its test stands on
	do    string   // what to do when it is missing
	test  func(ctx context.Context, b *bench) (verdict, error)
}

// Examine puts every property to the test, in an order in which each comes after
// those that its test stands on, and tells of each when it is known; told may be
// nil. The error is that of a ctx that ended; what was found until then is
// returned.
func Examine(ctx context.Context, s Store, depth Depth, told func(Finding)) ([]Finding, error) {
	var findings []Finding
	missing := map[string]bool{}
	for _, p := range properties() {
		f, err := examine(ctx, p, newBench(s, p.name, depth), missing)
		if err != nil {
			return findings, err
		}
		missing[p.name] = f.State == Failed || f.State == Skipped
		findings = append(findings, f)
		if told != nil {
			told(f)
		}
	}
	return findings, nil
}

// properties are all there are.
func properties() []property {
	var all []property
	all = append(all, registerProperties()...)
	all = append(all, raceProperties()...)
	all = append(all, listProperties()...)
	return append(all, blobProperties()...)
}

func examine(ctx context.Context, p property, b *bench, missing map[string]bool) (Finding, error) {
	f := Finding{Property: p.name, Needs: p.needs}
	for _, other := range p.after {
		if missing[other] {
			f.State, f.Saw = Skipped, "not examined: it needs "+other
			return f, nil
		}
	}
	v, err := p.test(ctx, b)
	if ended := ctx.Err(); ended != nil {
		return f, fmt.Errorf("examine %s: %w", p.name, errors.Join(ended, err))
	}
	if err != nil {
		v = verdict{Failed, "could not be seen: " + err.Error()}
	}
	f.State, f.Saw = v.state, v.saw
	if f.State != OK {
		f.Do = p.do
	}
	return f, nil
}

// Missing returns the names of the properties that failed.
func Missing(findings []Finding) []string {
	var names []string
	for _, f := range findings {
		if f.State == Failed {
			names = append(names, f.Property)
		}
	}
	return names
}

// Unfit returns an error that names every property that failed and what was seen
// of the first of them, or nil when none did.
func Unfit(findings []Finding) error {
	for _, f := range findings {
		if f.State == Failed {
			return fmt.Errorf("%w: %s: %s (%s)", ErrUnfit, strings.Join(Missing(findings), ", "), f.Saw, f.Do)
		}
	}
	return nil
}

// ErrUnfit reports a store without a property that ingot needs.
var ErrUnfit = errors.New("the store lacks what ingot needs")
