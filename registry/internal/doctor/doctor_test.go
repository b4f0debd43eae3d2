package doctor_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/doctor"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// honest returns a store without any fault.
func honest() doctor.Store {
	store := blobs.NewMemory()
	engine := registers.NewMemory()
	return doctor.Store{
		Registers: []registers.Engine{engine, engine},
		Blobs:     []blobs.Store{store, store},
		Sweeper:   store,
		Now:       time.Now,
		Rand:      rand.Reader,
	}
}

// examine returns what the examination found.
func examine(t *testing.T, s doctor.Store, depth doctor.Depth) map[string]doctor.Finding {
	t.Helper()
	found, err := doctor.Examine(t.Context(), s, depth, nil)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]doctor.Finding{}
	for _, f := range found {
		if f.Property == "" || f.Needs == "" || f.Saw == "" || (f.State == doctor.Failed) != (f.State != doctor.OK && f.State != doctor.Warning && f.State != doctor.Skipped) {
			t.Errorf("a finding is not complete: %+v", f)
		}
		if (f.State == doctor.Failed || f.State == doctor.Warning) && f.Do == "" {
			t.Errorf("%s failed, and nothing says what to do", f.Property)
		}
		byName[f.Property] = f
	}
	if len(byName) != len(found) {
		t.Errorf("%d findings have %d names", len(found), len(byName))
	}
	return byName
}

func TestHonest(t *testing.T) {
	for _, depth := range []doctor.Depth{doctor.Quick, doctor.Thorough} {
		for name, f := range examine(t, honest(), depth) {
			if f.State != doctor.OK {
				t.Errorf("%s is %s: %s", name, f.State, f.Saw)
			}
		}
	}
}

// TestOrder holds the table of properties to what its tests stand on: each comes
// after those.
func TestOrder(t *testing.T) {
	var before []string
	for _, p := range doctor.Properties() {
		for _, other := range p.After {
			if !slices.Contains(before, other) {
				t.Errorf("%s stands on %s, which does not come before it", p.Name, other)
			}
		}
		before = append(before, p.Name)
	}
}

func TestEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	found, err := doctor.Examine(ctx, honest(), doctor.Quick, func(doctor.Finding) { cancel() })
	if !errors.Is(err, context.Canceled) || len(found) != 1 {
		t.Errorf("an examination that was ended after the first property found %d, %v", len(found), err)
	}
}

func TestUnfit(t *testing.T) {
	found := []doctor.Finding{
		{Property: "a", State: doctor.OK},
		{Property: "b", State: doctor.Failed, Saw: "seen b", Do: "do b"},
		{Property: "c", State: doctor.Skipped},
		{Property: "d", State: doctor.Failed, Saw: "seen d", Do: "do d"},
	}
	err := doctor.Unfit(found)
	if want := "the store lacks what ingot needs: b, d: seen b (do b)"; !errors.Is(err, doctor.ErrUnfit) || err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
	if err := doctor.Unfit(found[:1]); err != nil {
		t.Error(err)
	}
}
