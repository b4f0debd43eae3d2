package registers_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// script is an Engine over memory whose CAS go wrong as told, one after the
// other; after that they go well.
type script struct {
	registers.Engine
	t     *testing.T
	steps []string
	tried int
}

func (s *script) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	s.tried++
	if len(s.steps) == 0 {
		return s.Engine.CAS(ctx, key, want, val)
	}
	now := s.steps[0]
	s.steps = s.steps[1:]
	if now == "applied" || now == "applied and overwritten" || now == "late conflict" {
		s.write(key, want, string(val))
	}
	if now == "overwritten" || now == "applied and overwritten" {
		_, version, _ := s.Engine.Get(ctx, key) // absent is a version too
		s.write(key, version, "other")
	}
	if now == "late conflict" {
		return registers.Absent, fmt.Errorf("write: %w", registers.ErrConflict)
	}
	return registers.Absent, fmt.Errorf("write: %w", registers.ErrUnknown)
}

func (s *script) write(key string, want registers.Version, val string) {
	if _, err := s.Engine.CAS(s.t.Context(), key, want, []byte(val)); err != nil {
		s.t.Fatal(err)
	}
}

func TestSettle(t *testing.T) {
	const dropped = "dropped"
	tests := []struct {
		name              string
		steps             []string
		conflict, unknown bool
		holds             string
		tried             int
	}{
		{"answered", nil, false, false, "mine", 1},
		{"applied", []string{"applied"}, false, false, "mine", 1},
		{"dropped", []string{dropped}, false, false, "mine", 2},
		{"dropped four times", []string{dropped, dropped, dropped, dropped}, false, false, "mine", 5},
		{"down", []string{dropped, dropped, dropped, dropped, dropped}, false, true, "old", 5},
		{"overwritten", []string{"overwritten"}, true, true, "other", 1},
		{"applied and overwritten", []string{"applied and overwritten"}, true, true, "other", 1},
		{"first try arrives before the second", []string{dropped, "late conflict"}, false, false, "mine", 2},
		{"dropped, then overwritten", []string{dropped, "overwritten"}, true, true, "other", 2},
	}
	for _, tt := range tests {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, fresh %v", tt.name, fresh), func(t *testing.T) {
				e := &script{Engine: registers.NewMemory(), t: t, steps: tt.steps}
				want := registers.Absent
				if !fresh {
					e.write("k", registers.Absent, "old")
					_, want, _ = e.Get(t.Context(), "k") // it was just written
				}
				version, err := registers.Settle(t.Context(), e, "k", want, []byte("mine"))
				if errors.Is(err, registers.ErrConflict) != tt.conflict || errors.Is(err, registers.ErrUnknown) != tt.unknown {
					t.Errorf("error is %v, want conflict %v and unknown %v", err, tt.conflict, tt.unknown)
				}
				val, now, _ := e.Get(t.Context(), "k") // absent is a value too
				holds := tt.holds
				if holds == "old" && fresh {
					holds = ""
				}
				if string(val) != holds || e.tried != tt.tried || err == nil && version != now {
					t.Errorf("version %q, register is %q in version %q after %d tries; want %q after %d",
						version, val, now, e.tried, holds, tt.tried)
				}
			})
		}
	}
}

func TestSettleConflict(t *testing.T) {
	e := registers.NewMemory()
	if _, err := e.CAS(t.Context(), "k", registers.Absent, []byte("old")); err != nil {
		t.Fatal(err)
	}
	_, err := registers.Settle(t.Context(), e, "k", registers.Absent, []byte("mine"))
	if !errors.Is(err, registers.ErrConflict) || errors.Is(err, registers.ErrUnknown) {
		t.Errorf("error is %v, want a conflict that is certain", err)
	}
}

// blind is an Engine that answers nothing.
type blind struct{ registers.Engine }

func (blind) CAS(context.Context, string, registers.Version, []byte) (registers.Version, error) {
	return registers.Absent, registers.ErrUnknown
}

func (blind) Get(context.Context, string) ([]byte, registers.Version, error) {
	return nil, registers.Absent, context.DeadlineExceeded
}

func TestSettleBlind(t *testing.T) {
	_, err := registers.Settle(t.Context(), blind{}, "k", registers.Absent, []byte("mine"))
	if !errors.Is(err, registers.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want ErrUnknown and why", err)
	}
}
