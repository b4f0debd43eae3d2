package placement

import (
	"fmt"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// MaxClosure is how many bases an entry may need, directly and through others.
const MaxClosure = 4

// MaxBody bounds a body in bytes: the longest document, and for each of its
// chunks an entry with two bases, and their names.
const MaxBody = 640 << 20

const bodyMagic = "INGOTB"

// Entry says where one encoded chunk lies.
type Entry struct {
	Object string // name of the blob
	Offset uint32 // in it, in bytes
	Length uint32 // of the encoded chunk, in bytes; not 0
	// Closure holds the entries of the bases that decoding needs, nearest first.
	// They have no closures of their own.
	Closure []Entry
	// Spent is, for one of a closure, the encoded bytes of the deltas that were written
	// against it in this line of versions, up to this one. 0 is not known.
	Spent uint32
}

// Names yields the names of the objects that e needs.
func (e *Entry) Names(yield func(string) bool) {
	if !yield(e.Object) {
		return
	}
	for i := range e.Closure {
		if !yield(e.Closure[i].Object) {
			return
		}
	}
}

// Body is what the registry keeps for a version: its document, and where each
// chunk of the document's table lies, in the table's order.
type Body struct {
	Document []byte
	Entries  []Entry
}

// Least encoded bytes of things, for checking counts.
const (
	leastName  = 2 + 1
	leastEntry = 4 + 4 + 4 + 1
)

// Encode returns the body's bytes: version 2 if it says what was spent on a base, else
// version 1.
func (b *Body) Encode() []byte {
	v := b.version()
	t := nameTable{index: make(map[string]uint32, len(b.Entries))}
	for i := range b.Entries {
		for name := range b.Entries[i].Names {
			t.add(name)
		}
	}
	dst := make([]byte, 0, len(b.Document)+len(b.Entries)*(leastEntry+100)+64)
	dst = le.AppendUint16(append(dst, bodyMagic...), v)
	dst = le.AppendUint32(dst, uint32(len(b.Document)))
	dst = append(dst, b.Document...)
	dst = t.append(dst)
	dst = le.AppendUint32(dst, uint32(len(b.Entries)))
	for i := range b.Entries {
		dst = t.appendEntry(dst, &b.Entries[i])
		dst = append(dst, byte(len(b.Entries[i].Closure)))
		for j := range b.Entries[i].Closure {
			dst = t.appendEntry(dst, &b.Entries[i].Closure[j])
			if v == versionBases {
				dst = le.AppendUint32(dst, b.Entries[i].Closure[j].Spent)
			}
		}
	}
	return dst
}

func (b *Body) version() uint16 {
	for i := range b.Entries {
		for j := range b.Entries[i].Closure {
			if b.Entries[i].Closure[j].Spent > 0 {
				return versionBases
			}
		}
	}
	return version
}

// nameTable holds every object name once, in order of first use.
type nameTable struct {
	index map[string]uint32
	names []string
}

func (t *nameTable) add(name string) {
	if _, ok := t.index[name]; !ok {
		t.index[name] = uint32(len(t.names))
		t.names = append(t.names, name)
	}
}

func (t *nameTable) append(dst []byte) []byte {
	dst = le.AppendUint32(dst, uint32(len(t.names)))
	for _, name := range t.names {
		dst = le.AppendUint16(dst, uint16(len(name)))
		dst = append(dst, name...)
	}
	return dst
}

func (t *nameTable) appendEntry(dst []byte, e *Entry) []byte {
	dst = le.AppendUint32(dst, t.index[e.Object])
	dst = le.AppendUint32(dst, e.Offset)
	return le.AppendUint32(dst, e.Length)
}

// ParseBody reads a body. The document in it is only cut out: whether it is a
// manifest with as many chunks as there are entries is for the caller to check.
// The Body shares the document's bytes with b.
func ParseBody(b []byte) (*Body, error) {
	if len(b) > MaxBody {
		return nil, fmt.Errorf("parse body: %w", invalid("%d bytes, at most %d allowed", len(b), MaxBody))
	}
	r := bodyReader{reader: reader{rest: b}}
	r.header(bodyMagic, version, versionBases)
	if n := r.count(1); n > manifest.MaxSize {
		r.err = invalid("document of %d bytes", n)
	} else {
		r.body.Document = r.take(n)
	}
	r.readNames()
	r.readEntries()
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("parse body: %w", err)
	}
	if r.used != len(r.names) {
		return nil, fmt.Errorf("parse body: %w", invalid("name %d is not used", r.used))
	}
	if want := r.body.version(); r.version != want {
		return nil, fmt.Errorf("parse body: %w", invalid("version %d for what version %d holds", r.version, want))
	}
	return &r.body, nil
}

// bodyReader reads a body; used is how many names the entries have used so far.
type bodyReader struct {
	reader
	body  Body
	names []string
	used  int
}

func (r *bodyReader) readNames() {
	n := r.count(leastName)
	seen := make(map[string]bool, n)
	for range n {
		name := string(r.take(int(r.u16())))
		if r.err != nil {
			return
		}
		if err := blobs.CheckName(name); err != nil || seen[name] {
			r.err = invalid("object name %.120q", name)
			return
		}
		seen[name] = true
		r.names = append(r.names, name)
	}
}

func (r *bodyReader) readEntries() {
	n := r.count(leastEntry)
	if n > 0 {
		r.body.Entries = make([]Entry, n)
	}
	for i := range r.body.Entries {
		e := &r.body.Entries[i]
		r.entry(e)
		closure := r.take(1)
		if r.err != nil {
			return
		}
		if closure[0] > MaxClosure {
			r.err = invalid("entry %d needs %d bases", i, closure[0])
			return
		}
		r.readClosure(e, int(closure[0]))
	}
}

func (r *bodyReader) readClosure(e *Entry, n int) {
	if n == 0 {
		return
	}
	e.Closure = make([]Entry, n)
	for i := range e.Closure {
		r.entry(&e.Closure[i])
		if r.version == versionBases {
			e.Closure[i].Spent = r.u32()
		}
	}
}

func (r *bodyReader) entry(e *Entry) {
	at := int(r.u32())
	e.Offset, e.Length = r.u32(), r.u32()
	if r.err != nil {
		return
	}
	// A name is used for the first time right after the one before it.
	if at > r.used || at >= len(r.names) || e.Length == 0 {
		r.err = invalid("entry with name %d and %d bytes", at, e.Length)
		return
	}
	r.used = max(r.used, at+1)
	e.Object = r.names[at]
}
