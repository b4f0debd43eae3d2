package retention

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	model = name.Repo{Namespace: "acme", Name: "model"}
	alice = access.Principal{Subject: "alice"}
	bob   = access.Principal{Subject: "bob"}
	carol = access.Principal{Subject: "carol"}
)

// shelf is Versions in memory.
type shelf struct {
	standings []versions.Standing
	losses    map[chunker.Digest]string
	read      map[chunker.Digest]time.Time
	asked     int                     // for annotations
	retired   chan chunker.Digest     // in order
	busy      map[chunker.Digest]bool // versions that somebody wants at this moment
	fault     error
}

func (s *shelf) Standings(context.Context, name.Repo) ([]versions.Standing, error) {
	return append([]versions.Standing{}, s.standings...), s.fault
}

func (s *shelf) Annotations(_ context.Context, _ name.Repo, d chunker.Digest) ([]manifest.Annotation, bool, error) {
	s.asked++
	loss, ok := s.losses[d]
	return []manifest.Annotation{{Key: openapi.AnnotationLoss, Value: loss}}, ok, nil
}

func (s *shelf) LastRead(_ name.Repo, d chunker.Digest) time.Time { return s.read[d] }

func (s *shelf) Pushing(_ context.Context, id string) (bool, error) { return id == "open", nil }

func (s *shelf) Retire(_ context.Context, _ name.Repo, d chunker.Digest) error {
	if s.busy[d] {
		return openapi.Errorf(openapi.CodeConflict, "others want it")
	}
	s.retired <- d
	for i, st := range s.standings {
		if st.Digest == d {
			s.standings = append(s.standings[:i:i], s.standings[i+1:]...)
			break
		}
	}
	return nil
}

// policy has bob only read, and carol not even that.
type policy struct{}

func (policy) Allow(p access.Principal, _ name.Repo, a access.Action) error {
	if p == carol || p == bob && a != access.Read {
		return access.ErrDenied
	}
	return nil
}

var now = time.Unix(1_800_000_000, 0).UTC()

func digest(i int) chunker.Digest { return chunker.Sum([]byte{byte(i)}) }

// newShelf holds n versions, an hour after each other, the last of them now. Each
// has a lower loss than the one before.
func newShelf(n int) *shelf {
	s := &shelf{losses: map[chunker.Digest]string{}, read: map[chunker.Digest]time.Time{}, busy: map[chunker.Digest]bool{}, retired: make(chan chunker.Digest, n)}
	for i := range n {
		s.standings = append(s.standings, versions.Standing{Digest: digest(i), At: now.Add(time.Duration(i-n+1) * time.Hour)})
		s.losses[digest(i)] = string(rune('9' - i))
	}
	return s
}

func newService(s *shelf) *Service {
	return New(Config{
		Versions: s, Registers: registers.NewMemory(), Policy: policy{},
		Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
	})
}

func wants(t *testing.T, what string, err error, code openapi.Code) {
	t.Helper()
	var e *openapi.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// TestRules sets, reads and clears a rule, and asks as those who may not.
func TestRules(t *testing.T) {
	s, ctx := newService(newShelf(1)), t.Context()
	grace := int64(7)
	rule := openapi.RetentionRule{KeepLast: 3, KeepEvery: 5, KeepBest: &openapi.KeepBest{Count: 1, Metric: "m", Order: openapi.OrderMax}, GraceSeconds: &grace}
	_, err := s.Rule(ctx, alice, model)
	wants(t, "a rule that is not there", err, openapi.CodeNotFound)
	wants(t, "clear none", s.ClearRule(ctx, alice, model), openapi.CodeNotFound)
	_, err = s.SetRule(ctx, bob, model, rule)
	wants(t, "set without leave", err, openapi.CodeForbidden)
	_, err = s.SetRule(ctx, carol, model, rule)
	wants(t, "set unseen", err, openapi.CodeNotFound)
	if _, err = s.SetRule(ctx, alice, model, rule); err != nil {
		t.Fatal(err)
	}
	got, err := s.Rule(ctx, bob, model)
	if err != nil || got.KeepLast != 3 || got.KeepEvery != 5 || *got.KeepBest != *rule.KeepBest || *got.GraceSeconds != 7 || got.By != "alice" || !got.Updated.Equal(now) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = s.Rule(ctx, carol, model)
	wants(t, "read unseen", err, openapi.CodeNotFound)
	_, err = s.Apply(ctx, bob, model, false)
	wants(t, "apply without leave", err, openapi.CodeForbidden)
	if _, err := s.Apply(ctx, bob, model, true); err != nil {
		t.Errorf("a dry run by who may read: %v", err)
	}
	wants(t, "clear without leave", s.ClearRule(ctx, bob, model), openapi.CodeForbidden)
	if err := s.ClearRule(ctx, alice, model); err != nil {
		t.Fatal(err)
	}
	_, err = s.Apply(ctx, alice, model, false)
	wants(t, "apply no rule", err, openapi.CodeNotFound)
}

// TestApply retires what a rule does not keep, the oldest first: not what others want
// or read at that moment, and nothing in a dry run.
func TestApply(t *testing.T) {
	v := newShelf(8)
	s, ctx := newService(v), t.Context()
	v.busy[digest(1)] = true
	v.standings[2].Tagged = true
	if _, err := s.SetRule(ctx, alice, model, openapi.RetentionRule{KeepLast: 2}); err != nil {
		t.Fatal(err)
	}
	// The last is young, the two before it are kept; 0, 3 and 4 go.
	v.read[digest(4)] = now
	for _, dry := range []bool{true, false} {
		got, err := s.Apply(ctx, alice, model, dry)
		want := 2
		if dry {
			want = 3 // nobody is asked whether it is wanted
		}
		if err != nil || got.Versions != 8 || got.Retired != want || len(got.Digests) != want || got.Refused != 4-want ||
			got.Kept[openapi.KeptTagged] != 1 || got.Kept[openapi.KeptGrace] != 1 || got.Kept[openapi.KeptLast] != 2 {
			t.Errorf("dry run %v: %+v, %v", dry, got, err)
		}
		if dry && len(v.retired) != 0 {
			t.Fatal("a dry run retires")
		}
	}
	if first, second := <-v.retired, <-v.retired; first != digest(0) || second != digest(3) {
		t.Errorf("retired %s and %s", first.Short(), second.Short())
	}
	v.read, v.standings[2].Push = nil, "open" // it is the version 4
	if got, err := s.Apply(ctx, alice, model, false); err != nil || got.Retired != 0 || got.Refused != 2 {
		t.Errorf("while it is pushed: %+v, %v", got, err)
	}
	v.standings[2].Push = "done"
	if got, err := s.Apply(ctx, alice, model, false); err != nil || got.Retired != 1 || got.Digests[0] != digest(4) {
		t.Errorf("when nobody reads any more: %+v, %v", got, err)
	}
	if v.asked != 0 {
		t.Errorf("%d versions were read for a rule that asks nothing of them", v.asked)
	}
	v.fault = errors.New("a fault")
	if _, err := s.Apply(ctx, alice, model, false); !errors.Is(err, v.fault) {
		t.Errorf("with a fault: %v", err)
	}
}

// TestBest keeps the best by what versions say, which is read once.
func TestBest(t *testing.T) {
	v := newShelf(6)
	delete(v.losses, digest(0)) // it cannot be read
	s, ctx := newService(v), t.Context()
	none := int64(0)
	rule := openapi.RetentionRule{KeepBest: &openapi.KeepBest{Count: 2, Metric: openapi.AnnotationLoss, Order: openapi.OrderMin}, GraceSeconds: &none}
	if _, err := s.SetRule(ctx, alice, model, rule); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.Apply(ctx, alice, model, true)
		if err != nil || got.Retired != 3 || got.Kept[openapi.KeptBest] != 2 || got.Kept[openapi.KeptUnknown] != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if v.asked != 7 { // what cannot be read is tried again
		t.Errorf("versions were read %d times, want 7", v.asked)
	}
}

// TestRun applies a rule soon after a tag has moved, and ends with its context.
func TestRun(t *testing.T) {
	v := newShelf(4)
	s := newService(v)
	none := int64(0)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx, time.Hour) }()
	if _, err := s.SetRule(ctx, alice, model, openapi.RetentionRule{KeepLast: 1, GraceSeconds: &none}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if d := <-v.retired; d != digest(i) {
			t.Errorf("retired %s as number %d", d.Short(), i)
		}
	}
	s.Moved(name.Repo{Namespace: "acme", Name: "without"}) // a rule
	s.Moved(model)
	stop()
	<-done
	if err := s.all(t.Context()); err != nil || len(v.retired) != 0 {
		t.Errorf("when all are looked at: %v, %d retired", err, len(v.retired))
	}
}
