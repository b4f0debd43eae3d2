package gate

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnyOrder lets requests, failures and losses come as seeds have it. The fake
// service sees that none comes while the model is not held; here it is that each
// gets one answer, in time, and that nothing is left.
func TestAnyOrder(t *testing.T) {
	const seeds = 200
	for seed := range uint64(seeds) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { anyOrder(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func anyOrder(t *testing.T, r *rand.Rand) {
	span := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }
	c := Config{Deadline: time.Second + span(time.Minute), Idle: 1 + span(time.Minute), Waiting: 1 + r.IntN(20)}
	f, end := newFakes(t, c)
	defer end()
	f.service.took = span(3 * time.Second)
	slow, failing := span(10*time.Second), r.IntN(3)
	f.model.hold = func(ctx context.Context) error {
		if err := takes(slow)(ctx); err != nil {
			return err
		}
		return []error{nil, errors.New("not now"), ErrPermanent}[rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)).IntN(failing+1)]
	}
	var clients sync.WaitGroup
	for range 50 {
		time.Sleep(span(5 * time.Second))
		switch r.IntN(6) {
		case 0:
			away := r.IntN(2) == 0
			f.service.set(func(s *fakeService) { s.away = away })
		case 1:
			ready := r.IntN(3) > 0
			f.service.set(func(s *fakeService) { s.ready = ready })
		case 2:
			synctest.Wait()
			if now, _ := f.model.held(); now > 0 && !f.overAlready() {
				f.model.lose()
			}
		default:
			took, gone := f.service.took, span(2*c.Deadline)
			clients.Go(func() { f.oneClient(t, c.Deadline+took, gone) })
		}
	}
	clients.Wait()
	synctest.Wait()
	if active, waiting, _ := f.barrier.counts(); active != 0 || waiting != 0 {
		t.Errorf("%d requests are active and %d wait after all", active, waiting)
	}
	time.Sleep(c.Idle + probeTime)
	synctest.Wait()
	if now, _ := f.model.held(); now != 0 {
		t.Errorf("held %d times long after the last request", now)
	}
}

// overAlready reports whether it is over with what is held.
func (f *fakes) overAlready() bool {
	f.model.mu.Lock()
	defer f.model.mu.Unlock()
	select {
	case <-f.model.over:
		return true
	default:
		return false
	}
}

// oneClient sends a request, and waits so long for the answer.
func (f *fakes) oneClient(t *testing.T, most, patience time.Duration) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, context.Canceled)
	defer cancel()
	began := time.Now()
	got := f.send(ctx, "")
	if took := time.Since(began); took > most {
		t.Errorf("answered after %s, want at most %s", took, most)
	}
	if ctx.Err() == nil && got.Code != http.StatusOK && got.Code != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s", got.Code, got.Body)
	}
}
