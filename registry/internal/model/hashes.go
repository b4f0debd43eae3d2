package model

// hashes is a set of hashes: a table with linear probing, in which 0 marks an empty
// place. Reading it from several goroutines is safe while none adds.
type hashes struct {
	table []uint64 // a power of two long
	used  int
}

// has reports whether h is in the set.
func (t *hashes) has(h uint64) bool {
	return len(t.table) > 0 && t.table[t.place(h)] != 0
}

// add puts h into the set, and returns false if it was there.
func (t *hashes) add(h uint64) bool {
	if 3*len(t.table) <= 4*t.used {
		t.grow()
	}
	at := t.place(h)
	if t.table[at] != 0 {
		return false
	}
	t.table[at] = some(h)
	t.used++
	return true
}

// place returns where h is, or where it belongs.
func (t *hashes) place(h uint64) int {
	h = some(h)
	last := len(t.table) - 1
	for at := int(h) & last; ; at = (at + 1) & last {
		if t.table[at] == h || t.table[at] == 0 {
			return at
		}
	}
}

// some returns h, or a stand-in for 0.
func some(h uint64) uint64 {
	if h == 0 {
		return 1
	}
	return h
}

func (t *hashes) grow() {
	old := t.table
	t.table = make([]uint64, max(1<<10, 2*len(old)))
	for _, h := range old {
		if h != 0 {
			t.table[t.place(h)] = h
		}
	}
}
