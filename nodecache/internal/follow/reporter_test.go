package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// registrar writes down what a reporter says, and when.
type registrar struct {
	began time.Time
	said  []string
	err   error
	slow  bool // it answers when the caller has given up
}

func (r *registrar) note(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf("%v ", time.Since(r.began))+fmt.Sprintf(format, args...))
}

func (r *registrar) Report(ctx context.Context, node string, report openapi.NodeReport) error {
	r.note("%s holds %d for %d s", node, len(report.Models), report.TTL)
	if r.slow {
		<-ctx.Done()
		return ctx.Err()
	}
	return r.err
}

func (r *registrar) Forget(_ context.Context, node string) error {
	r.note("%s is gone", node)
	return r.err
}

// reporting runs a test with a reporter of 10 s, and wants it to say this.
func reporting(t *testing.T, to *registrar, test func(r *Reporter), want ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		to.began = time.Now()
		models := 0
		r := NewReporter(ReporterConfig{Registry: to, Node: "n", Report: func() openapi.NodeReport {
			models++
			return openapi.NodeReport{Models: make([]openapi.NodeResident, models)}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		test(r)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if !slices.Equal(to.said, want) {
			t.Errorf("said\n%s\nwant\n%s", strings.Join(to.said, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestReporter(t *testing.T) {
	for _, err := range []error{nil, errGone} {
		reporting(t, &registrar{err: err}, func(*Reporter) { time.Sleep(25 * time.Second) },
			"0s n holds 1 for 30 s", "10s n holds 2 for 30 s", "20s n holds 3 for 30 s", "25s n is gone")
	}
}

func TestReporterIsToldOfNews(t *testing.T) {
	reporting(t, &registrar{}, func(r *Reporter) {
		for range 100 { // in the first two seconds
			r.Soon()
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
	}, "0s n holds 1 for 30 s", "1s n holds 2 for 30 s", "2s n holds 3 for 30 s", "10s n holds 4 for 30 s", "12s n is gone")
}

func TestReporterOfSlowRegistry(t *testing.T) {
	reporting(t, &registrar{slow: true}, func(*Reporter) { time.Sleep(32 * time.Second) },
		"0s n holds 1 for 30 s", "31s n holds 2 for 30 s", "32s n is gone")
}

func TestLifetimes(t *testing.T) {
	for every, want := range map[time.Duration]int{time.Millisecond: 1, time.Second: 3, 1500 * time.Millisecond: 5, 24 * time.Hour: openapi.MaxNodeTTL} {
		if got := ttl(every); got != want {
			t.Errorf("every %v: %d s, want %d", every, got, want)
		}
	}
}
