package openapi

import (
	"time"

	"github.com/ingot-ml/ingot/chunker"
)

// Limits of what is summed up.
const (
	MaxAgainst      = 4    // versions that one is compared with by request
	MaxMapSources   = 6    // versions in a LayerMap
	MaxSummaryTags  = 200  // tags in a RepoSummary
	MaxMetrics      = 8    // metrics of a version
	MaxSearch       = 96   // bytes of what names are searched for
	MaxLayers       = 2048 // of tensors, in a LayerMap
	MaxLayerParts   = 64   // of a layer
	MaxFilesOfMap   = 256  // files that are told apart in a LayerMap
	MaxLayerName    = 200  // bytes of the name of a layer or a part, longer ones are cut
	MaxLatestTags   = 8    // tags of the latest version in a ModelSummary
	MaxMetricLength = 32   // bytes of the value of a metric
)

// Summary is what a registry holds, as far as the caller may read it: a page of models
// and the sums of all of them.
type Summary struct {
	Models []ModelSummary `json:"models"`
	Next   string         `json:"next,omitempty"`
	Totals SummaryTotals  `json:"totals"`
	// Weighed is absent until the registry has weighed all of them for the first time.
	Weighed *Weighed `json:"weighed,omitempty"`
}

// ModelSummary is one repository. What is said of the latest version is absent where
// there is none.
type ModelSummary struct {
	Name       string     `json:"name"` // namespace/name
	Versions   int        `json:"versions"`
	Tags       int        `json:"tags"`
	Latest     string     `json:"latest,omitempty"`      // digest of the newest version
	LatestTags []string   `json:"latest_tags,omitempty"` // that point at it, at most MaxLatestTags
	Updated    *time.Time `json:"updated,omitempty"`     // when it was pushed
	By         string     `json:"by,omitempty"`
	OfLatest   int64      `json:"bytes_latest"` // plain bytes of its files
	Total      int64      `json:"bytes_total"`  // plain bytes of all versions
	Stored     int64      `json:"bytes_stored"` // encoded bytes of the latest version's chunks
}

// SummaryTotals counts the models of a Summary, those of other pages too.
type SummaryTotals struct {
	Models     int   `json:"models"`
	Namespaces int   `json:"namespaces"`
	Versions   int   `json:"versions"`
	Tags       int   `json:"tags"`
	Total      int64 `json:"bytes_total"` // plain bytes of all files of all versions
}

// Weighed is what versions take. Total less all of Saved is Stored.
type Weighed struct {
	At     time.Time `json:"at"`
	Total  int64     `json:"bytes_total"`
	Unique int64     `json:"bytes_unique"` // plain bytes of the distinct chunks
	Stored int64     `json:"bytes_stored"` // encoded bytes of all that the versions need, each once
	Saved  Saved     `json:"saved"`
}

// Saved is what versions do not take. Where little is stored twice a figure may be
// less than nothing.
type Saved struct {
	Dedup       int64 `json:"dedup"`       // chunks that several files or versions have
	Compression int64 `json:"compression"` // chunks that are stored by themselves
	// Delta is for chunks that are stored as deltas, less what is kept only because
	// they are decoded with it.
	Delta int64 `json:"delta"`
}

// RepoSummary is one repository: its tags, and a page of its versions, the newest first.
type RepoSummary struct {
	Name  string `json:"name"`
	Count int    `json:"count"`       // of all versions
	Total int64  `json:"bytes_total"` // plain bytes of all versions
	// Tags are those that moved last, at most MaxSummaryTags; More says that there are
	// others.
	Tags     []Tag            `json:"tags"`
	More     bool             `json:"tags_more"`
	Versions []VersionSummary `json:"versions"`
	Next     string           `json:"next,omitempty"`
}

// VersionSummary is one version in a RepoSummary. What it adds is beside the nearest
// version that it was made from and that can be read.
type VersionSummary struct {
	Digest  chunker.Digest     `json:"digest"`
	Parent  string             `json:"parent,omitempty"`
	At      time.Time          `json:"at"`
	By      string             `json:"by"`
	Tags    []string           `json:"tags"`
	Step    string             `json:"step,omitempty"`
	Loss    string             `json:"loss,omitempty"`
	Run     string             `json:"run,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Total   int64              `json:"bytes_total"` // plain bytes of all files
	Added   int64              `json:"bytes_added"` // encoded
	Chunks  int                `json:"chunks"`      // distinct
	New     int                `json:"chunks_new"`
	Delta   int                `json:"chunks_delta"` // that are stored as deltas
}

// LayerMap tells, layer by layer, what a version shares with others.
type LayerMap struct {
	Repo    string         `json:"repo"`
	Digest  chunker.Digest `json:"digest"`
	Size    int64          `json:"bytes"` // plain bytes of all files
	Tensors int            `json:"tensors"`
	// Sources are the versions that it is compared with. What differs is judged beside
	// the first.
	Sources []MapSource `json:"sources"`
	Layers  []MapLayer  `json:"layers"` // in the order of the model, files behind them
	More    int         `json:"layers_more"`
}

// MapSource is a version that another one is compared with.
type MapSource struct {
	Ref    string         `json:"ref"` // namespace/name@digest
	Repo   string         `json:"repo"`
	Digest chunker.Digest `json:"digest"`
	Tags   []string       `json:"tags"`
	Why    string         `json:"why"`          // one of the words below
	Shared int64          `json:"bytes_shared"` // plain bytes of the distinct chunks that both have
}

// Why a version is a MapSource.
const (
	WhyAsked  = "asked"
	WhyParent = "parent"
	WhyBefore = "before" // it was pushed before, to the same repository
	WhyKin    = "kin"    // it shares much
)

// MapShare says what became of plain bytes: each is counted once.
type MapShare struct {
	Size int64 `json:"bytes"`
	// Shared are the bytes that a source has and none before it; empty where no source
	// has any.
	Shared  []int64 `json:"shared,omitempty"`
	Changed int64   `json:"changed"` // of which the first source has others at their place
	New     int64   `json:"new"`
}

// MapLayer is a layer of a model, or a file's bytes outside of all tensors.
type MapLayer struct {
	Name    string `json:"name"` // as the file has it: quote it before printing
	Kind    string `json:"kind"`
	Index   *int64 `json:"index,omitempty"` // of a layer that is numbered
	Tensors int    `json:"tensors"`
	MapShare
	Delta  *MapDelta `json:"delta,omitempty"`
	Values *float64  `json:"values,omitempty"` // about which part of its numbers differ, 0 to 1
	Parts  []MapPart `json:"parts"`
}

// MapDelta is what is known of changed bytes because they are stored as deltas.
type MapDelta struct {
	Size   int64 `json:"bytes"`  // plain
	Stored int64 `json:"stored"` // encoded
}

// MapPart is the tensors of a layer that differ by numbers in their names only.
type MapPart struct {
	Name    string   `json:"name"`            // without the layer's
	DType   string   `json:"dtype,omitempty"` // absent if they have several
	Shape   []uint64 `json:"shape,omitempty"` // absent if they have several
	Tensors int      `json:"tensors"`
	MapShare
	Delta  *MapDelta `json:"delta,omitempty"`
	Values *float64  `json:"values,omitempty"`
}

// NewSession asks for a cookie that stands for a token.
type NewSession struct {
	Token string `json:"token"`
}
