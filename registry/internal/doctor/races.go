package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// raceProperties are those that only writers at the same time see.
func raceProperties() []property {
	return []property{
		{
			name:  "create-atomic",
			needs: "of those who make a register at the same time, one succeeds",
			after: []string{"read-after-write", "create-refused"},
			do:    useAnother + "; with this one not even one replica is safe from its own late writes",
			test:  testCreateAtomic,
		},
		{
			name:  "overwrite-atomic",
			needs: "of those who write over the same version at the same time, one succeeds",
			after: []string{"read-after-write", "overwrite-refused"},
			do:    useAnother + "; or serve this one by one process alone, which --alone promises",
			test:  testOverwriteAtomic,
		},
		{
			name:  "read-atomic",
			needs: "a value is read with its own version, also while it is written over",
			after: []string{"read-after-write", "overwrite-refused", "overwrite-atomic"},
			do:    useAnother + "; or serve this one by one process alone, which --alone promises",
			test:  testReadAtomic,
		},
	}
}

// larger is a value that takes a store a while to write, so that what it decides
// before is old when it has written. Every second race is over such values.
const larger = 48 << 10

func raceSize(round int) int { return round % 2 * larger }

// outcome is what became of the writes of one race.
type outcome struct {
	won     [][]byte // values whose writes were acknowledged
	refused int
	unknown int
}

// race sends writes over the same version at the same time.
func (b *bench) race(ctx context.Context, key string, want registers.Version, size int) (outcome, error) {
	var o outcome
	var mu sync.Mutex // protects o
	start := make(chan struct{})
	var ready sync.WaitGroup
	ready.Add(b.writers)
	go func() { ready.Wait(); close(start) }()
	err := together(b.writers, func(i int) error {
		val, err := b.unique(size)
		if err == nil {
			err = b.warm(ctx, i, key)
		}
		ready.Done()
		<-start
		if err != nil {
			return err
		}
		_, err = b.engine(i).CAS(ctx, key, want, val)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			o.won = append(o.won, val)
		case errors.Is(err, registers.ErrUnknown):
			o.unknown++
		case errors.Is(err, registers.ErrConflict):
			o.refused++
		default:
			return err
		}
		return nil
	})
	<-start // and so its goroutine has ended
	return o, err
}

// warm makes a connection of the i-th writer ready, by a read.
func (b *bench) warm(ctx context.Context, i int, key string) error {
	_, _, err := b.engine(i).Get(ctx, key)
	if errors.Is(err, registers.ErrNotFound) {
		return nil
	}
	return err
}

// decided returns what is wrong with a race over a register that now holds val,
// or "". A write of unknown outcome may have been the one that won.
func (o outcome) decided(val []byte) string {
	switch {
	case len(o.won) > 1:
		return fmt.Sprintf("%d writers were acknowledged", len(o.won))
	case len(o.won) == 1 && !bytes.Equal(val, o.won[0]):
		return "the value of another than the acknowledged writer is there"
	}
	return ""
}

// testCreateAtomic has all writers make the same registers, each as fast as it can:
// who finds one that is there, or loses it, goes on with the next, so that all of
// them stay together.
func testCreateAtomic(ctx context.Context, b *bench) (verdict, error) {
	won := make([][][]byte, b.creations)
	var mu sync.Mutex // protects won
	err := together(b.writers, func(i int) error {
		for round := range b.creations {
			key := b.key("%d", round)
			if _, _, err := b.engine(i).Get(ctx, key); !errors.Is(err, registers.ErrNotFound) {
				if err != nil {
					return err
				}
				continue
			}
			val, err := b.unique(0)
			if err != nil {
				return err
			}
			_, err = b.engine(i).CAS(ctx, key, registers.Absent, val)
			switch {
			case err == nil:
				mu.Lock()
				won[round] = append(won[round], val)
				mu.Unlock()
			case !errors.Is(err, registers.ErrConflict) && !errors.Is(err, registers.ErrUnknown):
				return err
			}
		}
		return nil
	})
	if err != nil {
		return verdict{}, err
	}
	t := tally{what: "races to make a register"}
	for round := range won {
		val, _, err := b.engine(round).Get(ctx, b.key("%d", round))
		if err != nil && !errors.Is(err, registers.ErrNotFound) {
			return verdict{}, err
		}
		o := outcome{won: won[round]}
		t.count(o, o.decided(val))
	}
	return t.verdict(b.writers)
}

// testOverwriteAtomic has writers meet over a version that all of them have read,
// and then over those of a counter, as fast as they can.
func testOverwriteAtomic(ctx context.Context, b *bench) (verdict, error) {
	key := b.key("k")
	if _, _, err := b.write(ctx, 0, key, registers.Absent); err != nil {
		return verdict{}, err
	}
	t := tally{what: "races over one version"}
	for round := range b.overwrites {
		_, version, err := b.engine(round).Get(ctx, key)
		if err != nil {
			return verdict{}, err
		}
		o, err := b.race(ctx, key, version, raceSize(round))
		if err != nil {
			return verdict{}, err
		}
		val, _, err := b.engine(round).Get(ctx, key)
		if err != nil {
			return verdict{}, err
		}
		t.count(o, o.decided(val))
	}
	c, err := b.countTogether(ctx)
	if err != nil {
		return verdict{}, err
	}
	if twice := c.twice(); twice > 0 {
		return lacks("%d of %d versions of a counter, and in %d of %d races that of a register, were written over by two writers who were both acknowledged",
			twice, c.acknowledged, t.bad, t.races)
	}
	v, err := t.verdict(b.writers)
	if v.state == OK {
		v.saw += fmt.Sprintf("; nor one over the versions of a counter in %d additions", c.acknowledged)
	}
	return v, err
}

// tally counts the races of a test.
type tally struct {
	what    string
	races   int
	won     int // races with a winner
	unknown int // answers that were lost
	bad     int
	first   string // what was wrong with the first bad one
}

func (t *tally) count(o outcome, wrong string) {
	t.races++
	t.won += min(1, len(o.won))
	t.unknown += o.unknown
	if wrong == "" {
		return
	}
	if t.bad++; t.bad == 1 {
		t.first = wrong
	}
}

func (t *tally) verdict(writers int) (verdict, error) {
	switch {
	case t.bad > 0:
		return lacks("%d of %d %s between %d writers went wrong: in the first, %s", t.bad, t.races, t.what, writers, t.first)
	case t.won == 0:
		return lacks("in none of %d %s was any of %d writers acknowledged", t.races, t.what, writers)
	case t.unknown > 0:
		return seen("%d %s between %d writers, never two winners; %d answers were lost", t.races, t.what, writers, t.unknown)
	}
	return seen("%d %s between %d writers, never two winners", t.races, t.what, writers)
}
