package blobs

import (
	"fmt"
	"io"
	"strings"
)

// Longest names in bytes. A segment fits every file system, a name every object
// store.
const (
	MaxName    = 512
	MaxSegment = 255
)

// CheckName returns nil when s may name a blob: 1 to MaxName bytes, in segments
// of A-Z a-z 0-9 . _ - that are separated by single slashes and do not start with
// a dot, which is what stores name their own files with. So a name is safe as a
// path, as a key and in a URL. Otherwise it returns ErrName.
//
// Callers also keep that no name is the folder of another ("a" and "a/b"), which
// a file system could not hold.
func CheckName(s string) error {
	if len(s) > MaxName {
		return fmt.Errorf("blob %.80q: %d bytes, want at most %d: %w", s, len(s), MaxName, ErrName)
	}
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "" || segment[0] == '.' || len(segment) > MaxSegment || !plain(segment) {
			return fmt.Errorf("blob %.80q: segment %.80q: %w", s, segment, ErrName)
		}
	}
	return nil
}

// plain reports whether s holds only letters, digits, ".", "_" and "-".
func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// Span returns how many bytes the range off, n of a blob of size bytes has, as
// Store.Open means it, or io.ErrUnexpectedEOF when the range leaves the blob.
func Span(size, off, n int64) (int64, error) {
	if n < 0 {
		n = size - off
	}
	if off < 0 || off > size || n > size-off {
		return 0, fmt.Errorf("bytes %d+%d of %d: %w", off, n, size, io.ErrUnexpectedEOF)
	}
	return n, nil
}
