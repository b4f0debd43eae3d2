package remote

import (
	"container/list"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// What a Recent remembers: so many versions, whose manifests have so many chunks
// together, of about 50 bytes each.
const (
	mostVersions = 4096
	mostChunks   = 1 << 20
)

// Recent remembers what the versions that were used last are. It is safe for
// concurrent use.
type Recent struct {
	mu     sync.Mutex
	known  map[versionKey]*list.Element
	order  list.List // of *version, the one that was used last in front
	chunks int
}

// versionKey says of which repository a version was asked: who may not read that
// gets it from no other.
type versionKey struct {
	repo   name.Repo
	digest chunker.Digest
}

type version struct {
	key  versionKey
	m    *manifest.Manifest // nil before it is asked for
	sums map[string]string  // nil before they are known
	made Made
}

// Made says how a version came to be, as far as that is known.
type Made struct {
	At time.Time
	By string
}

// NewRecent returns a Recent of nothing.
func NewRecent() *Recent { return &Recent{known: map[versionKey]*list.Element{}} }

// Manifest returns the document of a version, by ask if it is not known.
func (r *Recent) Manifest(repo name.Repo, d chunker.Digest, ask func() (*manifest.Manifest, error)) (*manifest.Manifest, error) {
	key := versionKey{repo, d}
	if v := r.get(key); v.m != nil {
		return v.m, nil
	}
	m, err := ask()
	if err == nil {
		r.put(key, func(v *version) { v.m = m })
	}
	return m, err
}

// Hashes returns the sha256 of a version's files, by ask if they are not known; nil
// is not remembered.
func (r *Recent) Hashes(repo name.Repo, d chunker.Digest, ask func() (map[string]string, error)) (map[string]string, error) {
	key := versionKey{repo, d}
	if v := r.get(key); v.sums != nil {
		return v.sums, nil
	}
	sums, err := ask()
	if err == nil && sums != nil {
		r.put(key, func(v *version) { v.sums = sums })
	}
	return sums, err
}

// Made returns how a version came to be, by ask if that is not known; what nobody
// knows is not remembered.
func (r *Recent) Made(repo name.Repo, d chunker.Digest, ask func() Made) Made {
	key := versionKey{repo, d}
	if v := r.get(key); !v.made.At.IsZero() {
		return v.made
	}
	made := ask()
	if !made.At.IsZero() {
		r.put(key, func(v *version) { v.made = made })
	}
	return made
}

// get returns what is known of a version.
func (r *Recent) get(key versionKey) version {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.known[key]
	if at == nil {
		return version{}
	}
	r.order.MoveToFront(at)
	return *at.Value.(*version)
}

// put notes something of a version, and forgets others if it is too much.
func (r *Recent) put(key versionKey, note func(*version)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.known[key]
	if at == nil {
		at = r.order.PushFront(&version{key: key})
		r.known[key] = at
	}
	v := at.Value.(*version)
	r.chunks -= v.weight()
	note(v)
	r.chunks += v.weight()
	for r.order.Len() > 1 && (r.order.Len() > mostVersions || r.chunks > mostChunks) {
		last := r.order.Remove(r.order.Back()).(*version)
		delete(r.known, last.key)
		r.chunks -= last.weight()
	}
}

// weight is about how much is remembered of v, in chunks.
func (v *version) weight() int {
	n := 4 * len(v.sums)
	if v.m != nil {
		n += len(v.m.Chunks)
		for i := range v.m.Files {
			n += 2 + len(v.m.Files[i].Chunks)/8 + 2*len(v.m.Files[i].Tensors)
		}
	}
	return n
}
