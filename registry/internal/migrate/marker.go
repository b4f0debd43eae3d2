package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// markerKey is the register that says what became of a migration.
const markerKey = "g/migration"

// foundPrefix is what the keys start with under which replicas write down what they
// found out about their store.
const foundPrefix = "d/"

// own reports whether a register belongs to the place where it is, and not to the
// registry that is kept there. It is not copied.
func own(key string) bool { return key == markerKey || strings.HasPrefix(key, foundPrefix) }

// The states of a migration.
const (
	stateCopying = "copying"
	stateDone    = "done"
)

// marker is the register markerKey of a destination.
type marker struct {
	record.Stamp
	State    string    `json:"state"`
	Source   string    `json:"source"` // for people
	Identity string    `json:"identity"`
	Run      string    `json:"run"` // who works on it: a new one for each run
	Began    time.Time `json:"began"`
	At       time.Time `json:"at"` // when this was written
	// Compared is the name up to which all blobs were copied and compared.
	Compared string `json:"compared,omitempty"`
}

// Check returns ErrUnderWay for a registry that is not yet whole: nobody may serve
// it, or copy it.
func Check(ctx context.Context, e registers.Engine) error {
	var m marker
	at, err := (record.Book{Registers: e}).Load(ctx, markerKey, &m)
	if err != nil {
		return fmt.Errorf("look for a migration: %w", err)
	}
	if at == registers.Absent || m.State == stateDone {
		return nil
	}
	return fmt.Errorf("%w: it began at %s, from %.200s; run \"ingot migrate\" from there once more to finish it",
		ErrUnderWay, m.Began.Format(time.RFC3339), m.Source)
}

// begin claims the destination: an empty one, or one that an earlier run with the
// same source has left.
func (r *run) begin(ctx context.Context) error {
	at, err := r.book.Load(ctx, markerKey, &r.marker)
	if err != nil {
		return fmt.Errorf("look for an earlier run: %w", err)
	}
	switch {
	case at == registers.Absent:
		if err := r.empty(ctx); err != nil {
			return err
		}
		r.marker = marker{Source: r.Source, Identity: r.Identity, Began: r.Now().UTC()}
	case r.marker.State == stateDone:
		return fmt.Errorf("%w: it holds a registry, which was copied from %.200s by %s; choose another destination",
			ErrTaken, r.marker.Source, r.marker.At.Format(time.RFC3339))
	case r.marker.Identity != r.Identity:
		return fmt.Errorf("%w: a migration from %.200s is under way there; finish that, or choose another destination", ErrTaken, r.marker.Source)
	}
	r.marker.State = stateCopying
	if r.marker.Run, err = r.book.Token(record.NonceLen); err != nil {
		return err
	}
	r.at = at
	return r.save(ctx)
}

// empty fails unless there is nothing in the destination.
func (r *run) empty(ctx context.Context) error {
	err := r.book.Each(ctx, "", "", func(e registers.Entry) (bool, error) {
		if own(e.Key) {
			return true, nil
		}
		return false, fmt.Errorf("%w: it holds a registry, with the register %q; choose another destination", ErrTaken, e.Key)
	})
	if err != nil {
		return fmt.Errorf("look into the destination: %w", err)
	}
	for info, err := range r.To.Blobs.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("look into the destination: %w", err)
		}
		return fmt.Errorf("%w: it holds the blob %q; choose another destination", ErrTaken, info.Name)
	}
	return nil
}

// save writes the marker over what this run wrote last.
func (r *run) save(ctx context.Context) error {
	r.marker.At = r.Now().UTC()
	at, err := r.book.Swap(ctx, markerKey, r.at, &r.marker)
	if errors.Is(err, registers.ErrConflict) {
		return fmt.Errorf("%w: %w", ErrOvertaken, err)
	}
	if err != nil {
		return fmt.Errorf("write down how far the migration is: %w", err)
	}
	r.at = at
	return nil
}

// owns fails when another run has taken over. What was read of the destination
// before it was read while nobody was served there.
func (r *run) owns(ctx context.Context) error {
	_, at, err := r.To.Registers.Get(ctx, markerKey)
	if err == nil && at != r.at {
		err = ErrOvertaken
	}
	return err
}

// end lets the destination be served.
func (r *run) end(ctx context.Context) error {
	r.marker.State = stateDone
	r.marker.Compared = ""
	return r.save(ctx)
}
