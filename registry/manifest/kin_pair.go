package manifest

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
)

// maxDropped is how many leading parts of a name a rename may have taken away or put
// before it: "model.", "base_model.model.".
const maxDropped = 2

// placed is a tensor and what it is paired with.
type placed struct {
	*Tensor
	file int32 // of the base at the same path as its own, or -1
	kin  int32 // tensor of the base, or -1
}

func appendPlaced(list []placed, file int32, tensors []Tensor) []placed {
	for i := range tensors {
		list = append(list, placed{&tensors[i], file, -1})
	}
	return list
}

// pair finds the kin of tensors: by name, then by what is left of a name without its
// first parts, then by their order among those that look alike.
func (k *Kin) pair(tensors []placed) {
	missing := 0
	for i := range tensors {
		t := &tensors[i]
		if at := k.named(t.Name, t.file); at >= 0 && k.tensors[at].grown(t.Tensor) {
			t.kin = at
			continue
		}
		missing++
	}
	if missing == 0 || len(k.tensors) == 0 {
		return
	}
	k.once.Do(k.prepare)
	for i := range tensors {
		if t := &tensors[i]; t.kin < 0 {
			t.kin = k.renamed(t)
		}
	}
	k.pairAlike(tensors)
}

// prepare notes what tells renamed tensors.
func (k *Kin) prepare() {
	for n := range k.tails {
		k.tails[n] = make(map[string]int32, len(k.tensors))
	}
	k.forms = make(map[form][]int32)
	k.seed = maphash.MakeSeed()
	for i := range k.tensors {
		t := k.tensors[i].Tensor
		for n := range k.tails {
			tail, ok := dropped(t.Name, n+1)
			if !ok {
				break
			}
			if _, twice := k.tails[n][tail]; twice {
				k.tails[n][tail] = -1
				continue
			}
			k.tails[n][tail] = int32(i)
		}
		f := k.form(t)
		k.forms[f] = append(k.forms[f], int32(i))
	}
}

// dropped returns name without its first n parts, if there are more.
func dropped(name string, n int) (tail string, ok bool) {
	for range n {
		i := strings.IndexAny(name, "./")
		if i < 0 {
			return "", false
		}
		name = name[i+1:]
	}
	return name, name != ""
}

// renamed returns the one tensor of the base, of the same type and shape, whose name is
// that of t but for its first parts, or -1.
func (k *Kin) renamed(t *placed) int32 {
	try := func(at int32, ok bool) bool { return ok && at >= 0 && k.tensors[at].like(t.Tensor) }
	for n := 1; n <= maxDropped; n++ {
		if tail, ok := dropped(t.Name, n); ok { // they were put before it
			if at := k.named(tail, t.file); try(at, true) {
				return at
			}
		}
		if at, ok := k.tails[n-1][t.Name]; try(at, ok) { // they were taken away
			return at
		}
	}
	if tail, ok := dropped(t.Name, 1); ok { // the first was replaced
		if at, ok := k.tails[0][tail]; try(at, ok) {
			return at
		}
	}
	return -1
}

// form is the hash of what tensors that look alike have in common.
type form uint64

func (k *Kin) form(t *Tensor) form {
	var h maphash.Hash
	h.SetSeed(k.seed)
	_, _ = h.WriteString(t.DType) // never fails
	var b [8]byte
	for _, n := range t.Shape {
		binary.LittleEndian.PutUint64(b[:], n)
		_, _ = h.Write(b[:]) // never fails
	}
	return form(h.Sum64())
}

// pairAlike pairs in order what is left of each form, if the base has as many left. It
// looks at no more tensors of the base than it is given.
func (k *Kin) pairAlike(tensors []placed) {
	taken := make(map[int32]bool, len(tensors))
	paired, left := map[form]int{}, map[form][]int{}
	for i := range tensors {
		f := k.form(tensors[i].Tensor)
		kin := tensors[i].kin
		if kin < 0 {
			left[f] = append(left[f], i)
			continue
		}
		if !taken[kin] {
			taken[kin] = true
			paired[k.form(k.tensors[kin].Tensor)]++
		}
	}
	for f, mine := range left {
		if len(k.forms[f]) != len(mine)+paired[f] {
			continue
		}
		n := 0
		for _, at := range k.forms[f] {
			if !taken[at] && k.tensors[at].like(tensors[mine[n]].Tensor) {
				tensors[mine[n]].kin = at
				n++
			}
		}
	}
}
