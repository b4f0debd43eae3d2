package registers

import "fmt"

// CheckKey returns ErrLimit for a key that no engine accepts.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("key %.80q of %d bytes, want 1 to %d: %w", key, len(key), MaxKey, ErrLimit)
	}
	return nil
}

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
