package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

const (
	// disturbers is how many write while others scan.
	disturbers = 3
	// disturbed bounds the registers that they write over.
	disturbed = 200
	// minWrites is how many writes scans must have stood, if maxScans are enough.
	minWrites = 40
	maxScans  = 1000
	// disturbances bounds what each of them writes.
	disturbances = 2000
)

// testListDuringWrites scans while others make keys between those that are
// there, and write over these.
func testListDuringWrites(ctx context.Context, b *bench) (verdict, error) {
	h := &history{versions: map[string][]registers.Version{}}
	keys := make([]string, min(b.keys, disturbed))
	for i := range keys {
		keys[i] = b.key("%05d", i)
		version, _, err := b.write(ctx, i, keys[i], registers.Absent)
		if err != nil {
			return verdict{}, err
		}
		h.note(keys[i], version)
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	failed := make([]error, disturbers)
	for w := range failed {
		writing.Go(func() { failed[w] = b.disturb(ctx, h, w, keys, stop) })
	}
	wrong, err := b.scanOften(ctx, h)
	close(stop)
	writing.Wait()
	if err = errors.Join(append(failed, err)...); err != nil {
		return verdict{}, err
	}
	if wrong == "" {
		wrong = h.untrue()
	}
	if wrong != "" {
		return lacks("%s", wrong)
	}
	return seen("%d scans during %d writes missed none of %d registers and told no old version", b.scans, h.writes(), len(keys))
}

// disturb writes over the keys that are its own, and makes others behind them,
// until it is told to stop.
func (b *bench) disturb(ctx context.Context, h *history, w int, keys []string, stop <-chan struct{}) error {
	last := map[string]registers.Version{}
	for n := range disturbances {
		key := keys[(n*disturbers+w)%len(keys)]
		if n%2 == 1 {
			key = fmt.Sprintf("%s-%d.%d", key, w, n)
		} else if (n*disturbers+w)%len(keys)%disturbers != w {
			continue // another's
		}
		want, known := last[key]
		if !known {
			want = h.last(key)
		}
		version, _, err := b.write(ctx, w, key, want)
		if err != nil {
			return err
		}
		last[key] = version
		h.note(key, version)
		select {
		case <-stop:
			return nil
		default:
		}
	}
	<-stop
	return nil
}

// scanOften lists all registers again and again, until enough was written
// meanwhile. It tells what a scan missed.
func (b *bench) scanOften(ctx context.Context, h *history) (string, error) {
	start := h.writes()
	for i := 0; i < b.scans || i < maxScans && h.writes()-start < minWrites; i++ {
		before := h.known()
		entries, err := b.scan(ctx, i, b.key(""), 7+50*(i%2))
		if err != nil {
			return "", err
		}
		listed := make(map[string]bool, len(entries))
		for _, e := range entries {
			if listed[e.Key] {
				return fmt.Sprintf("scan %d has a register twice", i+1), nil
			}
			listed[e.Key] = true
			h.told(e, before[e.Key])
		}
		for _, key := range slices.Sorted(maps.Keys(before)) {
			if !listed[key] {
				return fmt.Sprintf("scan %d, during writes, misses a register of %d that were there before it began", i+1, len(before)), nil
			}
		}
	}
	return "", nil
}

// history is which versions registers had, one behind the other, and which of
// them scans have told. Each register has one writer.
type history struct {
	mu       sync.Mutex // protects the fields below
	versions map[string][]registers.Version
	listed   []listing
}

// listing is what a scan said of a register that had had so many versions before
// the scan began.
type listing struct {
	entry registers.Entry
	had   int
}

func (h *history) note(key string, version registers.Version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions[key] = append(h.versions[key], version)
}

func (h *history) told(e registers.Entry, had int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listed = append(h.listed, listing{e, had})
}

// last returns the version that a register has now.
func (h *history) last(key string) registers.Version {
	h.mu.Lock()
	defer h.mu.Unlock()
	if all := h.versions[key]; len(all) > 0 {
		return all[len(all)-1]
	}
	return registers.Absent
}

// known returns how many versions each register has had.
func (h *history) known() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	had := make(map[string]int, len(h.versions))
	for key, all := range h.versions {
		had[key] = len(all)
	}
	return had
}

func (h *history) writes() int {
	n := 0
	for _, had := range h.known() {
		n += had
	}
	return n
}

// untrue tells of a listed version that the register did not have at any time of
// the scan. It is asked when all writers have ended.
func (h *history) untrue() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.listed {
		at := slices.Index(h.versions[l.entry.Key], l.entry.Version)
		if at < 0 {
			return "a scan during writes told a version that the register never had"
		}
		if at < l.had-1 {
			return "a scan during writes told a version that had been written over before it began"
		}
	}
	return ""
}
