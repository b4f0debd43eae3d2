package fs

// FreeBytes returns how much of the disk can be written.
var FreeBytes = freeBytes

// CheckFree is what a Put of n bytes asks first.
func (s *Store) CheckFree(name string, n int64) error { return s.checkFree(name, n) }
