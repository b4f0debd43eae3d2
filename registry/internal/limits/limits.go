// Package limits owns how much each caller may ask of a registry: requests a second
// by address and by subject, logins that fail, bytes under way, and connections.
//
// Laws:
//   - It remembers a bounded number of callers: those that it has not seen for the
//     longest time are forgotten first, as if they had never come.
//   - A caller is an address as a network gives them out: a whole one of IPv4, and the
//     /64 of IPv6, of which one machine has all.
//   - What is refused is told when to come back, and costs no more than a look at a map.
package limits

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Config says how much a caller may ask for. Zero is no limit.
type Config struct {
	// PerAddress and PerSubject are requests a second; twice as many may come at once.
	PerAddress, PerSubject int
	// Failures is how many logins of an address may fail in a minute.
	Failures int
	// Now is the clock.
	Now func() time.Time
}

// maxCallers bounds the callers of each kind that are remembered.
const maxCallers = 1 << 16

// Limits is what callers have used. It is safe for concurrent use. Nil limits nothing.
type Limits struct {
	now               func() time.Time
	addresses, logins *buckets[netip.Addr]
	subjects          *buckets[string]
}

// New returns limits that nobody has used yet.
func New(c Config) *Limits {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Limits{
		now:       c.Now,
		addresses: newBuckets[netip.Addr](rate.Limit(c.PerAddress), 2*c.PerAddress),
		subjects:  newBuckets[string](rate.Limit(c.PerSubject), 2*c.PerSubject),
		logins:    newBuckets[netip.Addr](rate.Limit(float64(c.Failures)/60), c.Failures),
	}
}

// Address takes one request of an address. If it has none left, wait is when it has.
func (l *Limits) Address(a netip.Addr) (wait time.Duration) {
	if l == nil {
		return 0
	}
	return l.addresses.take(network(a), l.now())
}

// Subject takes one request of a subject.
func (l *Limits) Subject(s string) (wait time.Duration) {
	if l == nil {
		return 0
	}
	return l.subjects.take(s, l.now())
}

// Failed takes one login of an address that failed.
func (l *Limits) Failed(a netip.Addr) {
	if l != nil {
		l.logins.take(network(a), l.now())
	}
}

// Locked returns when an address may try to log in again; 0 is now.
func (l *Limits) Locked(a netip.Addr) (wait time.Duration) {
	if l == nil {
		return 0
	}
	return l.logins.left(network(a), l.now())
}

// network is what an address counts as.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() || !a.IsValid() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a // it has 64 bits
	}
	return p.Addr()
}

// buckets hold tokens that come back with time, one for each caller. Nil limits
// nothing.
type buckets[K comparable] struct {
	limit rate.Limit
	burst int
	most  int // that are remembered

	mu    sync.Mutex // protects the fields below
	known map[K]*list.Element
	order list.List // of bucket[K], those seen last in front
}

type bucket[K comparable] struct {
	key K
	*rate.Limiter
}

func newBuckets[K comparable](limit rate.Limit, burst int) *buckets[K] {
	if limit <= 0 {
		return nil
	}
	return &buckets[K]{limit: limit, burst: max(1, burst), most: maxCallers, known: map[K]*list.Element{}}
}

// take takes a token, or returns how long it is until there is one.
func (b *buckets[K]) take(key K, now time.Time) (wait time.Duration) {
	if b == nil {
		return 0
	}
	r := b.of(key).ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// left returns how long it is until there is a token, and takes none.
func (b *buckets[K]) left(key K, now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	e := b.known[key]
	b.mu.Unlock()
	if e == nil {
		return 0
	}
	missing := 1 - e.Value.(bucket[K]).TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(time.Nanosecond, time.Duration(missing/float64(b.limit)*float64(time.Second)))
}

// of returns the caller's bucket, and forgets another caller if there are too many.
func (b *buckets[K]) of(key K) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.known[key]; ok {
		b.order.MoveToFront(e)
		return e.Value.(bucket[K]).Limiter
	}
	if len(b.known) >= b.most {
		last := b.order.Back()
		delete(b.known, b.order.Remove(last).(bucket[K]).key)
	}
	l := rate.NewLimiter(b.limit, b.burst)
	b.known[key] = b.order.PushFront(bucket[K]{key, l})
	return l
}
