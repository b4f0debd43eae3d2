package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/migrate"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

func TestRun(t *testing.T) {
	from, to := filled(t), newSide()
	to.set(t, "d/here", "a replica began here and was stopped")
	phases := map[string]int64{}
	c := config(from, to)
	c.Progress = func(p migrate.Progress) { phases[p.Phase] = max(phases[p.Phase], p.Done) }
	got, err := migrate.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, from, to)
	if _, _, err := to.Memory.Get(t.Context(), "d/store"); !errors.Is(err, registers.ErrNotFound) {
		t.Errorf("what was found out about the source's store was copied: %v", err)
	}
	if got.Registers != 1237 || got.Copied != 704 || got.Found != 0 || got.Left != 0 || got.CopiedBytes != 5*700*699/2+4+6+6 {
		t.Errorf("the report is %+v", got)
	}
	if phases[migrate.PhaseBlobs] != 704 || phases[migrate.PhaseRegisters] != 1237 || phases[migrate.PhaseCompare] != 1237 {
		t.Errorf("progress was told up to %v", phases)
	}
	if err := migrate.Check(t.Context(), to); err != nil {
		t.Errorf("a finished migration cannot be served: %v", err)
	}
	back := newSide()
	if _, err := run(t, to, back); err != nil { // and what it says of itself stays behind
		t.Fatal(err)
	}
	equal(t, to, back)
}

var errCut = errors.New("power cut")

// TestInterrupted ends runs after ever more calls, and goes on with the next.
func TestInterrupted(t *testing.T) {
	from, to := filled(t), newSide()
	for most, runs := int64(3), 1; ; most, runs = most*5/4+1, runs+1 {
		var left atomic.Int64
		left.Store(most)
		hook := func(string, string) error {
			if left.Add(-1) < 0 {
				return errCut
			}
			return nil
		}
		from.hook, to.hook = hook, hook
		got, err := run(t, from, to)
		from.hook, to.hook = nil, nil
		if err == nil {
			if runs < 10 || got.Found == 0 {
				t.Errorf("after %d runs: %+v; want more runs, the last of which found blobs", runs, got)
			}
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatalf("run %d: %v", runs, err)
		}
		if _, at, _ := to.Memory.Get(t.Context(), "g/migration"); at == registers.Absent {
			continue // it had not begun
		}
		if err := migrate.Check(t.Context(), to); !errors.Is(err, migrate.ErrUnderWay) || !strings.Contains(err.Error(), "the source") {
			t.Fatalf("after run %d the destination could be served: %v", runs, err)
		}
		if _, err := run(t, to, newSide()); !errors.Is(err, migrate.ErrUnderWay) {
			t.Fatalf("after run %d it could be copied on: %v", runs, err)
		}
	}
	equal(t, from, to)
}

// TestSkipsWhatWasCompared interrupts late and sees that the next run does not read
// what the first has compared.
func TestSkipsWhatWasCompared(t *testing.T) {
	from, to := filled(t), newSide()
	from.hook = func(call, name string) error {
		if call == "open" && name == "h/ns/model/hashes" {
			return errCut
		}
		return nil
	}
	if _, err := run(t, from, to); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	var opened atomic.Int64
	from.hook = func(call, _ string) error {
		if call == "open" {
			opened.Add(1)
		}
		return nil
	}
	got, err := run(t, from, to)
	if err != nil {
		t.Fatal(err)
	}
	from.hook = nil
	equal(t, from, to)
	if n := opened.Load(); n > 500 || got.Found < 600 { // what was noted when it was cut
		t.Errorf("%d blobs were read again, %d found; want few of 704", n, got.Found)
	}
}

func TestTaken(t *testing.T) {
	tests := []struct {
		name string
		fill func(t *testing.T, to *side)
		says string
	}{
		{"a register", func(t *testing.T, to *side) { to.set(t, "t/ns/other/tag", "x") }, "t/ns/other/tag"},
		{"a blob", func(t *testing.T, to *side) { to.put(t, "c/000/other", "x") }, "c/000/other"},
		{"a finished migration", func(t *testing.T, to *side) {
			if _, err := run(t, newSide(), to); err != nil {
				t.Fatal(err)
			}
		}, "copied from the source"},
		{"a migration from elsewhere", func(t *testing.T, to *side) {
			c := config(newSide(), to)
			c.Source, c.Identity = "elsewhere", "other"
			c.From.Blobs = store{&side{hook: func(string, string) error { return errCut }}}
			if _, err := migrate.Run(t.Context(), c); !errors.Is(err, errCut) {
				t.Fatal(err)
			}
		}, "from elsewhere is under way"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := newSide()
			tt.fill(t, to)
			values, bodies := snapshot(t, to)
			_, err := run(t, filled(t), to)
			if !errors.Is(err, migrate.ErrTaken) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the error is %v, want ErrTaken and %q", err, tt.says)
			}
			nowValues, nowBodies := snapshot(t, to)
			if fmt.Sprint(values, bodies) != fmt.Sprint(nowValues, nowBodies) {
				t.Error("the destination was changed")
			}
		})
	}
}

// TestWritten writes to the source at every kind of call there is. The run fails,
// and the next one, undisturbed, succeeds.
func TestWritten(t *testing.T) {
	disturbances := map[string]func(t *testing.T, from *side){
		"a new register":     func(t *testing.T, from *side) { from.set(t, "m/ns/model/new", "x") },
		"a changed register": func(t *testing.T, from *side) { from.set(t, "t/ns/model/latest", "moved") },
		"an equal value":     func(t *testing.T, from *side) { from.set(t, "t/ns/model/latest", "tag") },
		"a push, whole": func(t *testing.T, from *side) {
			from.put(t, "c/000/a.new.0", "new")
			from.set(t, "m/ns/model/new", "c/000/a.new.0")
		},
	}
	moments := map[string]struct{ call, name string }{
		"first blob":     {"open", "b/ns/model/body"},
		"last blob":      {"open", "u/push/bundle"},
		"first register": {"get", "m/ns/model/0000"},
		"second page":    {"get", "m/ns/model/1200"},
		"last register":  {"get", "t/ns/model/latest"},
	}
	for what, disturb := range disturbances {
		for when, moment := range moments {
			t.Run(what+" at the "+when, func(t *testing.T) {
				from, to := filled(t), newSide()
				var once sync.Once
				from.hook = func(call, name string) error {
					if call == moment.call && name == moment.name {
						once.Do(func() { disturb(t, from) })
					}
					return nil
				}
				if _, err := run(t, from, to); !errors.Is(err, migrate.ErrWritten) {
					t.Fatalf("the error is %v, want ErrWritten", err)
				}
				if err := migrate.Check(t.Context(), to); !errors.Is(err, migrate.ErrUnderWay) {
					t.Errorf("the destination could be served: %v", err)
				}
				if _, err := run(t, from, to); err != nil {
					t.Fatal(err)
				}
				equal(t, from, to)
			})
		}
	}
}

func TestCollectedMeanwhile(t *testing.T) {
	from, to := filled(t), newSide()
	var once sync.Once
	from.hook = func(call, name string) error {
		if call == "open" && name == "b/ns/model/body" {
			once.Do(func() {
				if err := from.store.Delete(t.Context(), []string{"u/push/bundle", name}); err != nil {
					t.Error(err)
				}
			})
		}
		return nil
	}
	if _, err := run(t, from, to); !errors.Is(err, migrate.ErrWritten) {
		t.Fatalf("the error is %v, want ErrWritten", err)
	}
	if _, err := run(t, from, to); err != nil {
		t.Fatal(err)
	}
	equal(t, from, to)
}

// TestLeft goes on after the source has collected what an earlier run had copied.
func TestLeft(t *testing.T) {
	from, to := filled(t), newSide()
	to.hook = func(call, name string) error {
		if call == "cas" && name == "t/ns/model/latest" {
			return errCut
		}
		return nil
	}
	if _, err := run(t, from, to); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	to.hook = nil
	if err := from.store.Delete(t.Context(), []string{"u/push/bundle"}); err != nil {
		t.Fatal(err)
	}
	got, err := run(t, from, to)
	if err != nil || got.Left != 1 || got.Copied != 0 {
		t.Errorf("%+v, %v; want one blob that is left", got, err)
	}
}

// TestDiffers has a destination that does not keep what it is given.
func TestDiffers(t *testing.T) {
	tests := map[string]struct {
		prepare func(t *testing.T, from, to *side)
		name    string
	}{
		"other bytes of an earlier run": {func(t *testing.T, from, to *side) {
			to.hook = func(call, name string) error {
				if call == "put" && strings.HasPrefix(name, "c/") {
					to.put(t, name, string(bytes.Repeat([]byte{'x'}, sizeOf(t, from, name))))
				}
				return nil
			}
		}, "c/"},
		"fewer bytes": {func(t *testing.T, _, to *side) {
			to.hook = func(call, name string) error {
				if call == "put" && name == "b/ns/model/body" {
					to.put(t, name, "bod")
				}
				return nil
			}
		}, "b/ns/model/body"},
		"a register that somebody changes": {func(t *testing.T, _, to *side) {
			var once sync.Once
			to.hook = func(call, name string) error {
				if call == "cas" && name == "t/ns/model/latest" {
					once.Do(func() { to.set(t, "m/ns/model/0007", "other") })
				}
				return nil
			}
		}, "m/ns/model/0007"},
		"a register that somebody makes": {func(t *testing.T, _, to *side) {
			var once sync.Once
			to.hook = func(call, name string) error {
				if call == "cas" && name == "t/ns/model/latest" {
					once.Do(func() { to.set(t, "m/ns/other/0007", "other") })
				}
				return nil
			}
		}, "m/ns/other/0007"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			from, to := filled(t), newSide()
			tt.prepare(t, from, to)
			_, err := run(t, from, to)
			if err == nil || !strings.Contains(err.Error(), tt.name) {
				t.Errorf("the error is %v, want one that names %s", err, tt.name)
			}
			to.hook = nil
			if err := migrate.Check(t.Context(), to); !errors.Is(err, migrate.ErrUnderWay) {
				t.Errorf("the destination could be served: %v", err)
			}
		})
	}
}

func sizeOf(t testing.TB, s *side, name string) int {
	info, err := s.store.Stat(t.Context(), name)
	if err != nil {
		t.Error(err)
	}
	return int(info.Size)
}

// TestOvertaken has a second run begin and end while the first holds what it read
// of the destination, and then somebody who is served there move a tag.
func TestOvertaken(t *testing.T) {
	for _, moment := range []string{"get", "got", "cas"} {
		t.Run(moment, func(t *testing.T) {
			from, to := filled(t), newSide()
			overtaken := &side{Memory: to.Memory, store: to.store}
			var once sync.Once
			overtaken.hook = func(call, name string) error {
				if call == moment && name == "t/ns/model/latest" {
					once.Do(func() {
						if _, err := run(t, from, to); err != nil {
							t.Error(err)
						}
						to.set(t, "t/ns/model/latest", "moved by a user")
					})
				}
				return nil
			}
			if _, err := run(t, from, overtaken); !errors.Is(err, migrate.ErrOvertaken) {
				t.Errorf("the error is %v, want ErrOvertaken", err)
			}
			if val, _, err := to.Memory.Get(t.Context(), "t/ns/model/latest"); err != nil || string(val) != "moved by a user" {
				t.Errorf("what was acknowledged at the destination is %q, %v", val, err)
			}
			if err := migrate.Check(t.Context(), to); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMemory bounds what is read at a time.
func TestMemory(t *testing.T) {
	const size, room = 1000, 6000
	from, to := newSide(), newSide()
	for i := range 100 {
		from.put(t, fmt.Sprintf("c/000/%03d", i), strings.Repeat("x", size))
	}
	var now, most atomic.Int64
	from.hook = func(call, _ string) error {
		if call == "open" {
			most.Store(max(most.Load(), now.Add(2*size)))
		}
		return nil
	}
	to.hook = func(call, name string) error {
		if call == "open" { // the last that a worker does
			now.Add(-2 * size)
		}
		return nil
	}
	c := config(from, to)
	c.Memory = room
	if _, err := migrate.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if most.Load() > room || most.Load() < 2*size {
		t.Errorf("%d bytes were in memory, want at most %d", most.Load(), room)
	}
	if c.Memory = size / 2; c.Memory > 0 { // a blob that is larger than all room
		to = newSide()
		c.To = to.side()
		if _, err := migrate.Run(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
}

func TestEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	from, to := filled(t), newSide()
	from.hook = func(call, name string) error {
		if call == "open" && name == "h/ns/model/hashes" {
			cancel()
		}
		return nil
	}
	if _, err := migrate.Run(ctx, config(from, to)); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want context.Canceled", err)
	}
	from.hook = nil
	if _, err := run(t, from, to); err != nil {
		t.Fatal(err)
	}
	equal(t, from, to)
}
