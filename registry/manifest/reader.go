package manifest

import "fmt"

// fail keeps the first failure, with the place it happened at.
func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %s", r.size-len(r.rest), fmt.Sprintf(format, args...))
	}
}

// take returns the next n bytes, which are part of the document, or nil.
func (r *reader) take(n int, what string) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.rest) {
		r.fail("%s of %d bytes, %d left", what, n, len(r.rest))
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// count reads how many of something there are, at most limit.
func (r *reader) count(what string, limit int) int {
	n := r.u32(what + " count")
	if r.err == nil && uint64(n) > uint64(limit) {
		r.fail("%s count %d, at most %d allowed", what, n, limit)
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// room reports whether there are n things to read and enough bytes left for
// them at their smallest: only then may the caller allocate for them.
func (r *reader) room(n, least int, what string) bool {
	if r.err == nil && n > len(r.rest)/least {
		r.fail("%d %s, %d bytes left", n, what, len(r.rest))
	}
	return r.err == nil && n > 0
}

// repeated returns the next n bytes as text, without allocating when the last
// such text was the same.
func (r *reader) repeated(n int, what string) string {
	if b := r.take(n, what); string(b) != r.word {
		r.word = string(b)
	}
	return r.word
}

func (r *reader) u8(what string) uint8 {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return order.Uint16(b)
	}
	return 0
}

func (r *reader) u32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return order.Uint32(b)
	}
	return 0
}

func (r *reader) u64(what string) uint64 {
	if b := r.take(8, what); b != nil {
		return order.Uint64(b)
	}
	return 0
}
