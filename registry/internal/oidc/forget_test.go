package oidc_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/oidc"
)

// TestForgets exchanges many JWTs, and as many when those are over: what is remembered
// does not grow with what was ever exchanged.
func TestForgets(t *testing.T) {
	s := edSigner(t, "one")
	i := withFile(t, []oidc.Rule{trainer}, s)
	w := newWorld(t, i)
	const many = 256 // a bucket of the 256 is not written to again in 37 % of all cases
	for range 2 {
		for range many {
			if _, err := w.Exchange(t.Context(), s.sign(t, w.claims(i.URL))); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(time.Hour)
	}
	page, err := w.engine.List(t.Context(), "j/", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	remembered := 0
	for _, e := range page {
		val, _, err := w.engine.Get(t.Context(), e.Key)
		var rec struct{ Until map[string]int64 }
		if err != nil || json.Unmarshal(val, &rec) != nil {
			t.Fatalf("%s: %v", val, err)
		}
		remembered += len(rec.Until)
	}
	if len(page) > 256 || remembered > many+many/2+many/4 || remembered < many {
		t.Errorf("%d JWTs are remembered in %d registers", remembered, len(page))
	}
}
