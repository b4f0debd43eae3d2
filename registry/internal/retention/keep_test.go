package retention

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

// line makes versions that came a minute after each other; each word is one: a step,
// a value behind "=", and marks: t for a tag, u for used a minute ago, ? for one that
// cannot be read, r for another run.
func line(t *testing.T, now time.Time, words ...string) []*version {
	t.Helper()
	list := make([]*version, len(words))
	for i, word := range words {
		v := &version{}
		v.At = now.Add(time.Duration(i-len(words)+1) * time.Minute)
		v.Tagged = strings.Contains(word, "t")
		v.unknown = strings.Contains(word, "?")
		if strings.Contains(word, "u") {
			v.Used = now.Add(-time.Minute)
		}
		if strings.Contains(word, "r") {
			v.run = "other"
		}
		step, value, _ := strings.Cut(strings.Trim(word, "tur?"), "=")
		if !v.unknown {
			v.step, v.stepped = parseStep(step)
			v.value, v.valued = parseValue(value)
		}
		list[i] = v
	}
	return list
}

// TestJudge applies rules to lines of versions.
func TestJudge(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	none, three := int64(0), int64(180)
	tests := []struct {
		name string
		rule record.Rule
		line string
		want string // the reason of each, by its first letter, "-" for none
	}{
		{"the last", record.Rule{Last: 2, Grace: &none}, "0 1 2 3 4", "---ll"},
		{"more than there are", record.Rule{Last: 9, Grace: &none}, "0 1", "ll"},
		{"a tag", record.Rule{Last: 1, Grace: &none}, "0t 1 2", "t-l"},
		{"every hundred steps, the first of each", record.Rule{Every: 100, Grace: &none}, "50 100 150 200 260 400", "ee-e-e"},
		{"steps made again", record.Rule{Every: 10, Grace: &none}, "0 5 10 5 10 20", "e-e--e"},
		{"steps of another run", record.Rule{Every: 10, Grace: &none}, "0 10 0r 10r", "eeee"},
		{"no steps", record.Rule{Every: 10, Grace: &none}, "x -1 1.5 7", "---e"},
		{"the least", record.Rule{Best: &record.Best{Count: 2, Order: openapi.OrderMin}, Grace: &none}, "0=3 1=1 2=2 3=1", "-b-b"},
		{"the greatest", record.Rule{Best: &record.Best{Count: 2, Order: openapi.OrderMax}, Grace: &none}, "0=3 1=1 2=3 3=3", "b-b-"},
		{"no numbers", record.Rule{Best: &record.Best{Count: 3, Order: openapi.OrderMin}, Grace: &none}, "0=NaN 1=x 2 3=inf 4=-0", "---bb"},
		{"all rules", record.Rule{Last: 1, Every: 2, Best: &record.Best{Count: 1, Order: openapi.OrderMin}, Grace: &none}, "0=5 1=1 2=5 3=5 4=5t 5=5", "ebe-tl"},
		{"the young push nobody out", record.Rule{Last: 1, Grace: &three}, "0 1 2 3 4 5", "--lggg"},
		{"what was used stays", record.Rule{Last: 1, Grace: &three}, "0u 1 2 3 4 5", "g-lggg"},
		{"a grace of its own", record.Rule{Last: 1}, "0 1 2", "ggg"},
		{"what cannot be read stays", record.Rule{Every: 10, Grace: &none}, "0? 1 2?", "ueu"},
		{"nothing", record.Rule{Last: 1}, "", ""},
	}
	for _, tt := range tests {
		list := line(t, now, strings.Fields(tt.line)...)
		judge(list, &tt.rule, now)
		var got strings.Builder
		for _, v := range list {
			got.WriteString((v.why + "-")[:1])
		}
		if got.String() != tt.want {
			t.Errorf("%s: %s stay as %s, want %s", tt.name, tt.line, got.String(), tt.want)
		}
	}
}

// TestJudgeAgain drops what was retired and judges the rest: nothing more goes, at any
// later moment at which nothing has come.
func TestJudgeAgain(t *testing.T) {
	now, grace := time.Unix(1_800_000_000, 0), int64(120)
	rule := record.Rule{Last: 2, Every: 4, Best: &record.Best{Count: 2, Order: openapi.OrderMin}, Grace: &grace}
	list := line(t, now, strings.Fields("0=9 1=2 2=8 3=1 4=5 5=1 6=7 7=3 8=4 9=2 10=9 11=8")...)
	for range 2 {
		judge(list, &rule, now)
		list = slices.DeleteFunc(list, func(v *version) bool { return v.why == "" })
		for _, v := range list {
			v.why = ""
		}
	}
	before := len(list)
	judge(list, &rule, now)
	if list = slices.DeleteFunc(list, func(v *version) bool { return v.why == "" }); len(list) != before {
		t.Errorf("%d of %d versions stay when the same rule is applied again", len(list), before)
	}
}
