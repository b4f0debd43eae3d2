// Package record owns what the registry writes into registers: the JSON of tags,
// heads of versions, pushes, hashes and the state of collection, and their keys.
// docs/formats/registry.md describes each.
//
// Laws:
//   - A value has a version of its own, a number that grows with each write, and a
//     nonce that no other write has. So a write whose answer was lost is recognised.
//   - A value of a version that this program does not know is refused, and so never
//     written over: a field would be lost.
package record

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// Stamp is in every record. The nonce makes each write differ from all others, so
// that a write whose outcome is unknown can be recognised; Seq counts them.
type Stamp struct {
	V     int    `json:"v"`
	Seq   uint64 `json:"seq"`
	Nonce string `json:"nonce"`
}

// Version is the version of the records' JSON.
const Version = 1

// repointing is the version of a head that has a Next, and branching that of a tag
// that is a branch: a program that does not know of it would lose it.
const (
	repointing = 2
	branching  = 2
)

// Mark implements Record.
func (s *Stamp) Mark() *Stamp { return s }

// Form returns the version of the record's JSON.
func (*Stamp) Form() int { return Version }

// Record is a register's value; it embeds a Stamp.
type Record interface {
	Mark() *Stamp
	Form() int
}

// The states of a version's head.
const (
	Pending   = "pending"   // published, not yet checked
	Committed = "committed" // readable
	Condemned = "condemned" // readable, about to be retired
	Dead      = "dead"      // retired
	Aborted   = "aborted"   // its push was given up
)

// Head is the register m/<namespace>/<model>/<digest>.
type Head struct {
	Stamp
	State string    `json:"state"`
	Body  string    `json:"body"` // blob
	E0    uint64    `json:"e0"`
	Push  string    `json:"push"`
	By    string    `json:"by"`
	At    time.Time `json:"at"` // of the commit, later of the retirement
	// Next is the body that a committed head is to name instead of Body, once what it
	// names is checked against the collections that began after NextE0; empty for none.
	// Readers do not look at it, collections mark what both name.
	Next   string `json:"next,omitempty"`
	NextE0 uint64 `json:"next_e0,omitempty"`
	Facts
}

// Form implements Record.
func (h *Head) Form() int {
	if h.Next != "" {
		return repointing
	}
	return Version
}

// Drop takes Next away, which anybody may do at any time: it costs whoever points
// the version elsewhere a try.
func (h *Head) Drop() { h.Next, h.NextE0 = "", 0 }

// Facts describe a version so that a list need not read bodies.
type Facts struct {
	Parent string `json:"parent,omitempty"`
	Size   int64  `json:"size"` // plain bytes of all files
	Files  int    `json:"files"`
	Chunks int    `json:"chunks"`
	Stored int64  `json:"stored"` // encoded bytes of its chunks
}

// Readable tells whether the version may be read.
func (h *Head) Readable() bool { return h.State == Committed || h.State == Condemned }

// Tag is the register t/<namespace>/<model>/<tag>. Without a digest the tag is
// deleted.
type Tag struct {
	Stamp
	Digest string    `json:"digest"`
	Prev   string    `json:"prev"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	// Branch is set for a tag that moves with commits.
	Branch bool `json:"branch,omitempty"`
}

// Form implements Record.
func (t *Tag) Form() int {
	if t.Branch {
		return branching
	}
	return Version
}

// Push is the register p/<push>.
type Push struct {
	Stamp
	Namespace string    `json:"ns"`
	Model     string    `json:"model"`
	Subject   string    `json:"subject"`
	Since     uint64    `json:"since"` // the epoch at P0
	List      string    `json:"list"`  // blob of the list that was active at P0
	E0        uint64    `json:"e0"`    // the epoch up to which collections are known
	Attempt   int       `json:"attempt"`
	Expires   time.Time `json:"expires"`
	State     string    `json:"state"` // openapi.PushOpen and so on
}

// Repo returns the repository that is pushed to.
func (r *Push) Repo() name.Repo { return name.Repo{Namespace: r.Namespace, Name: r.Model} }

// Hashes is the register h/<namespace>/<model>/<digest>.
type Hashes struct {
	Stamp
	Blob string `json:"blob"`
}

// The states of an object in quarantine.
const (
	Bad     = "bad"     // it is not what it should be, or not there
	Cleared = "cleared" // it is gone and no version names it, or it is as it should be
)

// Quarantine is the register q/<hash of the object's name>: an object that nothing
// new may name.
type Quarantine struct {
	Stamp
	Object string    `json:"object"`
	Reason string    `json:"reason"`
	Digest string    `json:"digest"` // of the chunk or version; empty where several are meant
	At     time.Time `json:"at"`
	State  string    `json:"state"`
	// Places are where in the object bad chunks begin, ascending; none means all of
	// it.
	Places []uint32 `json:"places,omitempty"`
}

// Covers tells whether what begins at that offset of the object is bad.
func (q *Quarantine) Covers(offset uint32) bool {
	if q.State != Bad {
		return false
	}
	_, found := slices.BinarySearch(q.Places, offset)
	return found || len(q.Places) == 0
}

// The phases of a collection.
const (
	Idle       = "idle"
	Publishing = "condemned" // its candidates are published
	Sweeping   = "sweeping"  // it deletes
)

// Collection is the register CollectionKey. Absent means epoch 0, idle.
type Collection struct {
	Stamp
	Epoch uint64    `json:"epoch"`
	Phase string    `json:"phase"`
	List  string    `json:"list"` // blob of candidates or of what is deleted
	Owner string    `json:"owner"`
	At    time.Time `json:"at"`
}

// Active returns the list whose names count as absent, or none.
func (c *Collection) Active() string {
	if c.Phase == Idle {
		return ""
	}
	return c.List
}

// CollectionKey is the register of the one collection that can be under way.
const CollectionKey = "g/state"

// What the keys of all heads and of all tags begin with.
const (
	HeadPrefix = "m/"
	TagPrefix  = "t/"
)

// TagKey returns the register of a tag; an empty one gives what the keys of the
// repository's tags begin with.
func TagKey(r name.Repo, tag string) string { return TagPrefix + r.String() + "/" + tag }

// HeadKey returns the register of a version's head.
func HeadKey(r name.Repo, d chunker.Digest) string { return HeadPrefix + r.String() + "/" + d.String() }

// ParseHeadKey returns the version whose head a key is.
func ParseHeadKey(key string) (name.Repo, chunker.Digest, error) {
	repo, rest, err := ParseKey(key)
	if err != nil {
		return repo, chunker.Digest{}, err
	}
	d, err := chunker.ParseDigest(rest)
	if err != nil {
		return repo, d, fmt.Errorf("register %q: %w", key, err)
	}
	return repo, d, nil
}

// HashesKey returns the register of a version's hashes.
func HashesKey(r name.Repo, d chunker.Digest) string { return "h/" + r.String() + "/" + d.String() }

// QuarantinePrefix is what the keys of all quarantine registers begin with.
const QuarantinePrefix = "q/"

// QuarantineKey returns the register of an object in quarantine.
func QuarantineKey(object string) string {
	return QuarantinePrefix + chunker.Sum([]byte(object)).String()[:32]
}

// PushKey returns the register of a push.
func PushKey(id string) string { return "p/" + id }

// ParseKey returns the repository and the rest of a key of a repository.
func ParseKey(key string) (repo name.Repo, rest string, err error) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) != 4 {
		return name.Repo{}, "", fmt.Errorf("register %q: not of a repository", key)
	}
	return name.Repo{Namespace: parts[1], Name: parts[2]}, parts[3], nil
}

// Round is the register RoundKey: the reading of everything that is stored, which
// replicas take turns at.
type Round struct {
	Stamp
	Owner string    `json:"owner"` // a nonce of the process
	Began time.Time `json:"began"`
	Beat  time.Time `json:"beat"` // when the owner was last heard of
	Ended bool      `json:"ended"`
}

// RoundKey is the register of the round that is under way, or was the last.
const RoundKey = "g/scrub"

// CompactKey is that of the choosing anew how chunks are stored.
const CompactKey = "g/compact"
