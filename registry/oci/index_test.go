package oci

import (
	"fmt"
	"testing"

	"github.com/ingot-ml/ingot/registry/name"
)

// TestIndexForgets: the index stays below its limit, keeps what is asked for, and
// mixes up no repositories.
func TestIndexForgets(t *testing.T) {
	x := newIndex(13)
	a, b := name.Repo{Namespace: "a", Name: "a"}, name.Repo{Namespace: "b", Name: "b"}
	x.add(a, "kept", []string{"1", "2"})
	for i := range 100 {
		x.add(b, fmt.Sprint(i), []string{fmt.Sprint("x", i), "1", "shared"})
		if x.find(a, "1") != "kept" {
			t.Fatal("what was asked for is forgotten")
		}
		if x.used > x.limit || len(x.digests) > x.limit || len(x.commits) > x.limit {
			t.Fatalf("%d digests, %d in the map: more than %d", x.used, len(x.digests), x.limit)
		}
	}
	if got := x.find(b, "shared"); got != "99" {
		t.Errorf("shared is in %q, want the last", got)
	}
	if x.find(a, "shared") != "" || x.knows(b, "0") || !x.knows(b, "99") {
		t.Error("wrong things are remembered")
	}
	x.add(b, "99", []string{"other"})
	if x.find(b, "x99") != "" || x.find(b, "other") != "99" {
		t.Error("a commit that is added again keeps what it had")
	}
	x.forget(b, "99")
	if x.find(b, "shared") != "98" {
		t.Error("what two commits have is forgotten with one of them")
	}
	x.add(a, "huge", make([]string, 13))
	if x.knows(a, "huge") || x.used > x.limit {
		t.Error("more than all there is room for was taken")
	}
}

func TestSumsForget(t *testing.T) {
	s := newSums(2)
	for i := range 5 {
		key := item{name.Repo{}, fmt.Sprint(i)}
		s.put(key, "sum")
		if s.get(key) != "sum" || len(s.known) > 2 {
			t.Errorf("%d: %v", i, s.known)
		}
	}
}
