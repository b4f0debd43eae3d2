package disk

import "os"

// Crash ends the Store as a process does that is killed: nothing more is written,
// and the lock is free.
func (s *Store) Crash() error { return s.unlock() }

// SetRead makes the Store read its chunks' files through read.
func (s *Store) SetRead(read func(f *os.File, at int64, b []byte) error) {
	s.read = read
	s.past = func(*os.File, []byte, *[tailLen]byte) bool { return false }
}

// SetSync makes Close wait by sync until all is on the disk.
func (s *Store) SetSync(sync func(folder string) error) { s.sync = sync }

// ParseSeal reports whether b is a seal, and how many chunks it names.
func ParseSeal(b []byte) (sealed bool, chunks int) {
	d := parseSeal(b)
	return d.sealed, len(d.chunks)
}
