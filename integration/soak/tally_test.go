package soak_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// tally counts what happened.
type tally struct {
	mu       sync.Mutex
	done     map[string]int // acknowledged, by operation
	failed   map[string]int // by operation and reason
	faults   map[string]int // of the proxies, by kind
	struck   map[string]int // processes killed or paused, by which
	exits    map[string]int // of replicas that ended by themselves, by what they said
	epochs   uint64
	findings map[string][]string // what must not be, by kind
}

// The kinds of findings.
const (
	lost   = "lost"   // acknowledged, and not there any more
	wrong  = "wrong"  // other bytes, another version, or part of one
	leaked = "leaked" // in the store, and nothing needs it
	broken = "broken" // everything else that must not be
)

const mostFindings = 50 // of a kind are printed

func newTally() *tally {
	t := &tally{findings: map[string][]string{}}
	for _, m := range []*map[string]int{&t.done, &t.failed, &t.faults, &t.struck, &t.exits} {
		*m = map[string]int{}
	}
	return t
}

func (t *tally) count(into map[string]int, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	into[what]++
}

func (t *tally) did(what string) { t.count(t.done, what) }

// many counts n things that were done.
func (t *tally) many(what string, n int) {
	if n == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[what] += n
}

func (t *tally) strike(what string) { t.count(t.struck, what) }

// fail counts a failure, which is no finding: faults are what a soak is about.
func (t *tally) fail(what string, err error) { t.count(t.failed, what+": "+reason(err)) }

// reason is the kind of an error.
func reason(err error) string {
	var told *openapi.Error
	switch {
	case errors.As(err, &told):
		return string(told.Code)
	case errors.Is(err, client.ErrCorrupt):
		return "corrupt"
	case errors.Is(err, client.ErrUnreachable):
		return "unreachable"
	}
	return fmt.Sprintf("%.60q", err.Error()[strings.LastIndex(err.Error(), ": ")+1:])
}

func (t *tally) find(kind, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.findings[kind] = append(t.findings[kind], fmt.Sprintf(format, args...))
}

func (t *tally) broken(format string, args ...any) { t.find(broken, format, args...) }

func (t *tally) bad() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.findings) > 0
}

// add adds counts that somebody else has kept.
func (t *tally) add(epochs uint64, faults map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epochs += epochs
	for what, n := range faults {
		t.faults[what] += n
	}
}

// verdict lists the findings.
func (t *tally) verdict() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(t.findings)) {
		all := t.findings[kind]
		fmt.Fprintf(&b, "%d %s:\n", len(all), kind)
		for _, f := range all[:min(len(all), mostFindings)] {
			fmt.Fprintf(&b, "  %s\n", f)
		}
	}
	return b.String()
}

func (t *tally) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("acknowledged: %s\nfailed: %s\nfaults: %s\nstruck: %s; %d killed\nended by themselves: %s\nepochs: %d\nlost %d, wrong %d, leaked %d, broken %d",
		list(t.done), list(t.failed), list(t.faults), list(t.struck), sum(t.struck, "kill"), list(t.exits), t.epochs,
		len(t.findings[lost]), len(t.findings[wrong]), len(t.findings[leaked]), len(t.findings[broken]))
}

func list(counts map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(parts, ", ")
}

func sum(counts map[string]int, prefix string) (total int) {
	for what, n := range counts {
		if strings.HasPrefix(what, prefix) {
			total += n
		}
	}
	return total
}
