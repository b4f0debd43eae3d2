package simtest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// action is what a request is to do.
type action string

const (
	pushes   action = "push"
	commits  action = "commit"
	tags     action = "tag"
	untags   action = "untag"
	deletes  action = "delete"
	reads    action = "read"
	collects action = "collect"
	heals    action = "heal"
)

// intent is what a request is to do, so that the judge can tell whether a change
// was asked for.
type intent struct {
	action
	repo   name.Repo
	digest chunker.Digest
	tag    string
}

// judge holds every change of registers and store to the invariants. It belongs to
// the scheduler, but for intents.
type judge struct {
	*sim
	by      *call             // who changes something at this moment
	intents map[string]intent // by request; protected by sim.mu
	broken  error             // the first invariant that does not hold

	heads  map[string]*standing
	bodies map[string][]string    // what each body names, itself included
	sound  map[string]bool        // bodies of which every chunk was decoded
	refs   map[string]int         // by how many versions that can be read a name is needed
	doomed map[string]bool        // names that a collection has decided to delete
	sums   map[string]uint64      // of the bytes that a name was made with
	lists  map[string]time.Time   // lists of collections, and when they were used
	tags   map[string]*tagged     // by their keys
	orders map[string][]operation // of tags, by their keys
}

// standing is the head of a version.
type standing struct {
	record.Head
	since int // the step at which it became readable for the last time
	until int // the step at which it ceased to be so for the last time
}

func newJudge(s *sim) *judge {
	return &judge{
		sim: s, intents: map[string]intent{}, heads: map[string]*standing{}, bodies: map[string][]string{},
		sound: map[string]bool{}, refs: map[string]int{}, doomed: map[string]bool{}, sums: map[string]uint64{}, lists: map[string]time.Time{},
		tags: map[string]*tagged{}, orders: map[string][]operation{},
	}
}

// fail notes that an invariant does not hold. What comes after it is of no interest.
func (j *judge) fail(invariant, format string, args ...any) {
	if j.broken == nil {
		j.broken = fmt.Errorf("%s: %s, at step %d, by %s", invariant, mask(fmt.Sprintf(format, args...)), j.steps, j.author())
	}
}

func (j *judge) author() string {
	if j.by == nil {
		return "nobody"
	}
	return j.by.who
}

func (j *judge) intent() intent {
	if j.by == nil {
		return intent{}
	}
	return j.intents[j.by.who]
}

// intends notes what a request is to do. The caller holds sim.mu.
func (j *judge) intends(r *request) { j.intents[r.who] = r.intent }

// wrote is told of every write of a register.
func (j *judge) wrote(key string, before []byte, after value) {
	switch {
	case strings.HasPrefix(key, record.HeadPrefix):
		j.wroteHead(key, after.val)
	case key == record.CollectionKey:
		j.wroteState(before, after.val)
	case strings.HasPrefix(key, "p/"):
		j.wrotePush(key, before, after.val)
	case strings.HasPrefix(key, "t/"):
		j.wroteTag(key, after)
	}
}

// read parses a register's value, which the code under test has written.
func (j *judge) read(key string, val []byte, rec any) {
	if len(val) == 0 {
		return
	}
	if err := json.Unmarshal(val, rec); err != nil {
		j.fail("format", "%s: %v", key, err)
	}
}

func (j *judge) wroteHead(key string, val []byte) {
	now := &standing{since: j.steps}
	j.read(key, val, &now.Head)
	was := j.heads[key]
	if was == nil {
		was = &standing{}
	}
	j.checkMove(key, &was.Head, &now.Head)
	now.until = was.until
	if was.Readable() && now.Readable() {
		now.since = was.since
	} else if was.Readable() {
		now.until = j.steps
	}
	j.heads[key] = now
	if now.Readable() {
		j.need(key, now.Body)
	}
	if was.Readable() {
		j.release(was.Body)
	}
	if now.State == record.Dead {
		j.checkTags(key)
	}
}

// checkMove holds a head to the moves that the protocols know (I9), each made by
// whoever may make it.
func (j *judge) checkMove(key string, was, now *record.Head) {
	what := j.intent()
	move := was.State + ">" + now.State
	same := was.Body == now.Body && was.Push == now.Push
	ok := false
	switch move {
	case ">pending", "aborted>pending", "dead>pending", "pending>pending":
		_, used := j.bodies[now.Body]
		ok = what.action == commits && !used
		j.bodies[now.Body] = nil // it has been named
	case "pending>committed":
		ok = what.action == commits && same
	case "pending>aborted":
		ok = what.action == collects && same
	case "committed>condemned", "condemned>dead":
		ok = (what.action == deletes || what.action == collects) && same
	case "condemned>committed":
		ok = same
	case "committed>committed":
		ok = same || was.Next != "" && now.Body == was.Next && now.Next == ""
	}
	if ok && what.action != collects && what.action != heals && record.HeadKey(what.repo, what.digest) != key {
		ok = what.action == tags || what.action == untags || what.action == commits // of a tag that is taken back
		ok = ok && move == "condemned>committed"
	}
	if !ok {
		j.fail("I9", "head %s goes %s, %s to %s, by a request to %s", key, move, was.Body, now.Body, what.action)
	}
}

// need counts what a version needs that can be read from now on. All of it must be
// there, and stay there (I2, I6).
func (j *judge) need(key, body string) {
	names := j.names(key, body)
	for _, object := range names {
		j.refs[object]++
		if _, ok := j.disk.blobs[object]; !ok {
			j.fail("I2", "%s is readable and needs %s, which is not there", key, object)
		}
		if j.doomed[object] {
			j.fail("I6", "%s is readable and needs %s, which a collection deletes", key, object)
		}
	}
	if b, ok := j.disk.blobs[body]; ok && !j.sound[body] {
		j.decode(key, body, b.bytes)
		j.sound[body] = true
	}
}

// decode decodes every chunk of a body, whose objects never change, from what it names
// for it (I2).
func (j *judge) decode(key, body string, raw []byte) {
	p, err := placement.ParseBody(raw)
	if err != nil {
		return // said already
	}
	m, err := manifest.Parse(p.Document)
	if err != nil || len(m.Chunks) != len(p.Entries) {
		j.fail("format", "body %s: %d entries, %v", body, len(p.Entries), err)
		return
	}
	for i := range p.Entries {
		plain, err := j.disk.decode(&p.Entries[i])
		if err == nil && chunker.Sum(plain) != m.Chunks[i].Digest {
			err = errWrong
		}
		if err != nil {
			j.fail("I2", "%s is readable, and chunk %d of %s cannot be decoded: %v", key, i, body, err)
		}
	}
}

// decode decodes a chunk through its bases, the farthest first.
func (d *disk) decode(e *placement.Entry) (plain []byte, err error) {
	for i := len(e.Closure); i >= 0; i-- {
		at := e
		if i > 0 {
			at = &e.Closure[i-1]
		}
		b := d.blobs[at.Object]
		if uint64(at.Offset)+uint64(at.Length) > uint64(len(b.bytes)) {
			return nil, fmt.Errorf("%s has %d bytes", at.Object, len(b.bytes))
		}
		enc := b.bytes[at.Offset:][:at.Length]
		if i == len(e.Closure) {
			plain, err = codec.Decode(nil, enc)
		} else {
			plain, err = codec.DecodeDelta(nil, enc, plain, chunker.Sum(plain))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at.Object, err)
		}
	}
	return plain, nil
}

func (j *judge) release(body string) {
	for _, object := range j.bodies[body] {
		if j.refs[object]--; j.refs[object] == 0 {
			delete(j.refs, object)
		}
	}
}

// names returns the names of a body and of all that it needs.
func (j *judge) names(key, body string) []string {
	if names := j.bodies[body]; names != nil {
		return names
	}
	names := []string{body}
	b, ok := j.disk.blobs[body]
	if !ok {
		j.fail("I2", "%s is readable, and its body %s is not there", key, body)
		return names
	}
	p, err := placement.ParseBody(b.bytes)
	if err != nil {
		j.fail("format", "body %s: %v", body, err)
		return names
	}
	for i := range p.Entries {
		for object := range p.Entries[i].Names {
			if !slices.Contains(names, object) {
				names = append(names, object)
			}
		}
	}
	j.bodies[body] = names
	return names
}

// wroteState holds collection to its phases (I8), and what is decided to be deleted
// to what is needed (I6).
func (j *judge) wroteState(before, after []byte) {
	was, now := record.Collection{Phase: record.Idle}, record.Collection{}
	j.read(record.CollectionKey, before, &was)
	j.read(record.CollectionKey, after, &now)
	ok := false
	switch was.Phase + ">" + now.Phase {
	case record.Idle + ">" + record.Publishing:
		ok = now.Epoch == was.Epoch+1 && now.List != ""
	case record.Publishing + ">" + record.Sweeping:
		ok = now.Epoch == was.Epoch && now.List != "" && j.intent().action == collects
	case record.Sweeping + ">" + record.Idle, record.Idle + ">" + record.Idle: // the last for nothing to collect
		ok = now.Epoch == was.Epoch
	}
	if !ok {
		j.fail("I8", "collection goes from %s %d to %s %d", was.Phase, was.Epoch, now.Phase, now.Epoch)
	}
	if now.Phase == record.Idle {
		if was.Phase != record.Idle {
			j.counts.Collections++
		}
		return
	}
	j.lists[now.List] = j.now
	names := j.list(now.List)
	if now.Phase == record.Publishing {
		return
	}
	candidates := j.list(was.List)
	for _, object := range names {
		if j.refs[object] > 0 {
			j.fail("I6", "a collection decides to delete %s, which a version needs", object)
		}
		if _, ok := slices.BinarySearch(candidates, object); !ok {
			j.fail("I6", "a collection decides to delete %s, which it had not published", object)
		}
		j.doomed[object] = true
	}
}

func (j *judge) list(blob string) []string {
	b, ok := j.disk.blobs[blob]
	if !ok {
		j.fail("I8", "list %s of a collection is not there", blob)
		return nil
	}
	names, err := placement.ParseList(b.bytes)
	if err != nil {
		j.fail("format", "list %s: %v", blob, err)
	}
	return names
}

// wrotePush holds a push to going forward only.
func (j *judge) wrotePush(key string, before, after []byte) {
	var was, now record.Push
	j.read(key, before, &was)
	j.read(key, after, &now)
	if before == nil {
		return
	}
	if now.E0 < was.E0 || now.Attempt < was.Attempt || now.Since != was.Since || now.List != was.List ||
		was.State != openapi.PushOpen && now.State == openapi.PushOpen {
		j.fail("push", "%s goes back from %+v to %+v", key, was, now)
	}
}

// made is told of every blob that is made (I3).
func (j *judge) made(object string, whole []byte) {
	h := fnv.New64a()
	_, _ = h.Write(whole) // never fails
	sum := h.Sum64()
	if old, ok := j.sums[object]; ok && old != sum {
		j.fail("I3", "%s is made again of other bytes", object)
	}
	j.sums[object] = sum
}

// keptLists is how long lists are kept that a push may need, less what clocks may
// be wrong by.
const keptLists = (90 - 2) * 24 * time.Hour

// deleted is told of every delete. Only what was decided may be deleted, and lists
// of which no push can be older.
func (j *judge) deleted(object string) {
	if strings.HasPrefix(object, placement.Lists.Prefix()) {
		if used, ok := j.lists[object]; ok && j.now.Sub(used) < keptLists {
			j.fail("I8", "list %s is deleted %v after it was used", object, j.now.Sub(used))
		}
		return
	}
	j.counts.Swept++
	if n := j.refs[object]; n > 0 {
		j.fail("I2", "%s is deleted, and %d versions need it", object, n)
	}
	if !j.doomed[object] {
		j.fail("I6", "%s is deleted, and no collection has decided so", object)
	}
}

// readableFor tells whether a version could be read ever since a step.
func (j *judge) readableFor(repo name.Repo, d chunker.Digest, since int) bool {
	h := j.heads[record.HeadKey(repo, d)]
	return h != nil && h.Readable() && h.since <= since
}
