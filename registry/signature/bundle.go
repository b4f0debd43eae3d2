package signature

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/ingot-ml/ingot/chunker"
)

// Limits of signatures.
const (
	// MaxSize bounds a bundle in bytes. One with a certificate and a transparency log's
	// proof takes some ten thousand.
	MaxSize = 40 << 10
	// MaxSignatures is how many a version may have.
	MaxSignatures = 16
)

// Media is the media type of a bundle, and mediaPrefix what those of older ones of the
// same shape begin with.
const (
	Media       = "application/vnd.dev.sigstore.bundle.v0.3+json"
	mediaPrefix = "application/vnd.dev.sigstore.bundle"
)

// ErrInvalid reports a bundle that breaks a rule of the form.
var ErrInvalid = errors.New("invalid signature")

// ErrUntrusted reports a version without a good signature by one of the keys.
var ErrUntrusted = errors.New("not signed by a trusted key")

// document is the JSON of a bundle, as far as it is used.
type document struct {
	MediaType string         `json:"mediaType"`
	Material  material       `json:"verificationMaterial"`
	Envelope  *dsse.Envelope `json:"dsseEnvelope"`
}

type material struct {
	PublicKey *publicKeyHint `json:"publicKey,omitempty"`
}

type publicKeyHint struct {
	Hint string `json:"hint"`
}

// Bundle is a signature that was read and is not verified.
type Bundle struct {
	// Digest is the version that it is of, if it is good.
	Digest chunker.Digest
	// Hint names the key that has made it, as the bundle says; empty if it does not.
	Hint string
	// Claim is what the signer says, if it is good.
	Claim Claim

	envelope *dsse.Envelope
}

// maxHint bounds the name of a key in bytes.
const maxHint = 256

// Parse reads a bundle. That it can be read says nothing of who has made it.
func Parse(text []byte) (*Bundle, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrInvalid, len(text), MaxSize)
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%w: bundle: %w", ErrInvalid, err)
	}
	b := &Bundle{envelope: doc.Envelope}
	if doc.Material.PublicKey != nil {
		b.Hint = doc.Material.PublicKey.Hint
	}
	switch {
	case !strings.HasPrefix(doc.MediaType, mediaPrefix):
		return nil, fmt.Errorf("%w: a bundle of type %.80q, want %s", ErrInvalid, doc.MediaType, Media)
	case b.envelope == nil:
		return nil, fmt.Errorf("%w: no dsseEnvelope", ErrInvalid)
	case b.envelope.PayloadType != typePayload:
		return nil, fmt.Errorf("%w: a payload of type %.80q, want %s", ErrInvalid, b.envelope.PayloadType, typePayload)
	case len(b.envelope.Signatures) != 1:
		return nil, fmt.Errorf("%w: %d signatures, want one", ErrInvalid, len(b.envelope.Signatures))
	case len(b.Hint) > maxHint:
		return nil, fmt.Errorf("%w: the name of the key has %d bytes, want at most %d", ErrInvalid, len(b.Hint), maxHint)
	}
	b.envelope.Signatures[0].KeyID = "" // which key it is, those tell who have some
	payload, err := b.envelope.DecodeB64Payload()
	if err != nil {
		return nil, fmt.Errorf("%w: payload: %w", ErrInvalid, err)
	}
	b.Digest, b.Claim, err = parseStatement(payload)
	return b, err
}

// ID names a bundle: the digest of its bytes.
func ID(text []byte) chunker.Digest { return chunker.Sum(text) }

// Verify returns the first of the keys that has signed the version d. Without any the
// error is ErrUntrusted.
func (b *Bundle) Verify(d chunker.Digest, keys ...*PublicKey) (*PublicKey, error) {
	if b.Digest != d {
		return nil, fmt.Errorf("%w: it is of version %s, not of %s", ErrUntrusted, b.Digest.Short(), d.Short())
	}
	for _, key := range keys {
		v, err := dsse.NewEnvelopeVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("verify signature: %w", err)
		}
		if accepted, err := v.Verify(context.Background(), b.envelope); err == nil && len(accepted) > 0 {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%w: it is of none of the keys", ErrUntrusted)
}

// Good is a signature that a key has made.
type Good struct {
	ID     chunker.Digest
	Text   []byte // of the bundle
	Bundle *Bundle
	Key    *PublicKey
}

// Verify returns those of the bundles that are signatures of the version d by one of
// the keys, in their order. Others, and what is no bundle, are left out; if nothing is
// left the error is ErrUntrusted.
func Verify(d chunker.Digest, bundles [][]byte, keys ...*PublicKey) (good []Good, err error) {
	for _, text := range bundles[:min(len(bundles), MaxSignatures)] {
		b, err := Parse(text)
		if err != nil {
			continue
		}
		if key, err := b.Verify(d, keys...); err == nil {
			good = append(good, Good{ID(text), text, b, key})
		}
	}
	if len(good) > 0 {
		return good, nil
	}
	if len(bundles) == 0 {
		return nil, fmt.Errorf("version %s has no signature: %w", d.Short(), ErrUntrusted)
	}
	return nil, fmt.Errorf("version %s has signatures of other keys than %s: %w", d.Short(), hints(keys), ErrUntrusted)
}

// hints names keys for people.
func hints(keys []*PublicKey) string {
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		names = append(names, k.Hint())
	}
	slices.Sort(names)
	const most = 3
	more := ""
	if len(names) > most {
		names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ") + more
}

// Sign signs the version that a manifest's document describes.
func Sign(key *PrivateKey, manifest []byte, claim Claim) ([]byte, error) {
	payload, err := json.Marshal(newStatement(manifest, claim))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	signer, err := dsse.NewEnvelopeSigner(key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	envelope, err := signer.SignPayload(context.Background(), typePayload, payload)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	envelope.Signatures[0].KeyID = "" // the bundle has it
	text, err := json.Marshal(document{Media, material{&publicKeyHint{key.public.hint}}, envelope})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return text, nil
}
