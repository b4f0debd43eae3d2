package retention

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// version is one that a rule is applied to.
type version struct {
	versions.Standing
	facts
	why string // it stays: one of the reasons of package openapi; empty for none
}

// facts is what a version says of itself.
type facts struct {
	unknown bool // it cannot be read
	run     string
	step    int64
	stepped bool // there is a step
	value   float64
	valued  bool // there is a value of the metric
}

// judge says of every version why it stays. The list is in the order in which the
// versions came.
func judge(list []*version, rule *record.Rule, now time.Time) {
	since := now.Add(-graceOf(rule))
	var old []*version
	for _, v := range list {
		switch {
		case v.Tagged:
			v.why = openapi.KeptTagged
		case v.At.After(since) || v.Used.After(since):
			v.why = openapi.KeptGrace
		}
		if !v.At.After(since) {
			old = append(old, v)
		}
	}
	keepLast(old, rule.Last)
	keepEvery(old, rule.Every)
	keepBest(old, rule.Best)
	for _, v := range old {
		if v.unknown {
			v.keep(openapi.KeptUnknown)
		}
	}
}

// keep gives a version a reason unless it has one.
func (v *version) keep(why string) { v.why = cmp.Or(v.why, why) }

func graceOf(rule *record.Rule) time.Duration {
	if rule.Grace == nil {
		return openapi.DefaultRetain
	}
	return time.Duration(*rule.Grace) * time.Second
}

func keepLast(list []*version, n int) {
	for _, v := range list[max(0, len(list)-n):] {
		v.keep(openapi.KeptLast)
	}
}

// keepEvery keeps, of every so many steps of a run, the version that came first: a
// training that is begun again from a checkpoint makes the same steps once more.
func keepEvery(list []*version, every int64) {
	if every <= 0 {
		return
	}
	type part struct {
		run string
		n   int64
	}
	taken := map[part]bool{}
	for _, v := range list {
		if at := (part{v.run, v.step / every}); v.stepped && !taken[at] {
			taken[at] = true
			v.keep(openapi.KeptEvery)
		}
	}
}

// keepBest keeps the versions with the best values; of equals those that came first.
func keepBest(list []*version, best *record.Best) {
	if best == nil {
		return
	}
	var ranked []*version
	for _, v := range list {
		if v.valued {
			ranked = append(ranked, v)
		}
	}
	slices.SortStableFunc(ranked, func(a, b *version) int {
		if best.Order == openapi.OrderMax {
			a, b = b, a
		}
		return cmp.Compare(a.value, b.value)
	})
	for _, v := range ranked[:min(len(ranked), best.Count)] {
		v.keep(openapi.KeptBest)
	}
}

// parseStep reads a whole number that is not negative.
func parseStep(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
}

// parseValue reads a number that can be compared.
func parseValue(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f)
}
