package ledger_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/registry/name"
)

// cost is whole blocks of four bytes.
func cost(size uint32) int64 { return int64(size+3) / 4 * 4 }

func digest(i int) chunker.Digest { return chunker.Sum(fmt.Append(nil, i)) }

func key(i int) ledger.Key {
	return ledger.Key{Repo: name.Repo{Namespace: "acme", Name: fmt.Sprint("m", i)}, Digest: digest(i)}
}

// entry returns version i with the chunks of these numbers, each of as many bytes as
// its number says.
func entry(i int, chunks ...int) ledger.Entry {
	e := ledger.Entry{Key: key(i)}
	for _, c := range chunks {
		e.Chunks = append(e.Chunks, ref(c))
	}
	return e
}

func ref(c int) chunker.Ref { return chunker.Ref{Digest: digest(c), Size: uint32(c%11) + 1} }

// walker takes random steps with an account and with what it should be.
type walker struct {
	*testing.T
	rnd   *rand.Rand
	l     *ledger.Ledger
	m     *model
	now   time.Time
	texts []string // the steps so far
}

func (w *walker) entry() ledger.Entry {
	i := w.rnd.IntN(14)
	e := ledger.Entry{Key: key(i), Domain: string(rune('a' + i%2))}
	pick := rand.New(rand.NewPCG(uint64(i), 7)) // a version has always the same chunks
	for _, c := range pick.Perm(24)[:pick.IntN(9)] {
		e.Chunks = append(e.Chunks, ref(c))
	}
	return e
}

func (w *walker) chunk() (ledger.Chunk, uint32) {
	r := ref(w.rnd.IntN(24))
	return ledger.Chunk{Domain: string(rune('a' + w.rnd.IntN(2))), Digest: r.Digest}, r.Size
}

// step does one thing to both.
func (w *walker) step() {
	w.now = w.now.Add(time.Duration(w.rnd.IntN(200)-100) * time.Second) // clocks jump
	steps := []func(){w.admit, w.admit, w.admit, w.lease, w.unlease, w.unlease, w.pin, w.touch, w.remove, w.loosen, w.addLoose, w.dropLoose, w.hold, w.tryHold, w.trim}
	steps[w.rnd.IntN(len(steps))]()
	w.compare()
}

func (w *walker) log(format string, args ...any) {
	w.texts = append(w.texts, fmt.Sprintf(format, args...))
}

func (w *walker) fail(format string, args ...any) {
	w.Helper()
	for _, s := range w.texts[max(0, len(w.texts)-12):] {
		w.Log(s)
	}
	w.Fatalf(format, args...)
}

func (w *walker) admit() {
	e := w.entry()
	need, would, wouldErr := w.l.Would(e)
	w.compare() // it changes nothing
	out, err := w.l.Admit(e, w.now)
	w.log("admit %s: %v, %v", e.Key, out.Keys, err)
	if (err == nil) != (wouldErr == nil) || err == nil && !slices.Equal(would, out.Keys) {
		w.fail("Would: %v, %v", would, wouldErr)
	}
	if i := w.m.find(e.Key); i >= 0 {
		if err != nil || out.Keys != nil || out.Freed != nil || need != 0 {
			w.fail("admit what is there: %+v, %v, need %d", out, err, need)
		}
		w.m.use(i)
		return
	}
	h := w.m.enter(e)
	o := w.m.fit(h, w.m.limits.Bytes, w.m.limits.Count, 0)
	if need != o.need {
		w.fail("Would need %d, want %d", need, o.need)
	}
	w.same(out, err, o, w.m.weigh(h.chunks) > w.m.limits.Bytes)
	if err == nil {
		w.m.take(o, h)
	}
}

// same compares how room was made.
func (w *walker) same(out ledger.Eviction, err error, want outcome, tooLarge bool) {
	w.Helper()
	var full *ledger.FullError
	switch {
	case tooLarge:
		if !errors.Is(err, ledger.ErrTooLarge) || errors.Is(err, ledger.ErrFull) {
			w.fail("%v, want ErrTooLarge", err)
		}
		return
	case !want.ok:
		if !errors.Is(err, ledger.ErrFull) || errors.Is(err, ledger.ErrTooLarge) || !errors.As(err, &full) {
			w.fail("%v, want ErrFull", err)
		}
		if full.Need != want.need || full.Free != want.free || (full.Count > 0) != (want.need <= want.free) {
			w.fail("%+v, want need %d, free %d", full, want.need, want.free)
		}
		w.holders(full)
		return
	case err != nil:
		w.fail("%v", err)
	}
	freed := map[ledger.Chunk]bool{}
	for _, c := range out.Freed {
		freed[c] = true
	}
	if !slices.Equal(out.Keys, want.keys) || !maps.Equal(freed, want.freed) || len(freed) != len(out.Freed) {
		w.fail("%v left and %d chunks, want %v and %d", out.Keys, len(out.Freed), want.keys, len(want.freed))
	}
}

// holders looks at who an error says has the room.
func (w *walker) holders(full *ledger.FullError) {
	w.Helper()
	n := len(w.m.ballast)
	for _, h := range w.m.held {
		if !h.stays() {
			continue
		}
		n++
		want := ledger.Holder{Key: h.key, Bytes: w.m.weigh(h.chunks), Leases: h.leases, Pinned: h.pinned}
		if !slices.Contains(full.Holders, want) {
			w.fail("%+v is missing in %+v", want, full.Holders)
		}
	}
	if len(full.Holders) != n || !slices.IsSortedFunc(full.Holders, func(a, b ledger.Holder) int { return int(b.Bytes - a.Bytes) }) {
		w.fail("%d holders, want %d, the largest first: %+v", len(full.Holders), n, full.Holders)
	}
}

func (w *walker) lease() {
	k := w.entry().Key
	i, err := w.m.find(k), w.l.Lease(k, w.now)
	w.log("lease %s: %v", k, err)
	if i < 0 != errors.Is(err, ledger.ErrUnknown) {
		w.fail("lease %s: %v", k, err)
	}
	if i >= 0 {
		w.m.held[i].leases++
		w.m.use(i)
	}
}

func (w *walker) unlease() {
	for i, h := range w.m.held {
		if h.leases > 0 {
			w.log("unlease %s", h.key)
			w.l.Unlease(h.key, w.now)
			h.leases--
			w.m.use(i)
			return
		}
	}
}

func (w *walker) pin() {
	k, on := w.entry().Key, w.rnd.IntN(4) == 0
	w.log("pin %s %t", k, on)
	w.l.Pin(k, on)
	if i := w.m.find(k); i >= 0 {
		w.m.held[i].pinned = on
	}
}

func (w *walker) touch() {
	k := w.entry().Key
	w.log("touch %s", k)
	w.l.Touch(k, w.now)
	if i := w.m.find(k); i >= 0 {
		w.m.use(i)
	}
}

// removable says whether a version may be taken out, and which error tells if not.
func (w *walker) removable(k ledger.Key, err error) bool {
	w.Helper()
	var want error
	switch i := w.m.find(k); {
	case i < 0:
		want = ledger.ErrUnknown
	case w.m.held[i].leases > 0:
		want = ledger.ErrLeased
	}
	if !errors.Is(err, want) {
		w.fail("%v, want %v", err, want)
	}
	return want == nil
}

func (w *walker) remove() {
	k := w.entry().Key
	freed, err := w.l.Remove(k)
	w.log("remove %s: %v", k, err)
	if !w.removable(k, err) {
		return
	}
	want := w.m.remove(w.m.find(k))
	for _, c := range freed {
		if !want[c] {
			w.fail("%v was freed", c)
		}
	}
	if len(freed) != len(want) {
		w.fail("%d chunks are freed, want %d", len(freed), len(want))
	}
}

func (w *walker) loosen() {
	e := w.entry()
	err := w.l.Loosen(e.Key)
	w.log("loosen %s: %v", e.Key, err)
	if !w.removable(e.Key, err) {
		return
	}
	own := w.m.remove(w.m.find(e.Key))
	for _, r := range e.Chunks { // in their order
		if c := (ledger.Chunk{Domain: e.Domain, Digest: r.Digest}); own[c] {
			w.m.loose = append(w.m.loose, c)
		}
	}
}

func (w *walker) addLoose() {
	c, size := w.chunk()
	w.log("add loose %s", c.Digest.Short())
	w.l.AddLoose(c, size)
	if !all(w.m.held, w.m.loose)[c] {
		w.m.costs[c] = cost(size)
		w.m.loose = append(w.m.loose, c)
	}
}

func (w *walker) dropLoose() {
	c, _ := w.chunk()
	w.log("drop loose %s", c.Digest.Short())
	w.l.DropLoose(c)
	w.m.loose = slices.DeleteFunc(w.m.loose, func(l ledger.Chunk) bool { return l == c })
}

func (w *walker) hold() {
	who, bytes := fmt.Sprint("ballast ", w.rnd.IntN(3)), int64(w.rnd.IntN(3)*w.rnd.IntN(12))
	w.log("hold %s %d", who, bytes)
	w.l.Hold(who, bytes)
	if w.m.ballast[who] = bytes; bytes == 0 {
		delete(w.m.ballast, who)
	}
}

func (w *walker) tryHold() {
	who, bytes := fmt.Sprint("ballast ", w.rnd.IntN(3)), int64(w.rnd.IntN(30))
	out, err := w.l.TryHold(who, bytes, w.now)
	w.log("try to hold %s %d: %v, %v", who, bytes, out.Keys, err)
	before, had := w.m.ballast[who]
	if w.m.ballast[who] = bytes; bytes == 0 {
		delete(w.m.ballast, who)
	}
	o := w.m.fit(nil, w.m.limits.Bytes, 0, bytes-before)
	if w.m.ballast[who] = before; !had {
		delete(w.m.ballast, who)
	}
	w.same(out, err, o, bytes > w.m.limits.Bytes)
	if err == nil {
		w.m.take(o, nil)
		if w.m.ballast[who] = bytes; bytes == 0 {
			delete(w.m.ballast, who)
		}
	}
}

func (w *walker) trim() {
	to := int64(w.rnd.IntN(int(w.m.limits.Bytes)))
	out := w.l.Trim(to)
	w.log("trim to %d: %v", to, out.Keys)
	o := w.m.fit(nil, to, 0, 1)
	o.ok = true // and if not it is as much as may leave
	w.same(out, nil, o, false)
	w.m.take(o, nil)
}

// compare looks at all that an account tells.
func (w *walker) compare() {
	w.Helper()
	if got, want := w.l.Used(), w.m.used(); got != want {
		w.fail("%d bytes are used, want %d", got, want)
	}
	var order []ledger.Key
	for info := range w.l.Oldest() {
		h := w.m.held[min(len(order), len(w.m.held)-1)]
		order = append(order, info.Key)
		if info.Key != h.key || info.Leases != h.leases || info.Pinned != h.pinned {
			w.fail("%+v in the place of %+v", info, h)
		}
	}
	if len(order) != len(w.m.held) || w.l.Len() != len(order) {
		w.fail("%d versions, want %d", len(order), len(w.m.held))
	}
	for i, h := range w.m.held {
		rest := all(slices.Delete(slices.Clone(w.m.held), i, i+1), nil)
		shared := w.m.weigh(both(h.chunks, rest))
		if own, also := w.l.Weigh(h.key); own != w.m.weigh(h.chunks)-shared || also != shared {
			w.fail("%s weighs %d and %d, want %d shared of %d", h.key, own, also, shared, w.m.weigh(h.chunks))
		}
	}
	c, _ := w.chunk()
	if w.l.Holds(c) != all(w.m.held, nil)[c] {
		w.fail("Holds(%v) = %t", c, w.l.Holds(c))
	}
}

// An account does what one does that computes everything anew from sets.
func TestModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			limits := ledger.Limits{Bytes: int64(30 + rnd.IntN(200)), Count: rnd.IntN(3) * rnd.IntN(6)}
			w := &walker{T: t, rnd: rnd, l: ledger.New(limits, cost), m: newModel(limits), now: time.Unix(1e9, 0)}
			for range 500 {
				w.step()
			}
		})
	}
}
