package registers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// settleTries bounds the writes of one Settle. An engine that loses that many
// answers in a row is down, which is for a caller with more patience to wait out.
const settleTries = 5

// Settle is a CAS that finds out what became of it. While the engine answers
// ErrUnknown, Settle reads the register again: if it holds val, the write has
// happened; if it is still at want, the same bytes are written again, which is
// harmless. So val must be unique to this call, by a nonce of the caller.
//
// ErrConflict means that the register is, for good, not what was wanted. If the
// error is ErrUnknown too, an earlier try of this call may have happened and been
// overwritten since: the caller that must know looks in the new value for what
// its own write would have left behind. ErrUnknown alone means that nothing could
// be found out.
func Settle(ctx context.Context, e Engine, key string, want Version, val []byte) (Version, error) {
	version, err := e.CAS(ctx, key, want, val)
	for try := 1; errors.Is(err, ErrUnknown) && try < settleTries; try++ {
		found, now, lookErr := look(ctx, e, key)
		switch {
		case lookErr != nil:
			return Absent, fmt.Errorf("settle register %q: %w: %w", key, err, lookErr)
		case now != Absent && bytes.Equal(found, val):
			return now, nil
		case now != want:
			return Absent, fmt.Errorf("settle register %q: %w, and before that: %w", key, ErrConflict, err)
		}
		if version, err = e.CAS(ctx, key, want, val); errors.Is(err, ErrConflict) {
			err = fmt.Errorf("settle register %q: %w: %w", key, ErrUnknown, err)
		}
	}
	return version, err
}

// look is Get, where an absent register is no error.
func look(ctx context.Context, e Engine, key string) ([]byte, Version, error) {
	val, version, err := e.Get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil, Absent, nil
	}
	return val, version, err
}
