package registers

import (
	"fmt"
	"strings"
)

// CheckKey returns ErrLimit for a key that no engine accepts: it has 1 to MaxKey
// bytes, in segments of A-Z a-z 0-9 . _ - that are separated by single slashes, at
// most MaxSegment bytes each, and do not start with a dot. So a key is safe as the
// name of an object in any store.
//
// Callers also keep that no key is the folder of another ("a" and "a/b"), which
// some stores cannot hold.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("key %.80q of %d bytes, want 1 to %d: %w", key, len(key), MaxKey, ErrLimit)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment[0] == '.' || len(segment) > MaxSegment || strings.Trim(segment, plain) != "" {
			return fmt.Errorf("key %.80q: segment %.80q: %w", key, segment, ErrLimit)
		}
	}
	return nil
}

// plain is what segments of keys are made of.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// CheckWrite returns ErrLimit for a key or value that no engine accepts.
func CheckWrite(key string, val []byte) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if len(val) > MaxValue {
		return fmt.Errorf("key %.80q: value of %d bytes, want at most %d: %w", key, len(val), MaxValue, ErrLimit)
	}
	return nil
}

// CheckList returns ErrLimit for a number of entries that no engine lists.
func CheckList(n int) error {
	if n < 1 || n > MaxList {
		return fmt.Errorf("%d entries, want 1 to %d: %w", n, MaxList, ErrLimit)
	}
	return nil
}
