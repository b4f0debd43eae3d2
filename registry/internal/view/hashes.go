package view

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// hashWait is how long a version that was pushed a moment ago keeps listings
	// waiting for the sha256 of its files: clients give up after 10 seconds.
	hashWait = 3 * time.Second
	// hashing is how many versions are hashed at a time.
	hashing = 2
	// maxSums bounds the sha256 that are remembered: some 50 MB with their paths.
	maxSums = 1 << 18
)

// hashes remembers the sha256 of the files of versions, and has those computed that
// nobody has computed yet, behind those who ask.
type hashes struct {
	service *versions.Service
	ctx     context.Context // until close
	stop    context.CancelFunc
	work    sync.WaitGroup
	slots   *semaphore.Weighted
	wait    time.Duration // how long somebody waits for a version at most

	mu      sync.Mutex // protects what follows; never held across a call
	closed  bool
	known   map[version]map[string]string // by path
	count   int                           // of all in known
	running map[version]*job
}

// version is one of a repository: what is known of an equal one of another would tell
// that there is one.
type version struct {
	repo   name.Repo
	digest chunker.Digest
}

// job is a version that is being hashed.
type job struct {
	done chan struct{}
	sums map[string]string // nil if it failed
	late <-chan struct{}   // closed when nobody waits for it any longer
}

func newHashes(s *versions.Service) *hashes {
	h := &hashes{
		service: s, slots: semaphore.NewWeighted(hashing), wait: hashWait,
		known: map[version]map[string]string{}, running: map[version]*job{},
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// close ends what is under way.
func (h *hashes) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop()
	h.work.Wait()
}

// of returns the sha256 of the files of a version by their paths, or none if they
// would take too long. The caller has read the version.
func (h *hashes) of(ctx context.Context, repo name.Repo, d chunker.Digest) (map[string]string, error) {
	of := version{repo, d}
	if sums := h.remembered(of); sums != nil {
		return sums, nil
	}
	p := access.FromContext(ctx)
	list, ok, err := h.service.KnownHashes(ctx, p, repo, d)
	if err != nil {
		return nil, err
	}
	if ok {
		return h.remember(of, list), nil
	}
	j := h.join(p, of)
	if j == nil {
		return nil, nil
	}
	select {
	case <-j.done:
		return j.sums, nil
	case <-j.late:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *hashes) remembered(of version) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[of]
}

// remember keeps what is known of a version, instead of all others if there is no
// room for more.
func (h *hashes) remember(of version, list openapi.FileHashes) map[string]string {
	sums := make(map[string]string, len(list.Files))
	for _, f := range list.Files {
		sums[f.Path] = f.SHA256
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count+len(sums) > maxSums {
		clear(h.known)
		h.count = 0
	}
	if h.known[of] == nil {
		h.count += len(sums)
	}
	h.known[of] = sums
	return sums
}

// join has a version hashed, once however many want it; nil after close.
func (h *hashes) join(p access.Principal, of version) *job {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.running[of] != nil {
		return h.running[of]
	}
	late, over := context.WithTimeout(h.ctx, h.wait)
	j := &job{done: make(chan struct{}), late: late.Done()}
	h.running[of] = j
	h.work.Go(func() {
		defer over()
		j.sums = h.compute(p, of)
		h.mu.Lock()
		delete(h.running, of)
		h.mu.Unlock()
		close(j.done)
	})
	return j
}

// compute returns nil for a version that cannot be hashed: whoever reads its files
// learns why.
func (h *hashes) compute(p access.Principal, of version) map[string]string {
	if h.slots.Acquire(h.ctx, 1) != nil {
		return nil
	}
	defer h.slots.Release(1)
	list, err := h.service.FileHashes(h.ctx, p, of.repo, of.digest)
	if err != nil {
		return nil
	}
	return h.remember(of, list)
}
