package record

import (
	"time"

	"github.com/ingot-ml/ingot/registry/name"
)

// Retention is the register r/<namespace>/<model>: which versions of a repository
// stay. Without a rule all do.
type Retention struct {
	Stamp
	Rule *Rule     `json:"rule,omitempty"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// Rule says which versions stay, beside those with a tag and those within the grace.
type Rule struct {
	Last  int    `json:"last,omitempty"`  // so many of the newest
	Every int64  `json:"every,omitempty"` // the first of every so many steps
	Best  *Best  `json:"best,omitempty"`
	Grace *int64 `json:"grace,omitempty"` // seconds
}

// Best are so many versions with the best values of an annotation.
type Best struct {
	Count  int    `json:"count"`
	Metric string `json:"metric"`
	Order  string `json:"order"` // openapi.OrderMin or openapi.OrderMax
}

// RetentionPrefix is what the keys of all rules begin with.
const RetentionPrefix = "r/"

// RetentionKey returns the register of a repository's rule.
func RetentionKey(r name.Repo) string { return RetentionPrefix + r.String() }
