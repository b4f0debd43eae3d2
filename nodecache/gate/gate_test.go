package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestManyWaitForOne: however many requests come, the model is asked for once, and
// they pass when the service is ready too.
func TestManyWaitForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{})
		defer end()
		f.model.hold = takes(10 * time.Second)
		f.service.ready = false
		began := time.Now()
		var clients sync.WaitGroup
		for i := range 100 {
			clients.Go(func() {
				if got := f.send(t.Context(), fmt.Sprint(i)); got.Code != http.StatusOK {
					t.Errorf("request %d: %d %s", i, got.Code, got.Body)
				}
			})
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := f.metric(t, "ingot_gate_waiting"); n != "100" {
			t.Errorf("%v requests wait, want 100", n)
		}
		f.service.set(func(s *fakeService) { s.ready = true })
		clients.Wait()
		if took := time.Since(began); took > 20*time.Second+probePause {
			t.Errorf("passed after %s", took)
		}
		if _, ever := f.model.held(); ever != 1 || len(f.service.served()) != 100 {
			t.Errorf("held %d times for %d requests", ever, len(f.service.served()))
		}
		if n := f.metric(t, "ingot_gate_waiting"); n != "0" {
			t.Errorf("%v requests wait after all", n)
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{Deadline: time.Minute})
		defer end()
		f.model.hold = func(context.Context) error { return errors.New("no room: 3 leases hold everything") }
		began := time.Now()
		got := f.send(t.Context(), "")
		if time.Since(began) != time.Minute || got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
			t.Errorf("after %s: %d %v", time.Since(began), got.Code, got.Header())
		}
		if !strings.Contains(got.Body.String(), "3 leases hold everything") {
			t.Errorf("it does not say why: %s", got.Body)
		}
		if n := f.metric(t, `ingot_gate_requests_total{outcome="late"}`); n != "1" {
			t.Errorf("%v requests were late", n)
		}
	})
}

// TestIdle: the model is let go the idle time after the end of the last request,
// and comes again with the next.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{Idle: time.Minute})
		defer end()
		f.service.took = time.Hour
		for round := 1; round <= 2; round++ {
			if got := f.send(t.Context(), ""); got.Code != http.StatusOK {
				t.Fatalf("%d %s", got.Code, got.Body)
			}
			time.Sleep(time.Minute - 1)
			synctest.Wait()
			if now, ever := f.model.held(); now != 1 || ever != round {
				t.Errorf("round %d: held %d of %d times before the idle time", round, now, ever)
			}
			time.Sleep(1 * time.Nanosecond)
			synctest.Wait()
			if now, _ := f.model.held(); now != 0 {
				t.Errorf("round %d: still held after the idle time", round)
			}
		}
	})
}

// TestRefused: what no try mends is told at once, and tried again for the next.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{})
		defer end()
		tries := 0
		f.model.hold = func(context.Context) error {
			tries++
			if tries > 2 {
				return nil
			}
			return fmt.Errorf("acme/x: not found: %w", ErrPermanent)
		}
		began := time.Now()
		for _, want := range []int{503, 503, 200} {
			if got := f.send(t.Context(), ""); got.Code != want || want == 503 && !strings.Contains(got.Body.String(), "acme/x: not found") {
				t.Errorf("%d %s, want %d", got.Code, got.Body, want)
			}
			synctest.Wait()
		}
		if time.Since(began) > probePause || tries != 3 {
			t.Errorf("%d tries in %s", tries, time.Since(began))
		}
	})
}

// TestRefusedWhileOneIsUnderWay: a long request does not make the keeper try again
// and again.
func TestRefusedWhileOneIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{})
		defer end()
		f.service.took = time.Hour
		var long sync.WaitGroup
		long.Go(func() { f.send(t.Context(), "") })
		synctest.Wait()
		tries := 0
		f.model.hold = func(context.Context) error { tries++; return ErrPermanent }
		f.model.lose()
		long.Wait()
		if tries != 1 {
			t.Errorf("%d tries, want 1", tries)
		}
	})
}

func TestTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{})
		defer end()
		tries := 0
		f.model.hold = func(context.Context) error {
			if tries++; tries < 5 {
				return errors.New("the agent is away")
			}
			return nil
		}
		began := time.Now()
		got := f.send(t.Context(), "")
		const pauses = firstPause * (1 + 2 + 4 + 8)
		if got.Code != http.StatusOK || tries != 5 || time.Since(began) != pauses {
			t.Errorf("%d after %d tries in %s, want %s", got.Code, tries, time.Since(began), pauses)
		}
	})
}

func TestCrowded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{Waiting: 2, Deadline: time.Minute})
		defer end()
		f.model.hold = takes(time.Second)
		var clients sync.WaitGroup
		for range 2 {
			clients.Go(func() {
				if got := f.send(t.Context(), ""); got.Code != http.StatusOK {
					t.Errorf("%d %s", got.Code, got.Body)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if got := f.send(t.Context(), ""); got.Code != http.StatusServiceUnavailable || time.Since(began) != 0 {
			t.Errorf("%d after %s", got.Code, time.Since(began))
		}
		clients.Wait()
		if got := f.send(t.Context(), ""); got.Code != http.StatusOK {
			t.Errorf("%d with room", got.Code)
		}
	})
}

// TestServiceAway: requests that were not delivered are held again, and delivered
// once.
func TestServiceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{})
		defer end()
		f.send(t.Context(), "first")
		f.service.set(func(s *fakeService) { s.away = true })
		var clients sync.WaitGroup
		for range 10 {
			clients.Go(func() {
				if got := f.send(t.Context(), "again"); got.Code != http.StatusOK {
					t.Errorf("%d %s", got.Code, got.Body)
				}
			})
		}
		time.Sleep(time.Minute)
		if n := f.metric(t, "ingot_gate_waiting"); n != "10" {
			t.Errorf("%v requests wait", n)
		}
		f.service.set(func(s *fakeService) { s.away = false })
		clients.Wait()
		if got := strings.Join(f.service.served(), ","); got != "first"+strings.Repeat(",again", 10) {
			t.Errorf("served %s", got)
		}
		if _, ever := f.model.held(); ever != 1 {
			t.Errorf("held %d times", ever)
		}
	})
}

// TestNotTwice: a request of which something was sent is not sent again.
func TestNotTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{})
		defer end()
		f.send(t.Context(), "first")
		f.service.set(func(s *fakeService) { s.away, s.reads = true, true })
		if got := f.send(t.Context(), "some"); got.Code != http.StatusBadGateway {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	})
}

// TestOver: when it is over with what is held, the next requests wait for another.
func TestOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{})
		defer end()
		f.send(t.Context(), "")
		f.model.hold = takes(time.Second)
		f.model.lose()
		synctest.Wait()
		began := time.Now()
		if got := f.send(t.Context(), ""); got.Code != http.StatusOK || time.Since(began) != time.Second {
			t.Errorf("%d after %s", got.Code, time.Since(began))
		}
		if now, ever := f.model.held(); now != 1 || ever != 2 {
			t.Errorf("held %d of %d times", now, ever)
		}
	})
}

// TestClientGone: who does not wait any more takes no place.
func TestClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{Waiting: 1, Idle: time.Minute})
		defer end()
		f.model.hold = takes(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var client sync.WaitGroup
		client.Go(func() { f.send(ctx, "") })
		synctest.Wait()
		cancel()
		client.Wait()
		if got := f.send(t.Context(), ""); got.Code != http.StatusOK {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		if n := f.metric(t, `ingot_gate_requests_total{outcome="gone"}`); n != "1" {
			t.Errorf("%v clients have gone", n)
		}
	})
}
