package simtest

import (
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// tagged is where a tag points, and whether somebody was told that it does.
type tagged struct {
	digest  string
	version registers.Version
	by      string // the request that wrote it
	step    int    // at which it did
	told    bool
}

func (j *judge) wroteTag(key string, after value) {
	var t record.Tag
	j.read(key, after.val, &t)
	j.tags[key] = &tagged{digest: t.Digest, version: after.version, by: j.author(), step: j.steps}
}

// told is called when the client of a request, which began at a step, learns that a
// tag points at a version. From then on, and as long as nobody moves the tag, the
// version can be read (I5).
func (j *judge) told(key, digest, request string, began int) {
	t := j.tags[key]
	if t == nil || t.digest != digest || t.by != request && t.step > began {
		return // somebody has moved it since
	}
	t.told = true
	repo, _, err := record.ParseKey(key)
	if err != nil {
		j.fail("format", "%v", err)
		return
	}
	if h := j.heads[record.HeadPrefix+repo.String()+"/"+digest]; h == nil || !h.Readable() {
		j.fail("I5", "%s was set to %s, which cannot be read", key, digest)
	}
}

// checkTags is called when a version has been retired.
func (j *judge) checkTags(key string) {
	repo, digest, err := record.ParseKey(key)
	if err != nil {
		j.fail("format", "%v", err)
		return
	}
	for _, tag := range tagNames {
		if t := j.tags[record.TagKey(repo, tag)]; t != nil && t.told && t.digest == digest {
			j.fail("I5", "%s is retired, and tag %s points at it", key, tag)
		}
	}
}

// operation is what a client asked of a tag, and what it was told.
type operation struct {
	kind         action
	to, expect   string // digests; "" is none
	got          string // of a read
	moved        bool   // refused: the tag was elsewhere
	maybe, known bool   // what became of it is not known, but whether it has ended may be
	back         bool   // it may have been taken back from a version that is gone
	before       []any  // where the tag may be then
	begin, ended int64
}

// ordered notes an operation that began at a step, and whose answer has come now.
func (j *judge) ordered(key string, began int, op operation) {
	op.begin, op.ended = 2*int64(began)+1, 2*int64(j.steps)

	if op.maybe && !op.known {
		op.ended = math.MaxInt64 // it may happen at any later time
	}
	j.orders[key] = append(j.orders[key], op)
}

// tagModel is one tag. A write whose outcome is not known, or that was taken back,
// may have happened or not.
var tagModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{""} },
	Step: func(state, in, _ any) []any { return stepTag(state.(string), in.(operation)) },
}

func stepTag(at string, op operation) []any {
	if op.kind == reads {
		if op.got == at {
			return []any{at}
		}
		return nil
	}
	fits := fitsTag(at, op)
	switch {
	case op.back:
		return append([]any{at, ""}, op.before...)
	case op.moved && fits:
		return nil
	case op.moved:
		return []any{at}
	case op.maybe && fits:
		return []any{at, op.to}
	case op.maybe:
		return []any{at}
	case fits:
		return []any{op.to}
	}
	return nil
}

// fitsTag tells whether a tag is where an operation expects it.
func fitsTag(at string, op operation) bool {
	switch {
	case op.kind == untags && at == "":
		return false
	case op.expect == "" || op.expect == at || at != "" && at == op.to:
		return true
	}
	return op.expect == openapi.ExpectNone && at == ""
}

// checkOrders wants one order of the operations on each tag that explains every
// answer (I4). It returns how many tags it could not decide in time.
func (j *judge) checkOrders() (undecided int) {
	for _, key := range sorted(j.orders) {
		var history []porcupine.Operation
		for i, op := range j.orders[key] {
			history = append(history, porcupine.Operation{ClientId: i, Input: op, Call: op.begin, Return: op.ended})
		}
		switch porcupine.CheckOperationsTimeout(tagModel.ToModel(), history, 10*time.Second) {
		case porcupine.Illegal:
			j.fail("I4", "no order of the operations on %s explains the answers: %+v", key, j.orders[key])
		case porcupine.Unknown:
			undecided++
		}
	}
	return undecided
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
