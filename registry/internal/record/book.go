package record

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// NonceLen is the random bytes that make two writes of one register differ.
const NonceLen = 8

// ErrInvalid reports a register whose value is no record of its kind, or was written
// by another ingot.
var ErrInvalid = errors.New("invalid record")

// Book reads and writes records.
type Book struct {
	Registers registers.Engine
	Rand      io.Reader // must be safe for concurrent use
}

// Load reads the register key into rec and returns its version. An absent register
// leaves rec as it is and has the version registers.Absent.
func (b Book) Load(ctx context.Context, key string, rec Record) (registers.Version, error) {
	val, v, err := b.Registers.Get(ctx, key)
	if errors.Is(err, registers.ErrNotFound) {
		return registers.Absent, nil
	}
	if err != nil {
		return registers.Absent, err
	}
	if err := json.Unmarshal(val, rec); err != nil {
		return registers.Absent, fmt.Errorf("read register %q: %w: %w", key, ErrInvalid, err)
	}
	if got := rec.Mark().V; got != rec.Form() {
		return registers.Absent, fmt.Errorf("read register %q: version %d was written by another ingot: %w", key, got, ErrInvalid)
	}
	return v, nil
}

// Swap writes rec over the version want, which it follows, and resolves an unknown
// outcome. The error for a register that changed is registers.ErrConflict.
func (b Book) Swap(ctx context.Context, key string, want registers.Version, rec Record) (registers.Version, error) {
	nonce, err := b.Token(NonceLen)
	if err != nil {
		return registers.Absent, err
	}
	m := rec.Mark()
	m.V, m.Seq, m.Nonce = rec.Form(), m.Seq+1, nonce
	val, err := json.Marshal(rec)
	if err != nil {
		return registers.Absent, fmt.Errorf("write register %q: %w", key, err)
	}
	return registers.Settle(ctx, b.Registers, key, want, val)
}

// Token returns n random bytes as lower-case hex digits.
func (b Book) Token(n int) (string, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(b.Rand, raw); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return hex.EncodeToString(raw), nil
}

// Each calls f with the entries below prefix whose keys are greater than after, in
// order, until f returns false.
func (b Book) Each(ctx context.Context, prefix, after string, f func(registers.Entry) (bool, error)) error {
	for {
		page, err := b.Registers.List(ctx, prefix, after, registers.MaxList)
		if err != nil {
			return err
		}
		for _, e := range page {
			if more, err := f(e); err != nil || !more {
				return err
			}
			after = e.Key
		}
		if len(page) < registers.MaxList {
			return nil
		}
	}
}
