package signatures

import (
	"context"
	"strconv"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// slot is one of the registers that a version has for signatures.
type slot struct {
	record.Signature
	version registers.Version
	used    bool // it has a signature of the version as it is now
	id      chunker.Digest
}

// slots reads those of a version that came by a push. What another push of the same
// version has left in them counts as nothing.
func (s *Service) slots(ctx context.Context, repo name.Repo, d chunker.Digest, push string) ([]slot, error) {
	slots := make([]slot, openapi.MaxSignatures)
	prefix := record.SignaturesPrefix(repo, d)
	err := s.book.Each(ctx, prefix, "", func(e registers.Entry) (bool, error) {
		i, err := strconv.Atoi(e.Key[len(prefix):])
		if err != nil || i < 0 || i >= len(slots) || e.Key != record.SignatureKey(repo, d, i) {
			return true, nil // of a program that has more
		}
		one := &slots[i]
		if one.version, err = s.book.Load(ctx, e.Key, &one.Signature); err != nil {
			return false, err
		}
		if one.used = len(one.Bundle) > 0 && one.Push == push; one.used {
			one.id = signature.ID(one.Bundle)
		}
		return true, nil
	})
	return slots, err
}

// fill puts a signature into the slot, or frees it.
func (s *slot) fill(push, by string, bundle []byte, now time.Time) {
	s.Push, s.By, s.Bundle, s.At = push, by, bundle, now.UTC()
	s.used, s.id = bundle != nil, signature.ID(bundle)
}

// has reports whether a signature is the one in the slot.
func (s *slot) has(one openapi.Signature) bool { return one.ID == s.id }

// view is the signature for callers.
func (s *slot) view() openapi.Signature {
	v := openapi.Signature{ID: s.id, Created: s.At, By: s.By, Bundle: s.Bundle}
	if b, err := signature.Parse(s.Bundle); err == nil {
		v.Key = b.Hint
	}
	return v
}
