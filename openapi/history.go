package openapi

import (
	"time"

	"github.com/ingot-ml/ingot/chunker"
)

// The annotations by which checkpoints say where in a training they were made.
const (
	AnnotationStep = "ingot.step" // a whole number
	AnnotationLoss = "ingot.loss" // a number
	AnnotationRun  = "ingot.run"  // which of several trainings
)

// Limits of a RetentionRule.
const (
	MaxKeep       = 1_000_000
	MaxKeepEvery  = 1_000_000_000_000
	MaxMetric     = 128 // bytes of a metric's name
	DefaultRetain = 10 * time.Minute
)

// MaxRetired bounds RetentionReport.Digests.
const MaxRetired = 1000

// RetentionRule says which versions of a repository stay, beside those that a tag
// points at, that are younger than the grace, or that were read within it. It has at
// least one of KeepLast, KeepEvery and KeepBest.
type RetentionRule struct {
	// KeepLast keeps so many of the newest versions.
	KeepLast int `json:"keep_last,omitempty"`
	// KeepEvery keeps, of every so many steps of a run, the version that came first.
	KeepEvery int64 `json:"keep_every,omitempty"`
	// KeepBest keeps the best versions by an annotation.
	KeepBest *KeepBest `json:"keep_best,omitempty"`
	// GraceSeconds is how long a version stays after it was made, lost a tag or was
	// read; nil is DefaultRetain.
	GraceSeconds *int64 `json:"grace_seconds,omitempty"`
}

// KeepBest keeps Count versions whose annotation Metric is the least, or the greatest.
type KeepBest struct {
	Count  int    `json:"count"`
	Metric string `json:"metric"`
	Order  string `json:"order"` // OrderMin or OrderMax
}

// The values of KeepBest.Order.
const (
	OrderMin = "min"
	OrderMax = "max"
)

// Retention is the rule of a repository.
type Retention struct {
	RetentionRule
	Updated time.Time `json:"updated"`
	By      string    `json:"by"`
}

// The reasons for which retention keeps a version; the first that holds is counted.
const (
	KeptTagged  = "tagged"  // a tag points at it
	KeptGrace   = "grace"   // it is young, or has lost a tag or was read lately
	KeptLast    = "last"    // one of the newest
	KeptEvery   = "every"   // the first of so many steps
	KeptBest    = "best"    // one of the best
	KeptUnknown = "unknown" // what it says of itself cannot be read
)

// RetentionReport is what came of applying the rule of a repository.
type RetentionReport struct {
	DryRun   bool           `json:"dry_run"`
	Versions int            `json:"versions"` // that could be read
	Kept     map[string]int `json:"kept"`     // by one of the reasons above
	Retired  int            `json:"retired"`  // or would be
	// Digests are those of the retired versions, the oldest first; at most MaxRetired.
	Digests []chunker.Digest `json:"digests"`
	// Refused is how many others changed at the same moment, or took a tag: they stay
	// until the next time.
	Refused int `json:"refused"`
}

// Log is a page of a version and those that it was made from, the newest first.
type Log struct {
	Entries []LogEntry `json:"entries"`
	Next    string     `json:"next,omitempty"`
}

// LogEntry is one version in a Log. What it adds is beside the nearest version that it
// was made from and that can still be read; beside nothing where there is none.
type LogEntry struct {
	Digest chunker.Digest `json:"digest"`
	Parent string         `json:"parent,omitempty"`
	// Retired is how many versions between this one and the next entry cannot be read
	// any more.
	Retired int       `json:"retired,omitempty"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Tags    []string  `json:"tags"`
	Step    string    `json:"step,omitempty"`
	Loss    string    `json:"loss,omitempty"`
	Run     string    `json:"run,omitempty"`
	Total   int64     `json:"bytes_total"` // plain bytes of all files
	Added   int64     `json:"bytes_added"` // encoded
	Chunks  int       `json:"chunks"`      // distinct
	New     int       `json:"chunks_new"`
	Delta   int       `json:"chunks_delta"` // that are stored as deltas
}

// Encodings says how the chunks of a version are stored.
type Encodings struct {
	Digest chunker.Digest `json:"digest"`
	Plain  int64          `json:"bytes_plain"` // of the distinct chunks
	// Whole, Middle and Step are the version's own chunks: those that need no other,
	// those that need an anchor, and those that need a middle and an anchor.
	Whole  EncodedTotal `json:"whole"`
	Middle EncodedTotal `json:"middle"`
	Step   EncodedTotal `json:"step"`
	// Anchors and Middles are what those are decoded with, each once.
	Anchors EncodedTotal `json:"anchors"`
	Middles EncodedTotal `json:"middles"`
	// Shared is what the parent needs too, of all of these, and Added what it does not.
	Shared EncodedTotal `json:"shared"`
	Added  EncodedTotal `json:"added"`
}

// EncodedTotal is a number of encoded chunks and what they take.
type EncodedTotal struct {
	Chunks int   `json:"chunks"`
	Bytes  int64 `json:"bytes"`
}

// Add counts another chunk of n encoded bytes.
func (t *EncodedTotal) Add(n uint32) {
	t.Chunks++
	t.Bytes += int64(n)
}
