package signatures

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// rounds bounds how often a write starts again because somebody else was faster.
const rounds = 16

// Config is what a Service works with; everything must be set but Rand.
type Config struct {
	Registers registers.Engine
	Policy    access.Policy
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
}

// Service keeps signatures. It is safe for concurrent use.
type Service struct {
	Config
	book record.Book
}

// New returns a Service.
func New(c Config) *Service {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Service{Config: c, book: record.Book{Registers: c.Registers, Rand: c.Rand}}
}

// List returns the signatures of a version, the oldest first.
func (s *Service) List(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) (openapi.SignatureList, error) {
	list := openapi.SignatureList{Signatures: []openapi.Signature{}}
	push, err := s.version(ctx, p, repo, d, access.Read)
	if err != nil {
		return list, err
	}
	slots, err := s.slots(ctx, repo, d, push)
	if err != nil {
		return list, fmt.Errorf("list signatures of %s@%s: %w", repo, d.Short(), err)
	}
	for _, slot := range slots {
		if slot.used && !slices.ContainsFunc(list.Signatures, slot.has) {
			list.Signatures = append(list.Signatures, slot.view())
		}
	}
	slices.SortStableFunc(list.Signatures, func(a, b openapi.Signature) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return list, nil
}

// Signature returns the bytes of one signature of a version.
func (s *Service) Signature(ctx context.Context, p access.Principal, repo name.Repo, d, id chunker.Digest) ([]byte, error) {
	list, err := s.List(ctx, p, repo, d)
	if err != nil {
		return nil, err
	}
	for _, one := range list.Signatures {
		if one.ID == id {
			return one.Bundle, nil
		}
	}
	return nil, notFound("signature %s of %s@%s: not found", id.Short(), repo, d.Short())
}

// Put keeps a signature of a version, under the digest of its bytes. One that is there
// stays as it is.
func (s *Service) Put(ctx context.Context, p access.Principal, repo name.Repo, d, id chunker.Digest, bundle []byte) (openapi.Signature, error) {
	push, err := s.version(ctx, p, repo, d, access.Push)
	if err == nil {
		err = check(d, id, bundle)
	}
	if err != nil {
		return openapi.Signature{}, err
	}
	for range rounds {
		slots, err := s.slots(ctx, repo, d, push)
		if err != nil {
			return openapi.Signature{}, fmt.Errorf("sign %s@%s: %w", repo, d.Short(), err)
		}
		free := -1
		for i, slot := range slots {
			if slot.used && slot.id == id {
				return slot.view(), nil
			}
			if !slot.used && free < 0 {
				free = i
			}
		}
		if free < 0 {
			return openapi.Signature{}, openapi.Errorf(openapi.CodeConflict, "%s@%s has %d signatures already: delete one first", repo, d.Short(), openapi.MaxSignatures)
		}
		slot := slots[free]
		slot.fill(push, p.Subject, bundle, s.Now())
		_, err = s.book.Swap(ctx, record.SignatureKey(repo, d, free), slot.version, &slot.Signature)
		if err == nil {
			return slot.view(), nil
		}
		if !errors.Is(err, registers.ErrConflict) {
			return openapi.Signature{}, fmt.Errorf("sign %s@%s: %w", repo, d.Short(), err)
		}
	}
	return openapi.Signature{}, openapi.Errorf(openapi.CodeConflict, "%s@%s: others sign it: try again", repo, d.Short())
}

// check wants a bundle of that name that is, by its form, a signature of the version.
func check(d, id chunker.Digest, bundle []byte) error {
	if len(bundle) > openapi.MaxSignature {
		return openapi.Errorf(openapi.CodeTooLarge, "a signature of %d bytes, want at most %d", len(bundle), openapi.MaxSignature)
	}
	if got := signature.ID(bundle); got != id {
		return openapi.Errorf(openapi.CodeBadRequest, "signature %s: what came is %s", id.Short(), got.Short())
	}
	b, err := signature.Parse(bundle)
	if err != nil {
		return openapi.Errorf(openapi.CodeBadRequest, "%v", err)
	}
	if b.Digest != d {
		return openapi.Errorf(openapi.CodeBadRequest, "the signature is of version %s, not of %s", b.Digest.Short(), d.Short())
	}
	return nil
}

// Delete takes a signature of a version away.
func (s *Service) Delete(ctx context.Context, p access.Principal, repo name.Repo, d, id chunker.Digest) error {
	push, err := s.version(ctx, p, repo, d, access.Delete)
	if err != nil {
		return err
	}
	slots, err := s.slots(ctx, repo, d, push)
	if err != nil {
		return fmt.Errorf("delete signature %s of %s@%s: %w", id.Short(), repo, d.Short(), err)
	}
	deleted := false
	for i, slot := range slots {
		if !slot.used || slot.id != id {
			continue
		}
		slot.fill("", p.Subject, nil, s.Now())
		_, err := s.book.Swap(ctx, record.SignatureKey(repo, d, i), slot.version, &slot.Signature)
		if errors.Is(err, registers.ErrConflict) {
			return openapi.Errorf(openapi.CodeConflict, "signature %s of %s@%s: others change it: look and try again", id.Short(), repo, d.Short())
		}
		if err != nil {
			return fmt.Errorf("delete signature %s of %s@%s: %w", id.Short(), repo, d.Short(), err)
		}
		deleted = true
	}
	if !deleted {
		return notFound("signature %s of %s@%s: not found", id.Short(), repo, d.Short())
	}
	return nil
}

// version returns the push of a version that p may do a with.
func (s *Service) version(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest, a access.Action) (push string, err error) {
	missing := notFound("%s@%s: not found", repo, d.Short())
	if s.Policy.Allow(p, repo, access.Read) != nil {
		return "", missing
	}
	if s.Policy.Allow(p, repo, a) != nil {
		return "", openapi.Errorf(openapi.CodeForbidden, "%s: %s may not %s here", repo, p.Subject, a)
	}
	var h record.Head
	if _, err := s.book.Load(ctx, record.HeadKey(repo, d), &h); err != nil {
		return "", fmt.Errorf("read version %s@%s: %w", repo, d.Short(), err)
	}
	if !h.Readable() {
		return "", missing
	}
	return h.Push, nil
}

func notFound(format string, args ...any) error {
	return openapi.Errorf(openapi.CodeNotFound, format, args...)
}
