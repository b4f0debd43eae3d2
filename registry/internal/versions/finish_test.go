package versions_test

import (
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// abandon begins a round of R and loses the process before R4.
func (m *moved) abandon() map[chunker.Digest]placement.Entry {
	m.t.Helper()
	engine := &cut{Engine: m.engine}
	config := m.config
	config.Registers = engine
	m.engine.before = func(key string) {
		if strings.HasPrefix(key, "m/") {
			engine.prefix = "m/" // after this write, R2
		}
	}
	move, err := versions.New(config).StartMove(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	at := m.put(move)
	if _, err := m.point(move, at); err == nil {
		m.t.Fatal("the process was not lost")
	}
	m.engine.before = nil
	if m.head().Next == "" {
		m.t.Fatal("R2 has not happened")
	}
	return at
}

// TestAnybodyFinishes leaves a version between R2 and R4, to another replica.
func TestAnybodyFinishes(t *testing.T) {
	m := newMoved(t, large(1), small(2))
	m.abandon()
	next := m.head().Next
	m.restart()
	m.check(bob, model, m.v)
	if err := m.FinishMove(t.Context(), model, m.v.digest); err != nil {
		t.Fatal(err)
	}
	if h := m.head(); h.Body != next || h.Next != "" {
		t.Errorf("the head is %+v", h)
	}
	m.check(bob, model, m.v)

	m.abandon() // the next round begins with the end of this one
	m.repoint()
	m.check(bob, model, m.v)
}

// TestAnybodyDrops finishes a round whose objects were condemned, or are gone.
func TestAnybodyDrops(t *testing.T) {
	for _, how := range []string{"condemned", "lists unknown", "body gone"} {
		m := newMoved(t, large(1))
		old := m.head().Body
		at := m.abandon()
		switch how {
		case "condemned":
			m.collect(1, "condemned", at[m.v.order[0]].Object)
		case "lists unknown":
			m.collect(9, "idle")
		case "body gone":
			m.store.delete(m.head().Next)
		}
		m.restart()
		if err := m.FinishMove(t.Context(), model, m.v.digest); err != nil {
			t.Fatal(err)
		}
		if h := m.head(); h.Body != old || h.Next != "" || h.V != 1 {
			t.Errorf("%s: the head is %+v", how, h)
		}
		m.check(bob, model, m.v)
	}
}
