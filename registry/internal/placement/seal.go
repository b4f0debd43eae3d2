package placement

import (
	"fmt"
	"path"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// Digits of a nonce in an object's name: drawn at random, and then, in one that is
// sealed, of the hash of the object's bytes.
const (
	nonceDigits = 16
	sealDigits  = 16
)

// Seal returns the nonce with the hash of the bytes behind it. An object with it in
// its name shows whether it is what was written. Chunks need none, their digests are
// proof enough; a body or a list whose bits flipped would name other objects, and
// nothing would tell.
func Seal(nonce string, raw []byte) string { return nonce + sealOf(raw) }

func sealOf(raw []byte) string { return chunker.Sum(raw).String()[:sealDigits] }

// CheckSeal returns ErrInvalid for bytes that are not those that the object's name
// was made for. Names without a seal are older.
func CheckSeal(object string, raw []byte) error {
	for part := range strings.SplitSeq(path.Base(object), ".") {
		if len(part) == nonceDigits+sealDigits && part[nonceDigits:] != sealOf(raw) {
			return fmt.Errorf("read %q: %w", object, invalid("the bytes are others than were written"))
		}
	}
	return nil
}

// ReadBody is ParseBody for the body of that name, which it must fit.
func ReadBody(object string, raw []byte) (*Body, error) {
	if err := CheckSeal(object, raw); err != nil {
		return nil, err
	}
	b, err := ParseBody(raw)
	if err != nil {
		return nil, err
	}
	if named := ParseName(object); named.Kind == Bodies && manifest.Name(b.Document) != named.Version {
		return nil, fmt.Errorf("read %q: %w", object, invalid("the manifest is that of another version"))
	}
	return b, nil
}

// ReadList is ParseList for the list of that name, which it must fit.
func ReadList(object string, raw []byte) ([]string, error) {
	if err := CheckSeal(object, raw); err != nil {
		return nil, err
	}
	return ParseList(raw)
}
