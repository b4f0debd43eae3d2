package chunker

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"
)

// DigestSize is the length of a Digest in bytes.
const DigestSize = 32

// ErrDigest reports a text that is not a digest.
var ErrDigest = errors.New("not a digest (64 lower-case hex digits, not all zero)")

// Digest is the BLAKE3-256 of plain bytes: the name of a chunk or a manifest.
// It is comparable; the zero value names nothing and is invalid.
type Digest [DigestSize]byte

// Sum returns the digest of plain.
func Sum(plain []byte) Digest { return blake3.Sum256(plain) }

// SumKeyed returns the keyed BLAKE3-256 of b: what other formats name things by.
func SumKeyed(key *[DigestSize]byte, b []byte) Digest {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	_, _ = h.Write(b) // never fails
	var d Digest
	h.Sum(d[:0])
	return d
}

// ParseDigest reads exactly 64 lower-case hex digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(DigestSize) {
		return Digest{}, fmt.Errorf("digest %.80q: %w", s, ErrDigest)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Digest{}, fmt.Errorf("digest %.80q: %w", s, ErrDigest)
		}
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, fmt.Errorf("digest %.80q: %w", s, ErrDigest)
	}
	if d.IsZero() {
		return Digest{}, fmt.Errorf("digest %.80q: %w", s, ErrDigest)
	}
	return d, nil
}

// String returns 64 lower-case hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first 12 hex digits, for people and logs only.
func (d Digest) Short() string { return hex.EncodeToString(d[:6]) }

// IsZero reports whether d is the invalid zero value.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText implements encoding.TextMarshaler; the zero digest is refused.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, ErrDigest
	}
	return []byte(d.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler as ParseDigest does.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// Ref names a chunk and its plain length: the only way the rest of ingot
// speaks of bytes.
type Ref struct {
	Digest Digest
	Size   uint32 // plain bytes, 1 to MaxSize
}
