package deltas

import (
	"container/list"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
)

// Pair names a chunk and the one that a delta of it is of, for those who read one
// namespace: what others have asked for is not to be told from how soon a delta comes,
// or what it costs.
type Pair struct {
	Chunk, Base chunker.Digest
	Namespace   string
}

// Recent keeps the deltas that were sent last, up to a number of bytes: what one node
// asks for many others ask for a moment later. It is safe for concurrent use.
type Recent struct {
	limit int

	mu    sync.Mutex // protects the fields below
	used  int
	order *list.List // of sent, the one used last in front
	at    map[Pair]*list.Element
}

type sent struct {
	pair Pair
	enc  []byte // never changed
}

// entryCost is about what an entry takes beside its bytes.
const entryCost = 256

// NewRecent returns a Recent that keeps at most limit bytes.
func NewRecent(limit int) *Recent {
	return &Recent{limit: limit, order: list.New(), at: map[Pair]*list.Element{}}
}

// Get returns the delta, which is shared.
func (r *Recent) Get(p Pair) (enc []byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.at[p]
	if !ok {
		return nil, false
	}
	r.order.MoveToFront(e)
	return e.Value.(sent).enc, true
}

// Put keeps a copy of a delta, which was verified.
func (r *Recent) Put(p Pair, enc []byte) {
	if len(enc) == 0 || len(enc)+entryCost > r.limit/8 {
		return
	}
	enc = append([]byte(nil), enc...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.at[p]; ok {
		return
	}
	r.at[p] = r.order.PushFront(sent{p, enc})
	r.used += len(enc) + entryCost
	for r.used > r.limit {
		last := r.order.Remove(r.order.Back()).(sent)
		delete(r.at, last.pair)
		r.used -= len(last.enc) + entryCost
	}
}
