package gate

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestBarrierShutsBeforeSleep: who comes after the idle time waits, though the
// keeper has not yet done anything about it.
func TestBarrierShutsBeforeSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, slept := newBarrier(time.Minute, 10), false
		b.enter()
		b.wake(func() { slept = true })
		b.open()
		b.leave()
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, waits, err := b.queue(); !slept || !waits || err != nil {
			t.Errorf("slept %t, waits %t, %v", slept, waits, err)
		}
		if len(b.wanted) != 1 {
			t.Error("the keeper is not woken")
		}
	})
}

// TestIdleTimeBeginsWithTheLast: a request in the idle time begins it anew.
func TestIdleTimeBeginsWithTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBarrier(time.Minute, 10)
		var slept time.Time
		b.enter()
		b.wake(func() { slept = time.Now() })
		b.leave()
		time.Sleep(59 * time.Second)
		b.enter()
		b.leave()
		last := time.Now()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if slept.Sub(last) != time.Minute {
			t.Errorf("slept %s after the last request", slept.Sub(last))
		}
	})
}

// TestRestsOnlyWithoutRequests: a timer that has fired as a request came is late.
func TestRestsOnlyWithoutRequests(t *testing.T) {
	b := newBarrier(time.Minute, 10)
	b.enter()
	b.wake(func() { t.Error("slept while there is a request") })
	b.rest()
	if b.sleep == nil {
		t.Error("the keeper is taken for asleep")
	}
}

// TestSleepsAfterTheOneWhoWokeIt: a request that has gone before the keeper woke
// leaves an idle time, too.
func TestSleepsAfterTheOneWhoWokeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, slept := newBarrier(time.Minute, 10), false
		b.wake(func() { slept = true })
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slept {
			t.Error("still awake after the idle time")
		}
	})
}

// TestTooLateForTheKeeper: who waits when the keeper has given up wakes it anew, and
// who was sent away does not.
func TestTooLateForTheKeeper(t *testing.T) {
	b := newBarrier(time.Minute, 10)
	for late := range 2 {
		b.wake(func() {})
		if _, _, err := b.queue(); err != nil {
			t.Fatal(err)
		}
		b.refuse(ErrPermanent)
		for range late {
			if _, _, err := b.queue(); err != nil {
				t.Fatal(err)
			}
		}
		b.slept()
		if len(b.wanted) != late {
			t.Errorf("%d wait for the next turn, and the keeper is called %d times", late, len(b.wanted))
		}
	}
}

// TestOldFailures: what a request found of an earlier turn does not shut this one.
func TestOldFailures(t *testing.T) {
	b := newBarrier(time.Minute, 10)
	b.open()
	first, _, err := b.queue()
	if err != nil {
		t.Fatal(err)
	}
	b.failed(first)
	if _, _, open := b.counts(); open || len(b.lost) != 1 {
		t.Errorf("open %t, told %d times", open, len(b.lost))
	}
	<-b.lost
	b.open()
	b.failed(first)
	if _, _, open := b.counts(); !open || len(b.lost) != 0 {
		t.Errorf("open %t, told %d times", open, len(b.lost))
	}
}
