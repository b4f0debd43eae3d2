package deltas

import (
	"sync"
	"time"
)

// What a thousand bytes cost, in time of one processor, about: chunks are decoded and
// verified at 2 GB a second, and encoded at 1. It is reckoned from bytes, so that the same
// requests cost the same on every machine, however busy.
const (
	decodeCost = 500 * time.Nanosecond
	encodeCost = 1000 * time.Nanosecond
)

// Cost is work on deltas.
type Cost struct {
	CPU   time.Duration
	Bytes int64 // plain
}

// CostOf returns what it costs to decode so many encoded chunks of n plain bytes and to
// make others.
func CostOf(n, decoded, made int) Cost {
	each := time.Duration(decoded)*decodeCost + time.Duration(made)*encodeCost
	return Cost{time.Duration(n) * each / 1000, int64(n)}
}

// Budget is how much work on deltas each subject may have the registry do in a minute.
// It is safe for concurrent use.
type Budget struct {
	limit Cost
	now   func() time.Time

	mu     sync.Mutex // protects the fields below
	spent  map[string]account
	looked time.Time // when it was last looked who need not be remembered
}

// account is what a subject has spent of its last minute, at a time.
type account struct {
	Cost
	at time.Time
}

// maxAccounts bounds the subjects that are remembered: those that have spent nothing for a
// minute need not be.
const maxAccounts = 1 << 14

// NewBudget returns a budget of so much a minute. With no CPU time nothing may be done.
func NewBudget(limit Cost, now func() time.Time) *Budget {
	return &Budget{limit: limit, now: now, spent: map[string]account{}}
}

// Take spends c, unless the subject has spent its minute. The last that it takes may be
// more than it has left.
func (b *Budget) Take(subject string, c Cost) bool {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	a, known := b.spent[subject]
	if !known && !b.room(now) {
		return false
	}
	a = b.recover(a, now)
	if a.CPU >= b.limit.CPU || a.Bytes >= b.limit.Bytes {
		return false
	}
	a.CPU += c.CPU
	a.Bytes += c.Bytes
	b.spent[subject] = a
	return true
}

// recover gives back what time has given back.
func (b *Budget) recover(a account, now time.Time) account {
	minutes := max(0, now.Sub(a.at).Minutes())
	a.CPU = time.Duration(max(0, float64(a.CPU)-minutes*float64(b.limit.CPU)))
	a.Bytes = int64(max(0, float64(a.Bytes)-minutes*float64(b.limit.Bytes)))
	a.at = now
	return a
}

// room makes room for another subject. It looks at all of them once a second at most.
func (b *Budget) room(now time.Time) bool {
	if len(b.spent) < maxAccounts {
		return true
	}
	if now.Sub(b.looked) < time.Second {
		return false
	}
	b.looked = now
	for subject, a := range b.spent {
		if a = b.recover(a, now); a.Cost == (Cost{}) {
			delete(b.spent, subject)
		}
	}
	return len(b.spent) < maxAccounts
}
