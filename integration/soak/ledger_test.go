package soak_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// claim is a tag that a worker alone sets and deletes, once each. A tag that was
// acknowledged keeps its version alive, whatever others do, until its worker
// begins to delete it.
type claim struct {
	repo   name.Repo
	tag    string
	digest chunker.Digest // zero if the push was not acknowledged
	model  recipe
	letGo  atomic.Bool // its worker has begun to delete it
}

func (c *claim) byTag() name.Ref { return name.Ref{Repo: c.repo, Tag: c.tag} }

func (c *claim) byDigest() name.Ref { return name.Ref{Repo: c.repo, Digest: c.digest} }

// ledger is what was acknowledged: in memory, and as a log to read when something
// is lost.
type ledger struct {
	mu     sync.Mutex
	held   []*claim
	doubts []*claim // pushed or deleted without an answer: there or not, but whole
	gone   []*claim // deleted; their models are pushed again
	log    io.WriteCloser
}

const mostGone = 200

func newLedger(dir string) (*ledger, error) {
	f, err := os.Create(filepath.Join(dir, "acknowledged.log"))
	return &ledger{log: f}, err
}

// note writes a line to the log.
func (l *ledger) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A log that cannot be written is not what is tested here.
	fmt.Fprintf(l.log, time.Now().Format("15:04:05.000000 ")+format+"\n", args...)
}

func (l *ledger) hold(c *claim) {
	l.note("held %s %s %s", c.repo, c.tag, c.digest)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = append(l.held, c)
}

func (l *ledger) doubt(c *claim, why string, err error) {
	l.note("doubt %s %s %s: %s: %v", c.repo, c.tag, c.digest, why, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubts = append(l.doubts, c)
}

// release takes a claim out of those that are held, before anything is done to it.
func (l *ledger) release(c *claim) {
	l.note("release %s %s %s", c.repo, c.tag, c.digest)
	c.letGo.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.held {
		if other == c {
			l.held[i] = l.held[len(l.held)-1]
			l.held = l.held[:len(l.held)-1]
			return
		}
	}
}

func (l *ledger) bury(c *claim) {
	l.note("gone %s %s %s", c.repo, c.tag, c.digest)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = append(l.gone, c)
	if len(l.gone) > mostGone {
		l.gone = l.gone[1:]
	}
}

// pick returns a claim that is held, or nil.
func (l *ledger) pick(r *rand.Rand) *claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return one(l.held, r)
}

// pickGone returns a claim that was deleted, or nil.
func (l *ledger) pickGone(r *rand.Rand) *claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return one(l.gone, r)
}

func one(claims []*claim, r *rand.Rand) *claim {
	if len(claims) == 0 {
		return nil
	}
	return claims[r.IntN(len(claims))]
}

// all returns copies of the lists of what is held and of what is doubtful.
func (l *ledger) all() (held, doubts []*claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(held, l.held...), append(doubts, l.doubts...)
}
