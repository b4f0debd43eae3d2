package xet

import "fmt"

// How the bytes of a chunk are stored in a xorb.
const (
	plainScheme = 0
	lz4Scheme   = 1 // a frame of LZ4
	// groupedScheme is a frame of LZ4 of the chunk's bytes in four groups: those whose
	// place divided by 4 leaves 0, then those that leave 1, and so on.
	groupedScheme = 2
)

// decode fills plain with what stored is. groups is room for as many bytes.
func decode(plain, stored []byte, scheme byte, groups []byte) error {
	switch scheme {
	case plainScheme:
		if len(stored) != len(plain) {
			return fmt.Errorf("%d bytes stored as they are in %d: %w", len(plain), len(stored), ErrXorb)
		}
		copy(plain, stored)
		return nil
	case lz4Scheme:
		return unpack(plain, stored)
	case groupedScheme:
		if err := unpack(groups, stored); err != nil {
			return err
		}
		ungroup(plain, groups)
		return nil
	}
	return fmt.Errorf("scheme %d, want 0 to 2: %w", scheme, ErrXorb)
}

// ungroup puts the bytes of four groups back in their places.
func ungroup(plain, groups []byte) {
	for first := range 4 {
		n := (len(plain) - first + 3) / 4
		for i, b := range groups[:n] {
			plain[first+4*i] = b
		}
		groups = groups[n:]
	}
}
