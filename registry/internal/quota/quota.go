package quota

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

const (
	// Unfinished is for how long the chunks of a push that is not committed count, since
	// the last of them came.
	Unfinished = 6 * time.Hour
	// lookEvery is how often it is looked for limits that other replicas have set.
	lookEvery = 30 * time.Second
	// lookAgain is when that is done again after it failed: pushes may wait for it.
	lookAgain = time.Second
	// stale is how old a weighing is that is done again before something is refused, and
	// old how old one is that is done again behind what is pushed.
	stale = 250 * time.Millisecond
	old   = time.Minute
	// share is how many times the time that weighing takes has to pass until it is done
	// again.
	share = 20
	// maxScales bounds the namespaces that are weighed without beginning anew each time,
	// some 5 MB each.
	maxScales = 8
	// maxPushes bounds the pushes of a namespace that are told apart.
	maxPushes = 1 << 12
)

// Config is what a Service works with; everything must be set but Rand.
type Config struct {
	Registers registers.Engine
	Policy    access.Policy
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
	Logger    *slog.Logger
}

// Weigher tells what a namespace holds; *versions.Scale is one. It is used by one
// goroutine at a time.
type Weigher interface {
	Weigh(ctx context.Context) (versions.Weight, error)
}

// Service keeps the quotas and holds pushes to them. It is safe for concurrent use.
type Service struct {
	Config
	book record.Book

	looked chan struct{} // closed once the limits are known
	once   sync.Once     // closes looked

	mu     sync.Mutex // protects what follows; never held across a call
	scale  func(namespace string) Weigher
	limits map[string]limits   // by namespace
	usage  map[string]*account // of namespaces that were asked about
	scales []*account          // that have a scale, the one used last in front
}

// limits are those of one namespace, as its register was read.
type limits struct {
	version registers.Version
	rec     record.Quota
}

// New returns a Service. Weigh tells it how namespaces are weighed before anything is
// asked.
func New(c Config) *Service {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Service{
		Config: c, book: record.Book{Registers: c.Registers, Rand: c.Rand}, looked: make(chan struct{}),
		limits: map[string]limits{}, usage: map[string]*account{},
	}
}

var _ versions.Quota = (*Service)(nil)

// Weigh sets how a namespace is weighed. It is apart from New because those who weigh
// ask the Service too.
func (s *Service) Weigh(by func(namespace string) Weigher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scale = by
}

// Run learns of the limits, and goes on to learn of those that other replicas set, until
// ctx ends. Pushes wait for it to begin.
func (s *Service) Run(ctx context.Context) {
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = lookEvery
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "quotas that others have set are not known yet", "error", err)
			wait = lookAgain
		}
	}
}

// look reads the limits that have changed.
func (s *Service) look(ctx context.Context) error {
	err := s.book.Each(ctx, record.QuotaPrefix, "", func(e registers.Entry) (bool, error) {
		namespace := e.Key[len(record.QuotaPrefix):]
		s.mu.Lock()
		known := s.limits[namespace].version == e.Version
		s.mu.Unlock()
		if known {
			return true, nil
		}
		_, err := s.load(ctx, namespace)
		return err == nil, err
	})
	if err == nil {
		s.once.Do(func() { close(s.looked) })
	}
	return err
}

// load reads the limits of a namespace, and remembers them.
func (s *Service) load(ctx context.Context, namespace string) (limits, error) {
	var l limits
	v, err := s.book.Load(ctx, record.QuotaKey(namespace), &l.rec)
	if err != nil {
		return l, err
	}
	l.version = v
	s.learn(namespace, l)
	return l, nil
}

// learn remembers limits, unless later ones are known.
func (s *Service) learn(namespace string, l limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limits[namespace].rec.Seq <= l.rec.Seq {
		s.limits[namespace] = l
	}
}

// limited returns the limits of a namespace, if it has any.
func (s *Service) limited(ctx context.Context, namespace string) (record.Quota, bool, error) {
	select {
	case <-s.looked:
	case <-ctx.Done():
		return record.Quota{}, false, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.limits[namespace].rec
	return rec, rec.Bytes != nil || rec.Stored != nil, nil
}
