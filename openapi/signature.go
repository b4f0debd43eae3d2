package openapi

import (
	"time"

	"github.com/ingot-ml/ingot/chunker"
)

// MediaSignature is the media type of a signature: a Sigstore bundle.
const MediaSignature = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Limits of signatures; package registry/signature has the same.
const (
	MaxSignature  = 40 << 10 // bytes
	MaxSignatures = 16       // of one version
)

// SignatureList is the signatures of a version, the oldest first.
type SignatureList struct {
	Signatures []Signature `json:"signatures"`
}

// Signature is one signature of a version. That the registry keeps it does not mean
// that it is good: who reads it verifies it with keys of his own.
type Signature struct {
	ID chunker.Digest `json:"id"` // the digest of the bundle's bytes
	// Key names the key that has made it, as the bundle says; empty if it does not.
	Key     string    `json:"key,omitempty"`
	Created time.Time `json:"created"` // when it came here
	By      string    `json:"by"`      // subject of the principal that has brought it
	Bundle  []byte    `json:"bundle"`
}
