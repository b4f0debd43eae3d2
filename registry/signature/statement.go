package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/chunker"
)

// The words by which a statement says what it is.
const (
	typeStatement = "https://in-toto.io/Statement/v1"
	typePayload   = "application/vnd.in-toto+json"
	// Predicate is the type of the statement that a version is signed with.
	Predicate = "https://github.com/ingot-ml/ingot/signature/v1"
)

// The algorithms of a subject's digest.
const (
	algBLAKE3 = "blake3"
	algSHA256 = "sha256"
)

// subjectName is what a statement calls its subject.
const subjectName = "manifest"

// Claim is what a signer says of a version. Who trusts the key may believe it, and it
// decides nothing.
type Claim struct {
	// Repo is the repository in which the signer found the version, "namespace/name".
	Repo string `json:"repo,omitempty"`
	// At is when it was signed, by the signer's clock.
	At time.Time `json:"signed_at,omitzero"`
}

// statement is the JSON that is signed.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Claim     `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// newStatement returns the statement of the version that a document describes.
func newStatement(document []byte, claim Claim) statement {
	sum := sha256.Sum256(document)
	return statement{
		Type: typeStatement,
		Subject: []subject{{subjectName, map[string]string{
			algBLAKE3: chunker.Sum(document).String(),
			algSHA256: hex.EncodeToString(sum[:]),
		}}},
		PredicateType: Predicate,
		Predicate:     claim,
	}
}

// parseStatement reads a payload, and says which version it is of.
func parseStatement(payload []byte) (d chunker.Digest, claim Claim, err error) {
	var s statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return d, claim, fmt.Errorf("%w: statement: %w", ErrInvalid, err)
	}
	switch {
	case s.Type != typeStatement:
		return d, claim, fmt.Errorf("%w: a statement of type %.80q, want %q", ErrInvalid, s.Type, typeStatement)
	case s.PredicateType != Predicate:
		return d, claim, fmt.Errorf("%w: a predicate of type %.80q, want %q", ErrInvalid, s.PredicateType, Predicate)
	case len(s.Subject) != 1:
		return d, claim, fmt.Errorf("%w: %d subjects, want one", ErrInvalid, len(s.Subject))
	}
	if d, err = chunker.ParseDigest(s.Subject[0].Digest[algBLAKE3]); err != nil {
		return d, claim, fmt.Errorf("%w: subject: %s: %w", ErrInvalid, algBLAKE3, err)
	}
	return d, s.Predicate, nil
}
