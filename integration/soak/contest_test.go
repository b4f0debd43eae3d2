package soak_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	contestants = 3
	turns       = 6 // of each
	candidates  = 3 // versions that a tag is moved between
)

// contest has several clients move one tag at the same time, again and again, and
// checks that the tag is a register: that some order explains all answers.
func (r *round) contest(ctx context.Context) {
	w := r.newWorker(1000)
	var versions []chunker.Digest
	home := name.Repo{Namespace: "soak-0", Name: "contested"}
	for n := 0; ctx.Err() == nil; n++ {
		if len(versions) < candidates {
			if d, ok := w.keep(home, n); ok {
				versions = append(versions, d)
			}
			continue
		}
		w.tagRace(home, fmt.Sprintf("race-%d", n), versions)
		w.deleteRace(home, n)
		wait(ctx, 100*time.Millisecond)
	}
}

// keep pushes a version that stays.
func (w *worker) keep(to name.Repo, n int) (chunker.Digest, bool) {
	c := &claim{repo: to, tag: fmt.Sprint("keep-", n), model: newRecipe(w.rand)}
	if !w.pushClaim(c, name.Ref{}) {
		return c.digest, false
	}
	w.ledger.hold(c)
	return c.digest, true
}

// tagStep is what somebody did to the tag, and tagSeen what came of it.
type tagStep struct {
	kind   string // get, set, delete
	to     string // digest
	expect string // digest, openapi.ExpectNone, or empty
}

type tagSeen struct {
	at      string // of a get: where the tag was, openapi.ExpectNone for nowhere
	refused bool   // it was not where it was expected, or not there to be deleted
	unknown bool   // perhaps it was done, perhaps not
}

// tagModel is a register whose state is the digest, or openapi.ExpectNone.
func tagModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return openapi.ExpectNone },
		Step: func(state, input, output any) (bool, any) {
			at, step, seen := state.(string), input.(tagStep), output.(tagSeen)
			fits := step.expect == "" || step.expect == at
			switch step.kind {
			case "get":
				return seen.at == at, at
			case "delete":
				fits = fits && at != openapi.ExpectNone
				step.to = openapi.ExpectNone
			case "set":
				fits = fits || step.to == at // what is asked for is there: who asks again is told so
			}
			if !fits {
				return seen.refused || seen.unknown, at
			}
			return !seen.refused, step.to
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v %+v", input, output) },
	}
}

// tagRace is one history of one tag, from its beginning.
func (w *worker) tagRace(home name.Repo, tag string, versions []chunker.Digest) {
	began := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var all sync.WaitGroup
	for i := range contestants {
		random := w.random(fmt.Sprint(tag, i))
		all.Go(func() {
			for range turns {
				op := porcupine.Operation{ClientId: i, Call: int64(time.Since(began))}
				step := drawStep(random, versions)
				seen, certain := w.takeStep(home, tag, step, random)
				op.Input, op.Output, op.Return = step, seen, int64(time.Since(began))
				if !certain {
					continue // a read without an answer says nothing
				}
				if seen.unknown {
					op.Return = math.MaxInt64 // whoever carries it out may do so whenever he likes
				}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
				if seen.unknown {
					i += contestants // one who waits for ever does nothing else
				}
			}
		})
	}
	all.Wait()
	switch porcupine.CheckOperationsTimeout(tagModel(), history, 20*time.Second) {
	case porcupine.Ok:
		w.tally.did("tag history")
	case porcupine.Unknown:
		w.tally.fail("tag history", errors.New("took too long to check"))
	case porcupine.Illegal:
		w.tally.find(wrong, "no order explains what was seen of tag %s:%s", tag, tell(history))
	}
}

// tell prints a history, one operation a line.
func tell(history []porcupine.Operation) string {
	var b strings.Builder
	for _, op := range history {
		step, seen := op.Input.(tagStep), op.Output.(tagSeen)
		fmt.Fprintf(&b, "\n    client %d, %d to %d: %s %.8s expect %.8s: at %.8s refused %t unknown %t", op.ClientId%contestants,
			op.Call/1000, op.Return/1000, step.kind, step.to, step.expect, seen.at, seen.refused, seen.unknown)
	}
	return b.String()
}

func drawStep(r *rand.Rand, versions []chunker.Digest) tagStep {
	any := func() string { return versions[r.IntN(len(versions))].String() }
	step := tagStep{kind: "set", to: any()}
	switch n := r.IntN(10); {
	case n < 4:
		return tagStep{kind: "get"}
	case n < 5:
		step = tagStep{kind: "delete"}
	}
	switch n := r.IntN(6); {
	case n < 2:
		step.expect = any()
	case n < 3 && step.kind == "set":
		step.expect = openapi.ExpectNone
	}
	return step
}

// takeStep makes one request, and no other if it fails: who tries again writes
// twice.
func (w *worker) takeStep(home name.Repo, tag string, step tagStep, random *rand.Rand) (seen tagSeen, certain bool) {
	c, err := client.New("http://once", client.Options{Patience: time.Nanosecond, HTTP: &http.Client{Transport: &once{to: w.replicas[random.IntN(len(w.replicas))]}}})
	if err != nil {
		w.tally.broken("make a client: %v", err)
		return seen, false
	}
	defer c.Close()
	err = call(func(ctx context.Context) error {
		switch step.kind {
		case "get":
			got, err := c.Resolve(ctx, name.Ref{Repo: home, Tag: tag})
			seen.at = got.String()
			if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
				seen.at, err = openapi.ExpectNone, nil
			}
			return err
		case "delete":
			return c.DeleteTag(ctx, home, tag, step.expect)
		}
		to, err := chunker.ParseDigest(step.to)
		if err == nil {
			_, err = c.SetTag(ctx, home, tag, openapi.SetTag{Digest: to, Expect: step.expect})
		}
		return err
	})
	switch {
	case err == nil:
		w.tally.did("contested " + step.kind)
		return seen, true
	case errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}), step.kind == "delete" && errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}):
		w.tally.did("contested " + step.kind)
		return tagSeen{refused: true}, true
	}
	w.tally.fail("contested "+step.kind, err)
	return tagSeen{unknown: true}, step.kind != "get"
}

// once is a transport for one request.
type once struct {
	to   *replica
	mu   sync.Mutex
	used bool
}

// RoundTrip implements http.RoundTripper.
func (o *once) RoundTrip(q *http.Request) (*http.Response, error) {
	o.mu.Lock()
	used := o.used
	o.used = true
	o.mu.Unlock()
	if used {
		return nil, errors.New("only one request is made here")
	}
	q = q.Clone(q.Context())
	q.URL.Host, q.Host = o.to.front.Addr(), o.to.front.Addr()
	t := &http.Transport{DisableKeepAlives: true}
	return t.RoundTrip(q)
}

// deleteRace has one client delete a version and another tag it at the same time.
// One of them must be told no.
func (w *worker) deleteRace(home name.Repo, n int) {
	c := &claim{repo: home, tag: fmt.Sprint("doomed-", n), model: newRecipe(w.rand)}
	if !w.pushClaim(c, name.Ref{}) {
		return
	}
	other := &claim{repo: home, tag: fmt.Sprint("saved-", n), digest: c.digest, model: c.model}
	var deleted, tagged error
	var both sync.WaitGroup
	deleter, tagger := w.client(), w.client()
	both.Go(func() {
		deleted = call(func(ctx context.Context) error { return deleter.DeleteTag(ctx, home, c.tag, "") })
		if deleted == nil {
			deleted = call(func(ctx context.Context) error { return deleter.DeleteVersion(ctx, home, c.digest) })
		}
	})
	both.Go(func() {
		tagged = call(func(ctx context.Context) error {
			_, err := tagger.SetTag(ctx, home, other.tag, openapi.SetTag{Digest: c.digest})
			return err
		})
	})
	both.Wait()
	w.ledger.doubt(c, "race", deleted)
	if tagged != nil {
		w.tally.fail("tag what is deleted", tagged)
		w.ledger.doubt(other, "race", tagged)
		return
	}
	if deleted == nil {
		w.tally.find(lost, "version %s was deleted and tagged %s, and both were acknowledged", c.digest, other.byTag())
	}
	w.tally.did("tag what is deleted")
	w.ledger.hold(other)
}
