package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

const (
	// usedPrefix begins the registers of JWTs that were exchanged. There are 256 of them,
	// for registers are never deleted: each forgets by itself what is over.
	usedPrefix = "j/"
	// maxUsed bounds the JWTs in one: some 48 bytes each.
	maxUsed = 1000
	// rounds bounds how often a write starts again because somebody else was faster.
	rounds = 16
)

// used is one of those registers.
type used struct {
	record.Stamp
	Until map[string]int64 `json:"until"` // seconds since 1970 by the hash of the JWT's identity
}

// use notes that a JWT is exchanged. One that was before is refused.
func (s *Service) use(ctx context.Context, b *bearer) error {
	sum := sha256.Sum256([]byte(b.issuer + "\n" + b.id))
	hash := hex.EncodeToString(sum[:16])
	key := usedPrefix + hash[:2]
	for range rounds {
		var rec used
		v, err := s.book.Load(ctx, key, &rec)
		if err != nil {
			return fmt.Errorf("exchange a JWT: %w", err)
		}
		if _, before := rec.Until[hash]; before {
			return refusef("issuer %s: the JWT of %s was exchanged before", b.issuer, b.who.Subject)
		}
		s.forget(&rec)
		if len(rec.Until) >= maxUsed {
			return openapi.Errorf(openapi.CodeBusy, "too many JWTs that are still good were exchanged: try again later")
		}
		rec.Until[hash] = b.expires.Add(skew).Unix()
		_, err = s.book.Swap(ctx, key, v, &rec)
		if !errors.Is(err, registers.ErrConflict) {
			return err
		}
	}
	return openapi.Errorf(openapi.CodeConflict, "others exchange a JWT at the same moment: try again")
}

// forget drops JWTs that are over, which no issuer's key makes good again.
func (s *Service) forget(rec *used) {
	if rec.Until == nil {
		rec.Until = map[string]int64{}
	}
	now := s.Now().Unix()
	for hash, until := range rec.Until {
		if until < now {
			delete(rec.Until, hash)
		}
	}
}
