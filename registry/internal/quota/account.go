package quota

import (
	"context"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// account is what one namespace holds.
type account struct {
	namespace string
	weighing  chan struct{} // has a place for who weighs
	scale     Weigher       // of who weighs; nil until then

	mu      sync.Mutex // protects what follows
	known   bool       // it was weighed
	weight  versions.Weight
	weighed time.Time     // when that began
	took    time.Duration // and what it took
	pushes  map[string]*pushed
}

// pushed is what a push has brought since it began, as far as that is not weighed.
type pushed struct {
	plain, stored int64     // chunks
	size          int64     // the version that it makes readable
	uploads       bool      // that version waits for a commit
	done          time.Time // when it was made readable; zero before
	last          time.Time // when something came
}

// sum is what a namespace holds with what came since it was weighed.
type sum struct {
	versions.Weight
	pushing int64
}

func newAccount(namespace string) *account {
	return &account{namespace: namespace, weighing: make(chan struct{}, 1), pushes: map[string]*pushed{}}
}

// of returns a push, which is remembered from then on. Of too many, that is forgotten
// to which nothing has come for the longest time. The caller holds mu.
func (a *account) of(p versions.QuotaPush, now time.Time) *pushed {
	at := a.pushes[p.ID]
	if at == nil {
		if len(a.pushes) >= maxPushes {
			a.forgetOldest()
		}
		at = &pushed{uploads: p.Uploads}
		a.pushes[p.ID] = at
	}
	at.last = now
	return at
}

func (a *account) forgetOldest() {
	oldest := ""
	for id, p := range a.pushes {
		if oldest == "" || p.last.Before(a.pushes[oldest].last) {
			oldest = id
		}
	}
	delete(a.pushes, oldest)
}

// sum adds up. The caller holds mu.
func (a *account) sum() sum {
	s := sum{Weight: a.weight}
	for _, p := range a.pushes {
		s.Stored += p.stored
		if p.done.IsZero() {
			s.pushing += p.stored
		}
		if p.uploads {
			s.Uploads += p.size
		} else {
			s.Bytes += p.size
		}
	}
	return s
}

// age is how old the weighing is, and whether it may be done again by now.
func (a *account) age(now time.Time) (age time.Duration, due bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	age = now.Sub(a.weighed)
	return age, !a.known || age >= share*a.took
}

// settle takes what was weighed. What was readable before the weighing began is in it,
// and what nobody has gone on with is not counted any more.
func (a *account) settle(w versions.Weight, began, ended time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known, a.weight, a.weighed, a.took = true, w, began, ended.Sub(began)
	for id, p := range a.pushes {
		if !p.done.IsZero() && p.done.Before(began) || began.Sub(p.last) > Unfinished {
			delete(a.pushes, id)
		}
	}
}

// account returns that of a namespace, weighed at least once.
func (s *Service) account(ctx context.Context, namespace string) (*account, error) {
	s.mu.Lock()
	a := s.usage[namespace]
	if a == nil {
		a = newAccount(namespace)
		s.usage[namespace] = a
	}
	s.mu.Unlock()
	a.mu.Lock()
	known := a.known
	a.mu.Unlock()
	if known {
		return a, nil
	}
	return a, s.weigh(ctx, a, func(a *account) bool { return !a.known })
}

// weigh weighs a namespace, unless somebody who had just done so has made that needless.
func (s *Service) weigh(ctx context.Context, a *account, need func(*account) bool) error {
	select {
	case a.weighing <- struct{}{}:
		defer func() { <-a.weighing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	a.mu.Lock()
	needed := need(a)
	a.mu.Unlock()
	if !needed {
		return nil
	}
	scale := s.scaleOf(a)
	began := s.Now()
	w, err := scale.Weigh(ctx)
	if err != nil {
		return err
	}
	a.settle(w, began, s.Now())
	return nil
}

// scaleOf returns what weighs a namespace. Those that were not used for the longest time
// forget what they know.
func (s *Service) scaleOf(a *account) Weigher {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.scale == nil {
		a.scale = s.scale(a.namespace)
	}
	kept := []*account{a}
	for _, other := range s.scales {
		switch {
		case other == a:
		case len(kept) < maxScales:
			kept = append(kept, other)
		default:
			other.scale = nil // who weighs by it just now has it still
		}
	}
	s.scales = kept
	return a.scale
}

// refresh weighs again behind what is pushed, if it is time.
func (s *Service) refresh(ctx context.Context, a *account) {
	now := s.Now()
	if age, due := a.age(now); age < old || !due {
		return
	}
	select {
	case a.weighing <- struct{}{}:
		<-a.weighing
	default:
		return // it is weighed just now
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxWeighing)
		defer cancel()
		err := s.weigh(ctx, a, func(a *account) bool { return s.Now().Sub(a.weighed) >= old })
		if err != nil {
			s.Logger.WarnContext(ctx, "what a namespace holds is not known anew", "namespace", a.namespace, "error", err)
		}
	}()
}

// maxWeighing bounds a weighing behind what is pushed.
const maxWeighing = 10 * time.Minute
