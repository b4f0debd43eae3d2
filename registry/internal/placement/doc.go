// Package placement owns where the chunks of a version lie: the body that the
// registry keeps for every version, the header of a bundle of small chunks, and
// the lists that a collection of garbage publishes.
//
// Laws:
//   - A placement names objects of the store. It is never seen by clients, and the
//     version's own document knows nothing of it.
//   - Every document has one encoding: a reader refuses what the writer would not
//     write.
//   - No count, length or offset is trusted before it is checked against the bytes
//     that are left.
//
// The bytes are described in docs/formats/registry.md.
package placement

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrInvalid reports bytes that are not the document they should be.
var ErrInvalid = errors.New("invalid placement")

var le = binary.LittleEndian

// Versions of the documents. A body has the second when it says what was spent on a
// base, a bundle when a chunk in it is a delta.
const (
	version      uint16 = 1
	versionBases uint16 = 2
)

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrInvalid)...)
}

// reader takes values off the front of a document and keeps the first failure.
type reader struct {
	rest    []byte
	version uint16
	err     error
}

// header reads a magic and one of the versions that go with it.
func (r *reader) header(magic string, versions ...uint16) {
	if got := string(r.take(len(magic))); r.err == nil && got != magic {
		r.err = invalid("magic %q, want %q", got, magic)
	}
	r.version = r.u16()
	if r.err == nil && !slices.Contains(versions, r.version) {
		r.err = invalid("version %d", r.version)
	}
}

func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.err = invalid("%d bytes left where %d should be", len(r.rest), n)
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return le.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return le.Uint32(b)
	}
	return 0
}

// count reads how many things of at least least bytes follow.
func (r *reader) count(least int) int {
	n := r.u32()
	if r.err == nil && uint64(n)*uint64(least) > uint64(len(r.rest)) {
		r.err = invalid("count %d, %d bytes left", n, len(r.rest))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// end refuses bytes behind the document.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = invalid("%d bytes after the end", len(r.rest))
	}
	return r.err
}
