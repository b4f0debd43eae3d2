package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// TestLeasesOfMovingTag leases a reference while it moves to and fro: a version
// that was left meanwhile is whole for as long as it is leased.
func TestLeasesOfMovingTag(t *testing.T) {
	w := newWorld(t)
	tags := map[chunker.Digest]string{w.push("a"): "a", w.push("b", synth.ChangeLayers(9, 1)): "b"}
	h := w.node(nil)
	defer h.close()
	moving := ref("acme/llama:moving")
	like := node.Model{Ref: moving, Tier: openapi.TierRAM, Watch: true}
	for d := range tags {
		h.Changed(moving, d, like)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for d := range tags {
				h.Changed(moving, d, like)
				time.Sleep(time.Millisecond) // or nobody else has a turn
			}
		}
	})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 6 {
				l, err := h.Lease(ctx, node.LeaseOrder{Ref: moving}, nil)
				if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
					continue // the registry has no such tag, and is asked before the first version is there
				}
				if err != nil {
					t.Error(err)
					return
				}
				if l.Manifest() == nil {
					t.Error("a lease without a manifest")
					return
				}
				h.check(l, tags[l.Version()])
				l.Release()
			}
		})
	}
	readers.Wait()
	stop()
	wg.Wait()
	defer func() {
		if t.Failed() {
			t.Logf("at the end: %+v, %+v", h.Status().Tiers, h.model("moving"))
		}
	}()
	until(t, "the last version is all that is there", func() bool {
		s := h.Status()
		m := h.model("moving")
		return m.Leases == 0 && len(m.Old) == 0 && s.Tiers.RAM.Used == m.BytesOwn+m.BytesShared && s.Tiers.RAM.Models == 1
	})
}

// TestLeftWhileLeased has a reference move on after the version that somebody waits
// for has come, and before the lease of it is noted.
func TestLeftWhileLeased(t *testing.T) {
	w := newWorld(t)
	w.push("moving")
	b := w.push("b", synth.ChangeLayers(9, 1))
	h := w.node(nil)
	defer h.close()
	h.load("moving", openapi.TierDisk)
	h.load("b", openapi.TierRAM)

	// Other loads have every turn, so that the lease has to wait.
	hold := w.holdChunks()
	var others sync.WaitGroup
	for i := range 4 {
		tag := fmt.Sprintf("other-%d", i)
		w.push(tag, synth.ChangeLayers(uint64(20+i), i))
		others.Go(func() { h.load(tag, openapi.TierDisk) })
	}
	for versions := map[string]bool{}; len(versions) < 4; {
		versions[<-hold.asked] = true
	}
	waits, goOn := make(chan struct{}), make(chan struct{})
	leased := make(chan *node.Lease)
	go func() {
		first := true
		l, err := h.Lease(t.Context(), node.LeaseOrder{Ref: ref("acme/llama:moving")}, func(int64, int64) {
			if first {
				first = false
				close(waits)
				<-goOn
			}
		})
		if err != nil {
			t.Error(err)
		}
		leased <- l
	}()
	<-waits
	close(hold.release)
	others.Wait()
	until(t, "the version is in memory", func() bool { return h.model("moving").Tier == openapi.TierRAM })
	h.Changed(ref("acme/llama:moving"), b, node.Model{Tier: openapi.TierRAM, Watch: true})
	until(t, "the reference moves", func() bool { return h.model("moving").Version == b.String() })
	close(goOn)
	l := <-leased
	if l == nil {
		return
	}
	if l.Manifest() == nil {
		t.Fatal("a lease without a manifest")
	}
	h.check(l, "moving")
	l.Release()
}

// held is requests for chunks that are not answered yet.
type held struct {
	asked   chan string // of which version
	release chan struct{}
}

// holdChunks has requests for chunks wait until release is closed.
func (w *world) holdChunks() held {
	hold := held{asked: make(chan string, 1000), release: make(chan struct{})}
	answer := w.handler
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if version, _, ok := strings.Cut(r.URL.Path, "/chunks"); ok && r.Method == http.MethodGet {
			hold.asked <- version
			<-hold.release
		}
		answer.ServeHTTP(rw, r)
	})
	return hold
}

// TestClockJumps sets the clock ahead by a year, and back by two, while versions
// are leased and idle. Leases stay, and what nobody uses falls in its time.
func TestClockJumps(t *testing.T) {
	w := newWorld(t)
	w.push("used")
	w.push("idle", synth.ChangeLayers(9, 1))
	var ahead atomic.Int64
	h := w.node(func(c *node.Config) {
		c.IdleRAM = time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	defer h.close()
	const year = 365 * 24 * time.Hour
	l := h.lease("used")
	h.load("idle", openapi.TierRAM)
	ahead.Store(int64(year))
	until(t, "the idle version falls", func() bool { return h.model("idle").Tier == openapi.TierDisk })
	ahead.Store(int64(-year))
	h.load("idle", openapi.TierRAM)
	h.check(l, "used")
	l.Release()
	h.lease("idle").Release()
	ahead.Store(int64(-year + 2*time.Hour))
	until(t, "both versions fall", func() bool {
		return h.model("idle").Tier == openapi.TierDisk && h.model("used").Tier == openapi.TierDisk
	})
}
