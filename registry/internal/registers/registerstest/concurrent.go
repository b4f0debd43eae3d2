package registerstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// testCounter has many writers add one to a number. Each success counts.
func testCounter(t *testing.T, e registers.Engine) {
	const writers, additions = 8, 20
	write(t, e, "counter", registers.Absent, "0")
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for done := 0; done < additions; {
				val, version, err := e.Get(t.Context(), "counter")
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(val)) // a wrong number is found at the end
				_, err = e.CAS(t.Context(), "counter", version, []byte(strconv.Itoa(n+1)))
				if err == nil {
					done++
				} else if !errors.Is(err, registers.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if val, _, err := e.Get(t.Context(), "counter"); err != nil || string(val) != strconv.Itoa(writers*additions) {
		t.Errorf("%d additions made %q, %v", writers*additions, val, err)
	}
}

// testCreateRace has many writers make the same keys. Each key has one maker.
func testCreateRace(t *testing.T, e registers.Engine) {
	const writers, keys = 8, 20
	var winners [keys]atomic.Int32
	var maker [keys]atomic.Value
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for k := range keys {
				_, err := e.CAS(t.Context(), fmt.Sprintf("k/%d", k), registers.Absent, fmt.Appendf(nil, "writer %d", w))
				switch {
				case err == nil:
					winners[k].Add(1)
					maker[k].Store(fmt.Sprintf("writer %d", w))
				case !errors.Is(err, registers.ErrConflict):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for k := range keys {
		val, _, err := e.Get(t.Context(), fmt.Sprintf("k/%d", k))
		if n := winners[k].Load(); n != 1 || err != nil || string(val) != maker[k].Load() {
			t.Errorf("key %d has %d makers, the last %v, and holds %q, %v", k, n, maker[k].Load(), val, err)
		}
	}
}

// tally is a counter that tells who counted, so that a writer whose write was
// overwritten can find out whether it had happened.
type tally struct {
	Total int         `json:"total"`
	By    map[int]int `json:"by"`
	Nonce string      `json:"nonce"`
}

// testSettledCounter counts over an engine that loses every third answer. The
// sum is exact all the same.
func testSettledCounter(t *testing.T, e registers.Engine) {
	const writers, additions = 4, 25
	flaky := NewFlaky(e, 1, 0.33)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := 1; n <= additions; {
				counted, err := addOnce(t, flaky, w, n)
				if err != nil {
					t.Error(err)
					return
				}
				if counted {
					n++
				}
			}
		})
	}
	all.Wait()
	got, _, err := readTally(t, e)
	if err != nil || got.Total != writers*additions {
		t.Errorf("%d additions made %+v, %v", writers*additions, got, err)
	}
	if flaky.Lost() == 0 {
		t.Error("no answer was lost: nothing was tested")
	}
}

// addOnce tries to make writer w's n-th addition, unless it is there already, and
// reports whether it is there.
func addOnce(t *testing.T, e registers.Engine, w, n int) (bool, error) {
	count, version, err := readTally(t, e)
	if err != nil {
		return false, err
	}
	if count.By[w] == n {
		return true, nil
	}
	count.Total++
	count.By[w]++
	count.Nonce = fmt.Sprintf("%d of %d over %q", n, w, version)
	val, err := json.Marshal(count)
	if err != nil {
		return false, err
	}
	_, err = registers.Settle(t.Context(), e, "tally", version, val)
	if errors.Is(err, registers.ErrConflict) || errors.Is(err, registers.ErrUnknown) {
		return false, nil // the next look tells
	}
	return err == nil, err
}

func readTally(t *testing.T, e registers.Engine) (tally, registers.Version, error) {
	val, version, err := e.Get(t.Context(), "tally")
	if errors.Is(err, registers.ErrNotFound) {
		return tally{By: map[int]int{}}, registers.Absent, nil
	}
	if err != nil {
		return tally{}, registers.Absent, err
	}
	var count tally
	return count, version, json.Unmarshal(val, &count)
}
