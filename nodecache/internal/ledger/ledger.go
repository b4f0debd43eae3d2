package ledger

import (
	"container/list"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// Key names a version: its digest, in the repository that it was asked of. The files
// that were made of it are an entry of their own, beside its chunks: they come and
// leave on their own, and do not count as a version.
type Key struct {
	Repo   name.Repo
	Digest chunker.Digest
	Files  bool
}

// AsFiles names the files of the version.
func (k Key) AsFiles() Key { return Key{k.Repo, k.Digest, true} }

// String returns the repository and the first digits of the digest, for people.
func (k Key) String() string {
	text := k.Repo.String() + "@" + k.Digest.Short()
	if k.Files {
		text += " as files"
	}
	return text
}

// counts is how many versions an entry is.
func (k Key) counts() int {
	if k.Files {
		return 0
	}
	return 1
}

// Chunk names a chunk in a tier. A domain shares its chunks with no other; a tier
// that has none has the empty one.
type Chunk struct {
	Domain string
	Digest chunker.Digest
}

// Entry is a version and what it holds.
type Entry struct {
	Key    Key
	Domain string
	Chunks []chunker.Ref // distinct; only read, and not kept
}

// Limits bound a tier.
type Limits struct {
	Bytes int64
	Count int // versions; 0 for any number
}

// Info describes a version in the account.
type Info struct {
	Key     Key
	LastUse time.Time
	Leases  int
	Pinned  bool
}

// Ledger is the account of one tier. It is safe for concurrent use.
type Ledger struct {
	limits Limits
	cost   func(size uint32) int64

	mu      sync.Mutex // protects what follows
	domains map[string]*domain
	entries map[Key]*entry
	order   list.List        // of *entry, by last use, the oldest first
	loose   list.List        // of *chunk that no version holds, the oldest first
	ballast map[string]int64 // bytes by name of what is no version
	used    int64            // bytes of all chunks and ballast
	count   int              // versions
}

// entry is a version in the account.
type entry struct {
	key     Key
	chunks  []*chunk
	bytes   int64 // of all chunks
	place   *list.Element
	lastUse time.Time
	leases  int
	pinned  bool
}

// stays reports whether e can't be made to leave.
func (e *entry) stays() bool { return e.leases > 0 || e.pinned }

// New returns the empty account of a tier in which a chunk of size plain bytes
// takes at most cost(size).
func New(limits Limits, cost func(size uint32) int64) *Ledger {
	return &Ledger{
		limits: limits, cost: cost,
		domains: map[string]*domain{}, entries: map[Key]*entry{}, ballast: map[string]int64{},
	}
}

// use makes e the one that was used last.
func (l *Ledger) use(e *entry, now time.Time) {
	e.lastUse = now
	l.order.MoveToBack(e.place)
}

// Touch notes that a version was used. One that is not there is no mistake.
func (l *Ledger) Touch(k Key, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[k]; e != nil {
		l.use(e, now)
	}
}

// Lease keeps a version in the account until Unlease was called as often as Lease.
// The error is ErrUnknown.
func (l *Ledger) Lease(k Key, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[k]
	if e == nil {
		return fmt.Errorf("lease %s: %w", k, ErrUnknown)
	}
	e.leases++
	l.use(e, now)
	return nil
}

// Unlease ends one Lease, until which the version was in use.
func (l *Ledger) Unlease(k Key, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[k]
	if e == nil || e.leases == 0 {
		panic(fmt.Sprintf("ledger: unlease %s, which nobody leases", k)) // and what is leased never leaves
	}
	e.leases--
	l.use(e, now)
}

// Pin keeps a version in the account, or ends that. One that is not there is no
// mistake, and is not pinned when it comes.
func (l *Ledger) Pin(k Key, pinned bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[k]; e != nil {
		e.pinned = pinned
	}
}

// Has reports whether a version is in the account.
func (l *Ledger) Has(k Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[k] != nil
}

// Len is how many versions are in the account.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// Used is the bytes that everything in the account takes.
func (l *Ledger) Used() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// Weigh returns the bytes that only k holds, and those that others hold too.
func (l *Ledger) Weigh(k Key) (own, shared int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[k]; e != nil {
		for _, c := range e.chunks {
			if c.holders == 1 {
				own += c.cost
			}
		}
		shared = e.bytes - own
	}
	return own, shared
}

// Oldest yields the versions as they are now, the one first that was not used for
// the longest time. The account may be used meanwhile.
func (l *Ledger) Oldest() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		for _, info := range l.list() {
			if !yield(info) {
				return
			}
		}
	}
}

func (l *Ledger) list() []Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := make([]Info, 0, len(l.entries))
	for at := l.order.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry)
		infos = append(infos, Info{e.key, e.lastUse, e.leases, e.pinned})
	}
	return infos
}
