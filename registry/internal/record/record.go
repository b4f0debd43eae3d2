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

// Mark implements Record.
func (s *Stamp) Mark() *Stamp { return s }

// Record is a register's value; it embeds a Stamp.
type Record interface{ Mark() *Stamp }

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
	Facts
}

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

// HeadPrefix is what the keys of all heads begin with.
const HeadPrefix = "m/"

// TagKey returns the register of a tag; an empty one gives what the keys of the
// repository's tags begin with.
func TagKey(r name.Repo, tag string) string { return "t/" + r.String() + "/" + tag }

// HeadKey returns the register of a version's head.
func HeadKey(r name.Repo, d chunker.Digest) string { return HeadPrefix + r.String() + "/" + d.String() }

// HashesKey returns the register of a version's hashes.
func HashesKey(r name.Repo, d chunker.Digest) string { return "h/" + r.String() + "/" + d.String() }

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
