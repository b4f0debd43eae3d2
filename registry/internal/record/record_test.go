package record_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// TestForms writes a head with a Next, which an older program must not write over,
// and one without, which it may.
func TestForms(t *testing.T) {
	engine := registers.NewMemory()
	book := record.Book{Registers: engine, Rand: rand.Reader}
	h := record.Head{State: record.Committed, Body: "b/one"}
	v := registers.Absent
	for _, next := range []string{"", "b/two", ""} {
		h.Next, h.NextE0 = next, 7
		if next == "" {
			h.Drop()
		}
		var err error
		if v, err = book.Swap(t.Context(), "m/k", v, &h); err != nil {
			t.Fatal(err)
		}
		val, _, err := engine.Get(t.Context(), "m/k")
		if err != nil || strings.Contains(string(val), `"v":2`) != (next != "") || strings.Contains(string(val), "next") != (next != "") {
			t.Errorf("next %q is written as %s, %v", next, val, err)
		}
		var got record.Head
		if now, err := book.Load(t.Context(), "m/k", &got); err != nil || now != v || got.Next != next {
			t.Errorf("next %q is read as %+v, %v", next, got, err)
		}
	}
}

// TestUnknownForms reads values that another program has written.
func TestUnknownForms(t *testing.T) {
	for _, val := range []string{
		`{"v":3,"state":"committed","body":"b/one"}`,
		`{"v":2,"state":"committed","body":"b/one"}`,
		`{"v":1,"state":"committed","body":"b/one","next":"b/two"}`,
		`{"state":"committed"}`,
	} {
		engine := registers.NewMemory()
		if _, err := engine.CAS(t.Context(), "m/k", registers.Absent, []byte(val)); err != nil {
			t.Fatal(err)
		}
		var h record.Head
		if _, err := (record.Book{Registers: engine}).Load(t.Context(), "m/k", &h); err == nil {
			t.Errorf("%s is read", val)
		}
	}
}

// TestBranchForm writes a branch, which an older program must not write over, and a
// tag, which it may.
func TestBranchForm(t *testing.T) {
	engine := registers.NewMemory()
	book := record.Book{Registers: engine, Rand: rand.Reader}
	v := registers.Absent
	for _, branch := range []bool{false, true, false} {
		var err error
		if v, err = book.Swap(t.Context(), "t/k", v, &record.Tag{Digest: "d", Branch: branch}); err != nil {
			t.Fatal(err)
		}
		val, _, err := engine.Get(t.Context(), "t/k")
		if err != nil || strings.Contains(string(val), `"v":2`) != branch || strings.Contains(string(val), "branch") != branch {
			t.Errorf("branch %v is written as %s, %v", branch, val, err)
		}
		var got record.Tag
		if _, err := book.Load(t.Context(), "t/k", &got); err != nil || got.Branch != branch {
			t.Errorf("branch %v is read as %+v, %v", branch, got, err)
		}
	}
}

func TestQuarantineCovers(t *testing.T) {
	q := record.Quarantine{State: record.Bad}
	if !q.Covers(0) || !q.Covers(9) {
		t.Error("an object that is bad as a whole has good places")
	}
	q.Places = []uint32{3, 9}
	if q.Covers(0) || !q.Covers(3) || q.Covers(4) || !q.Covers(9) {
		t.Error("the places are others")
	}
	if q.State = record.Cleared; q.Covers(3) {
		t.Error("what is cleared is bad")
	}
}
