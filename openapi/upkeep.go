package openapi

// Limits of the registry's upkeep.
const (
	// MaxGrace bounds GCRequest.GraceSeconds.
	MaxGrace = 315_360_000
	// MaxAnomalies bounds GCReport.Anomalies.
	MaxAnomalies = 100
)

// Yes is the value of the parameter "direct", with which a caller allows to be sent
// to the store for a chunk, and of "fresh", with which it says that it has uploaded
// nothing before.
const Yes = "yes"

// GCRequest asks for a collection.
type GCRequest struct {
	// DryRun only tells what would be freed.
	DryRun bool `json:"dry_run"`
	// GraceSeconds is how old an object has to be that nothing needs, at most
	// MaxGrace; nil is what the registry is set up with.
	GraceSeconds *int64 `json:"grace_seconds,omitempty"`
}

// GCLine is one line of the answer to a GCRequest. The last has Report or Error.
type GCLine struct {
	Progress *GCProgress `json:"progress,omitempty"`
	Report   *GCReport   `json:"report,omitempty"`
	Error    *Error      `json:"error,omitempty"`
}

// GCProgress is how far a collection is.
type GCProgress struct {
	Phase string `json:"phase"`
	Epoch uint64 `json:"epoch"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"` // 0 where that is not known
}

// The reasons for which a collection keeps an object.
const (
	KeptReferenced  = "referenced"  // a version names it
	KeptYoung       = "young"       // it is younger than the grace
	KeptPush        = "push"        // a push that is open may name it
	KeptReader      = "reader"      // a version that was retired lately names it
	KeptRepublished = "republished" // a version has come to name it since
	KeptForeign     = "foreign"     // it is none of the registry's
	KeptList        = "list"        // a collection works with it
)

// GCReport is what came of a collection.
type GCReport struct {
	DryRun   bool               `json:"dry_run"`
	Epoch    uint64             `json:"epoch"`
	Versions int64              `json:"versions"` // heads that were marked
	Objects  int64              `json:"objects"`  // in the store, without the collections' own lists
	Bytes    int64              `json:"bytes"`
	Freed    GCTotal            `json:"freed"` // or what would be
	Kept     map[string]GCTotal `json:"kept"`  // by one of the reasons above
	Retired  int64              `json:"retired"`
	Aborted  int64              `json:"aborted"` // commits that were never finished
	// Anomalies says what should not be; at most MaxAnomalies of them.
	Anomalies []string `json:"anomalies"`
	Seconds   float64  `json:"seconds"`
}

// GCTotal is a number of objects and what they take.
type GCTotal struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// VerifyRequest asks for everything that is stored to be compared.
type VerifyRequest struct {
	// Deep reads every chunk.
	Deep bool `json:"deep"`
}

// VerifyLine is one line of the answer to a VerifyRequest. The last has Report or
// Error.
type VerifyLine struct {
	Progress *VerifyProgress `json:"progress,omitempty"`
	Report   *VerifyReport   `json:"report,omitempty"`
	Error    *Error          `json:"error,omitempty"`
}

// VerifyProgress is how far a verification is.
type VerifyProgress struct {
	Phase string `json:"phase"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"` // 0 where that is not known
}

// VerifyReport is what a verification has found.
type VerifyReport struct {
	Versions int64 `json:"versions"`
	Chunks   int64 `json:"chunks"` // that were compared
	Objects  int64 `json:"objects"`
	Bytes    int64 `json:"bytes"` // of the objects
	// Bad is what is not what its name says, Missing what versions name and the store
	// does not have.
	Bad     []BadObject `json:"bad"`
	Missing []BadObject `json:"missing"`
	// Foreign names objects that are none of the registry's, and rules of the store
	// that endanger those that are.
	Foreign []string `json:"foreign"`
	Healed  int      `json:"healed"` // of Bad and Missing, by another copy
	Seconds float64  `json:"seconds"`
}

// BadObject is an object that versions cannot be read from.
type BadObject struct {
	Object   string   `json:"object"`
	Digest   string   `json:"digest"` // of the chunk or version; empty when that cannot be told
	Reason   string   `json:"reason"`
	Versions []string `json:"versions"` // that need it, as references with a digest
}

// CompactRequest asks for chunks to be stored in the way that takes least.
type CompactRequest struct {
	// Repo is the model whose versions are meant; empty for all.
	Repo string `json:"repo,omitempty"`
}

// CompactLine is one line of the answer to a CompactRequest. The last has Report or
// Error.
type CompactLine struct {
	Progress *CompactProgress `json:"progress,omitempty"`
	Report   *CompactReport   `json:"report,omitempty"`
	Error    *Error           `json:"error,omitempty"`
}

// CompactProgress is how far a compaction is.
type CompactProgress struct {
	Phase  string `json:"phase"`
	Done   int64  `json:"done"`
	Total  int64  `json:"total"`        // 0 where that is not known
	Gained int64  `json:"bytes_gained"` // so far
}

// CompactReport is what came of a compaction.
type CompactReport struct {
	Versions    int64   `json:"versions"`     // that were changed
	Chunks      int64   `json:"chunks"`       // of them that lie elsewhere now
	BytesBefore int64   `json:"bytes_before"` // encoded bytes of all that the versions need, bases too
	BytesAfter  int64   `json:"bytes_after"`
	BytesGained int64   `json:"bytes_gained"` // that a collection can free
	Seconds     float64 `json:"seconds"`
}
