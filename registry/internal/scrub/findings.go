package scrub

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// finding is what is wrong with one object, or with one register.
type finding struct {
	object   string
	digest   chunker.Digest // zero when more than one is meant, or it cannot be told
	reason   string
	places   []uint32 // where its bad chunks begin; none for all of it
	missing  bool
	register bool // it is none of the store's objects
	versions []string
	unhealed bool // a version needs it still
}

// findings are what a verification has found. They are safe for concurrent use.
type findings struct {
	chunks atomic.Int64 // that were compared
	heads  atomic.Int64 // that were looked at
	rules  []string     // of the store, that may be why objects are missing

	mu       sync.Mutex // protects the fields below; never held across a call out
	byObject map[string]*finding
	more     int // that there was no room for
}

func newFindings() *findings { return &findings{byObject: map[string]*finding{}} }

// add notes a finding, or adds to what is known of the object.
func (f *findings) add(found *finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old, ok := f.byObject[found.object]
	switch {
	case !ok && len(f.byObject) >= versions.MaxQuarantine:
		f.more++
	case !ok:
		f.byObject[found.object] = found
		return
	case len(old.places) == 0 || len(found.places) == 0:
		old.places = nil
	default:
		old.places = append(old.places, found.places...)
		slices.Sort(old.places)
		if old.places = slices.Compact(old.places); len(old.places) > mostPlaces {
			old.places = nil // all of it
		}
	}
	if ok && old.digest != found.digest {
		old.digest = chunker.Digest{}
	}
}

// of returns what is known to be wrong with the object, or nil.
func (f *findings) of(object string) *finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byObject[object]
}

// covers reports whether it is known that there is something wrong with a place.
func (f *findings) covers(at place) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.byObject[at.object]
	return found != nil && (len(found.places) == 0 || slices.Contains(found.places, at.offset))
}

// needed notes that a version needs an object, if that is one of the findings.
func (f *findings) needed(object, ref string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.byObject[object]
	if found == nil || slices.Contains(found.versions, ref) {
		return
	}
	found.unhealed = true
	if len(found.versions) < mostVersions {
		found.versions = append(found.versions, ref)
	}
}

// healed notes which of the findings a version still needs.
func (f *findings) healed(still map[string]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for object, found := range f.byObject { // nothing is called in this order
		found.unhealed = still[object]
	}
}

// sorted returns the findings by the names of the objects.
func (f *findings) sorted() []*finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Values(f.byObject), func(a, b *finding) int { return cmp.Compare(a.object, b.object) })
}

// reset forgets everything.
func (f *findings) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byObject, f.more = map[string]*finding{}, 0
	f.chunks.Store(0)
	f.heads.Store(0)
}

// fill writes the findings into the report.
func (v *verification) fill() {
	v.report.Chunks, v.report.Versions = v.chunks.Load(), v.heads.Load()
	for _, f := range v.sorted() {
		slices.Sort(f.versions)
		b := openapi.BadObject{Object: f.object, Reason: v.reasonOf(f), Versions: append([]string{}, f.versions...)}
		if !f.digest.IsZero() {
			b.Digest = f.digest.String()
		}
		if f.missing {
			v.report.Missing = append(v.report.Missing, b)
		} else {
			v.report.Bad = append(v.report.Bad, b)
		}
		if len(f.versions) > 0 && !f.unhealed && !f.register {
			v.report.Healed++
		}
	}
	if v.more > 0 {
		v.report.Bad = append(v.report.Bad, openapi.BadObject{
			Reason: fmt.Sprintf("%d more objects are bad or missing: the store needs its backup", v.more), Versions: []string{},
		})
	}
}

// reasonOf says what is wrong, and what may be the cause.
func (v *verification) reasonOf(f *finding) string {
	if !f.missing || len(v.rules) == 0 {
		return f.reason
	}
	return f.reason + "; a rule of the store may have taken it: " + strings.Join(v.rules, "; ")
}
