package ledger

import "time"

// Hold says how many bytes something takes that is no version and is there
// already: memory of a former agent, documents. It never fails, so that more may
// be used than the budget until others have left. A name has one amount; 0 is
// Unhold.
func (l *Ledger) Hold(name string, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setHold(name, bytes)
}

// Unhold says that something is not there any more.
func (l *Ledger) Unhold(name string) { l.Hold(name, 0) }

func (l *Ledger) setHold(name string, bytes int64) {
	l.used += bytes - l.ballast[name]
	if l.ballast[name] = bytes; bytes == 0 {
		delete(l.ballast, name)
	}
}

// TryHold is Hold for what is not there yet. It makes room as Admit does, and fails
// as that.
func (l *Ledger) TryHold(name string, bytes int64, _ time.Time) (Eviction, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes > l.limits.Bytes {
		return Eviction{}, &FullError{Name: name, Need: bytes, Budget: l.limits.Bytes, tooLarge: true}
	}
	before := l.ballast[name]
	l.setHold(name, bytes)
	out, ok := l.choose(l.over(bytes-before), 0)
	if ok {
		return l.evict(out), nil
	}
	l.setHold(name, before)
	full := l.full(out, 0)
	full.Name, full.Need = name, bytes-before
	out.stay()
	return Eviction{}, full
}
