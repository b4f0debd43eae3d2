package ledger

import (
	"container/list"

	"github.com/ingot-ml/ingot/chunker"
)

// domain is the chunks of a domain that are in the account.
type domain struct {
	name   string
	chunks map[chunker.Digest]*chunk
}

// chunk is a chunk in the account. Either versions hold it or it is loose; while a
// version comes or goes it may be both or neither.
type chunk struct {
	domain  *domain
	digest  chunker.Digest
	cost    int64         // bytes
	holders int           // versions
	loose   *list.Element // nil for one that is not
	gone    bool          // from the account
}

func (c *chunk) name() Chunk { return Chunk{c.domain.name, c.digest} }

// domain returns the domain of that name, and makes it if need be.
func (l *Ledger) domain(name string) *domain {
	d := l.domains[name]
	if d == nil {
		d = &domain{name: name, chunks: map[chunker.Digest]*chunk{}}
		l.domains[name] = d
	}
	return d
}

// add puts a chunk into the account that nobody holds yet.
func (l *Ledger) add(d *domain, ref chunker.Ref) *chunk {
	c := &chunk{domain: d, digest: ref.Digest, cost: l.cost(ref.Size)}
	d.chunks[ref.Digest] = c
	l.used += c.cost
	return c
}

// delete takes a chunk out of the account.
func (l *Ledger) delete(c *chunk) {
	l.tighten(c)
	c.gone = true
	delete(c.domain.chunks, c.digest)
	if len(c.domain.chunks) == 0 {
		delete(l.domains, c.domain.name)
	}
	l.used -= c.cost
}

// tighten makes a loose chunk one that is not.
func (l *Ledger) tighten(c *chunk) {
	if c.loose != nil {
		l.loose.Remove(c.loose)
		c.loose = nil
	}
}

// find returns a chunk, nil for one that is not in the account.
func (l *Ledger) find(c Chunk) *chunk {
	if d := l.domains[c.Domain]; d != nil {
		return d.chunks[c.Digest]
	}
	return nil
}

// AddLoose puts a chunk into the account that no version holds. It stays until its
// room is needed. One that is there already stays as it is.
func (l *Ledger) AddLoose(c Chunk, size uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.find(c) == nil {
		added := l.add(l.domain(c.Domain), chunker.Ref{Digest: c.Digest, Size: size})
		added.loose = l.loose.PushBack(added)
	}
}

// DropLoose takes a chunk out of the account, if it is there and loose.
func (l *Ledger) DropLoose(c Chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.find(c); found != nil && found.loose != nil {
		l.delete(found)
	}
}

// Holds reports whether a version holds the chunk.
func (l *Ledger) Holds(c Chunk) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.find(c)
	return found != nil && found.loose == nil
}

// In returns the bytes that the chunks of a domain take.
func (l *Ledger) In(domain string) (bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.domains[domain]; d != nil {
		for _, c := range d.chunks {
			bytes += c.cost
		}
	}
	return bytes
}
