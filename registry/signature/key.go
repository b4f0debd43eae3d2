package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// The types of PEM blocks that are read.
const (
	blockPrivate = "PRIVATE KEY" // PKCS #8
	blockPublic  = "PUBLIC KEY"  // PKIX
)

// MaxKeys bounds the keys of one file, and maxPEM the file in bytes.
const (
	MaxKeys = 64
	maxPEM  = 64 << 10
)

// ErrKey reports a file that holds no key of a kind that is known.
var ErrKey = errors.New("invalid key")

// errWrong reports a signature that a key has not made.
var errWrong = errors.New("the signature is not of this key")

// PublicKey verifies signatures: Ed25519, or ECDSA on the curve P-256. It is safe for
// concurrent use.
type PublicKey struct {
	key  crypto.PublicKey
	hint string
}

func newPublicKey(key crypto.PublicKey) (*PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: ECDSA on %s, want the curve P-256", ErrKey, k.Curve.Params().Name)
		}
	default:
		return nil, fmt.Errorf("%w: %T, want Ed25519, or ECDSA on the curve P-256", ErrKey, key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	sum := sha256.Sum256(der)
	return &PublicKey{key, base64.StdEncoding.EncodeToString(sum[:])}, nil
}

// Hint names the key: the SHA-256 of its PKIX form, in base64, as Sigstore's tools
// spell it.
func (k *PublicKey) Hint() string { return k.hint }

// PEM returns the key as ParsePublicKeys reads it.
func (k *PublicKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		return nil, fmt.Errorf("spell public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPublic, Bytes: der}), nil
}

// Verify implements dsse.Verifier.
func (k *PublicKey) Verify(_ context.Context, data, sig []byte) error {
	good := false
	switch key := k.key.(type) {
	case ed25519.PublicKey:
		good = ed25519.Verify(key, data, sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(data)
		good = ecdsa.VerifyASN1(key, sum[:], sig)
	}
	if !good {
		return errWrong
	}
	return nil
}

// KeyID implements dsse.Verifier.
func (k *PublicKey) KeyID() (string, error) { return k.hint, nil }

// Public implements dsse.Verifier.
func (k *PublicKey) Public() crypto.PublicKey { return k.key }

// ParsePublicKeys reads the PEM of one or more public keys. Text between the blocks is
// left out; a block of another type is a mistake, above all a private key.
func ParsePublicKeys(text []byte) (keys []*PublicKey, err error) {
	blocks, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if block.Type != blockPublic {
			return nil, fmt.Errorf("%w: a PEM block %.40q, want %q", ErrKey, block.Type, blockPublic)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		key, err := newPublicKey(parsed)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parsePEM returns the blocks of a text, of which there is one at least.
func parsePEM(text []byte) (blocks []*pem.Block, err error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrKey, len(text), maxPEM)
	}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		blocks, text = append(blocks, block), rest
	}
	switch {
	case bytes.Contains(text, []byte("-----BEGIN")):
		return nil, fmt.Errorf("%w: a PEM block is cut short or damaged", ErrKey)
	case len(blocks) == 0:
		return nil, fmt.Errorf("%w: no PEM block", ErrKey)
	case len(blocks) > MaxKeys:
		return nil, fmt.Errorf("%w: %d PEM blocks, want at most %d", ErrKey, len(blocks), MaxKeys)
	}
	return blocks, nil
}

// PrivateKey makes signatures. It is safe for concurrent use.
type PrivateKey struct {
	signer crypto.Signer
	public *PublicKey
}

// Generate returns a new Ed25519 key.
func Generate() (*PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return newPrivateKey(key)
}

func newPrivateKey(key any) (*PrivateKey, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T cannot sign", ErrKey, key)
	}
	public, err := newPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	return &PrivateKey{signer, public}, nil
}

// ParsePrivateKey reads the PEM of one private key, in PKCS #8 and not encrypted.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	blocks, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	if len(blocks) != 1 || blocks[0].Type != blockPrivate {
		return nil, fmt.Errorf("%w: want one PEM block %q, in PKCS #8 and not encrypted", ErrKey, blockPrivate)
	}
	key, err := x509.ParsePKCS8PrivateKey(blocks[0].Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return newPrivateKey(key)
}

// PEM returns the key as ParsePrivateKey reads it.
func (k *PrivateKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return nil, fmt.Errorf("spell private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPrivate, Bytes: der}), nil
}

// Public returns the key that verifies what k signs.
func (k *PrivateKey) Public() *PublicKey { return k.public }

// Sign implements dsse.Signer.
func (k *PrivateKey) Sign(_ context.Context, data []byte) ([]byte, error) {
	if _, ok := k.signer.(ed25519.PrivateKey); ok {
		return k.signer.Sign(rand.Reader, data, crypto.Hash(0))
	}
	sum := sha256.Sum256(data)
	return k.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// KeyID implements dsse.Signer.
func (k *PrivateKey) KeyID() (string, error) { return k.public.hint, nil }
