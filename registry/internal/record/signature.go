package record

import (
	"strconv"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// Signature is the register s/<namespace>/<model>/<version>/<slot>. Without a bundle the
// slot is free.
type Signature struct {
	Stamp
	// Push is that of the head when the signature came: it is one of the version for as
	// long as the head has it, so that it goes with the version.
	Push   string    `json:"push"`
	Bundle []byte    `json:"bundle,omitempty"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// SignaturePrefix is what the keys of all signatures begin with.
const SignaturePrefix = "s/"

// SignaturesPrefix is what the keys of a version's signatures begin with.
func SignaturesPrefix(r name.Repo, d chunker.Digest) string {
	return SignaturePrefix + r.String() + "/" + d.String() + "/"
}

// SignatureKey returns the register of a slot for a signature of a version.
func SignatureKey(r name.Repo, d chunker.Digest, slot int) string {
	return SignaturesPrefix(r, d) + strconv.Itoa(slot)
}
