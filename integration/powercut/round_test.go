package powercut_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// tally is what came of all rounds.
type tally struct {
	rounds, acks, removals, collections, compared int
	lost                                          []string
}

func (n *tally) lose(format string, args ...any) {
	n.lost = append(n.lost, fmt.Sprintf(format, args...))
}

func (n *tally) String() string {
	return fmt.Sprintf("%d rounds, %d pushes and %d removals acknowledged, %d collections, %d versions compared: %d lost or wrong",
		n.rounds, n.acks, n.removals, n.collections, n.compared, len(n.lost))
}

// rig is a registry on a disk whose power is cut again and again.
type rig struct {
	t       *testing.T
	disk    *disk
	server  *server
	rand    *rand.Rand
	ledgers []*ledger
	tally   *tally
	longest time.Duration // of the work in a round
	// quiet has one pusher and no collector in every round: what others sync may save
	// what the registry has forgotten to.
	quiet bool
}

// pushers is the most that push at a time.
const pushers = 6

func newRig(t *testing.T, kind, program string, random *rand.Rand, n *tally) *rig {
	t.Helper()
	d := newDisk(t, kind, 1024)
	g := &rig{t: t, disk: d, rand: random, tally: n, longest: 4 * time.Second}
	g.server = newServer(t, program, filepath.Join(d.dir, "data"))
	for i := range pushers {
		repo := name.Repo{Namespace: "power", Name: fmt.Sprint("pusher-", i)}
		g.ledgers = append(g.ledgers, &ledger{repo: repo, seed: g.rand.Uint64()})
	}
	g.server.start()
	return g
}

// close gives the room of the disk back, before the test has ended.
func (g *rig) close() {
	g.server.kill()
	g.disk.unmount()
	if err := os.Remove(g.disk.image); err != nil {
		g.t.Error(err)
	}
}

// round has clients work, cuts the power, and holds the registry to their ledgers.
func (g *rig) round() {
	g.t.Helper()
	ctx, cancel := context.WithCancel(g.t.Context())
	defer cancel()
	acked, on := make(chan struct{}, 1), &power{}
	working := g.work(ctx, acked, on)
	g.wait(acked)
	on.off.Store(true)
	if err := g.disk.cut(); err != nil {
		g.t.Fatal(err)
	}
	cancel()
	if early := working.Wait(); early != nil {
		g.server.kill()
		g.t.Errorf("before the power was cut: %v\n%s", early, g.server.log)
	}
	g.recover()
}

// recover brings disk and registry up again, and holds it to the ledgers.
func (g *rig) recover() {
	g.t.Helper()
	g.server.kill()
	g.disk.remount()
	g.tally.rounds++
	for _, l := range g.ledgers {
		g.tally.acks, g.tally.removals = g.tally.acks+l.acks, g.tally.removals+l.removals
		l.acks, l.removals = 0, 0
	}
	if err := checkRegisters(filepath.Join(g.server.data, "meta.db")); err != nil {
		g.tally.lose("meta.db: %v", err)
	}
	if err := g.server.tryStart(); err != nil {
		g.tally.lose("the registry does not start: %v\n%s", err, g.server.log)
		return
	}
	g.check(g.t.Context())
}

// work starts pushers, and in two of three rounds a collector. They end when the disk
// fails them, or with ctx.
func (g *rig) work(ctx context.Context, acked chan<- struct{}, on *power) *errgroup.Group {
	g.t.Helper()
	n, collecting := 1+g.rand.IntN(pushers), g.rand.IntN(3) > 0
	if g.quiet {
		n, collecting = 1, false
	}
	var working errgroup.Group
	for _, i := range g.rand.Perm(pushers)[:n] {
		p := g.pusher(i, acked)
		working.Go(func() error { return p.run(ctx, on) })
	}
	if collecting {
		r := g.server.client()
		working.Go(func() error { return collects(ctx, r, on, &g.tally.collections) })
	}
	return &working
}

func (g *rig) pusher(i int, acked chan<- struct{}) *pusher {
	g.t.Helper()
	return &pusher{
		ledger: g.ledgers[i], registry: g.server.client(), dir: g.t.TempDir(),
		rand: rand.New(rand.NewPCG(g.rand.Uint64(), 0)), acked: acked,
	}
}

// wait waits for the moment of the cut: in half of the rounds it is any, in the others
// it comes right after an acknowledgement.
func (g *rig) wait(acked <-chan struct{}) {
	time.Sleep(g.longest/8 + time.Duration(g.rand.Int64N(int64(g.longest))))
	if !g.quiet && g.rand.IntN(2) == 0 {
		return
	}
	select {
	case <-acked: // of some time ago
	default:
	}
	select {
	case <-acked:
	case <-time.After(10 * g.longest): // nothing is acknowledged any more, which check finds
	}
}

// checkRegisters has bbolt check the file of the registers, before the registry opens
// it.
func checkRegisters(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) (found error) {
		for err := range tx.Check() {
			found = errors.Join(found, err)
		}
		return found
	})
	return errors.Join(err, db.Close())
}

// check holds the registry to the ledgers, and its store to itself.
func (g *rig) check(ctx context.Context) {
	g.t.Helper()
	r := g.server.client()
	for _, l := range g.ledgers {
		for _, c := range l.claims {
			if err := l.checkClaim(ctx, r, c); err != nil {
				g.tally.lose("round %d: %s@%s, the push %d of %d: %v", g.tally.rounds, l.repo, c.digest, c.number, l.pushed, err)
			}
			g.tally.compared++
		}
		if err := l.checkTag(ctx, r); err != nil {
			g.tally.lose("round %d: the tag of %s: %v", g.tally.rounds, l.repo, err)
		}
	}
	report, err := r.VerifyStore(ctx, true, nil)
	if err != nil || len(report.Bad)+len(report.Missing) > 0 {
		g.tally.lose("round %d: the store: %+v %v", g.tally.rounds, report, err)
	}
}

// checkClaim wants a version that was acknowledged, and none that was removed.
func (l *ledger) checkClaim(ctx context.Context, r *client.Registry, c *claim) error {
	ref := name.Ref{Repo: l.repo, Digest: c.digest}
	if c.state == acknowledged {
		return l.compare(ctx, r, ref, c.number)
	}
	_, _, err := r.Manifest(ctx, ref)
	switch {
	case gone(err):
		c.state = removed
		return nil
	case err != nil:
		return err
	case c.state == removed:
		return errors.New("it was removed, and is there again")
	default:
		return l.compare(ctx, r, ref, c.number)
	}
}

// gone reports whether the registry says that it has no such thing, or no longer.
func gone(err error) bool { return errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) }

// checkTag wants the tag at the newest version that was acknowledged, or at one whose
// answer was lost after that. What it points at is whole.
func (l *ledger) checkTag(ctx context.Context, r *client.Registry) error {
	tag, err := r.Tag(ctx, l.repo, head)
	newest := l.newest()
	if gone(err) && newest < 0 {
		return nil
	}
	if err != nil {
		return err
	}
	ref := name.Ref{Repo: l.repo, Digest: tag.Digest}
	err = fmt.Errorf("it is at %s, and the push %d was acknowledged", tag.Digest, newest)
	for _, number := range append(l.unanswered, newest) {
		if number < newest || number < 0 {
			continue
		}
		other := l.compare(ctx, r, ref, number)
		if other == nil {
			return nil
		}
		err = errors.Join(err, other)
	}
	return err
}
