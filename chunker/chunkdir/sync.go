package chunkdir

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// syncer makes the entries of folders durable. Callers that come while a folder is
// being synced share the next fsync of it, since the one under way may have begun
// before their entry was there.
type syncer struct {
	fsync func(*os.File) error

	mu      sync.Mutex        // protects the fields below; never held across a system call
	waiting map[string]*round // the fsync of a folder that has not begun
	running map[string]*round // and the one that has
	failed  error             // of the first fsync that failed
}

// round is one fsync of one folder, for all who wait for it.
type round struct {
	done chan struct{} // closed when err is set
	err  error
}

func newSyncer(fsync func(*os.File) error) *syncer {
	return &syncer{fsync: fsync, waiting: map[string]*round{}, running: map[string]*round{}}
}

// sync returns when an fsync of the folder has ended that began after the call.
// The first to wait for it leads, the others follow.
func (s *syncer) sync(path string) error {
	r, before, lead := s.join(path)
	if !lead {
		<-r.done
		return r.err
	}
	if before != nil {
		<-before.done
	}
	s.begin(path, r)
	r.err = s.syncNow(path)
	s.end(path)
	close(r.done)
	return r.err
}

// join returns the next round of a folder, the one that is running, if any, and
// whether the caller leads the next.
func (s *syncer) join(path string) (next, before *round, lead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, before = s.waiting[path], s.running[path]
	if next == nil {
		next, lead = &round{done: make(chan struct{})}, true
		s.waiting[path] = next
	}
	return next, before, lead
}

func (s *syncer) begin(path string, r *round) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, path)
	s.running[path] = r
}

func (s *syncer) end(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, path)
}

// syncNow syncs the folder. An fsync that fails is the last: the kernel tells of
// lost entries once, so that the next fsync would succeed without them.
func (s *syncer) syncNow(path string) error {
	if err := s.failure(); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err = s.fsync(f); err != nil {
		err = s.fail(fmt.Errorf("sync folder %s: %w; restart to use the directory again", path, err))
	}
	return errors.Join(err, f.Close())
}

// failure returns why nothing can be made durable any more, if so.
func (s *syncer) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *syncer) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
	return err
}
