package cas

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// A realm is a part of the address under which one subject knows the service, for one
// namespace. Clients remember by address which xorbs they have sent. So a new realm
// makes them send all again: it is drawn when one named a xorb that is lost, and by
// every registry for itself.
type realm struct {
	record.Stamp
	Realm string `json:"realm"`
}

const (
	realmPrefix = "x/realm/"
	realmLen    = 8 // random bytes
)

// senderKey stands for a subject that sends to a namespace. What it has sent to one is
// not there for another: whoever is called the same elsewhere gets nothing by it.
func senderKey(subject, namespace string) string {
	sum := sha256.Sum256([]byte(namespace + "/" + subject)) // no namespace has a slash
	return hex.EncodeToString(sum[:16])
}

// realm returns the realm of a subject in a namespace.
func (s *Service) realm(ctx context.Context, subject, namespace string) (string, error) {
	return s.drawRealm(ctx, subject, namespace, "")
}

// drawRealm returns the realm of a subject in a namespace, which is another than the one
// that is spent.
func (s *Service) drawRealm(ctx context.Context, subject, namespace, spent string) (string, error) {
	key := realmPrefix + senderKey(subject, namespace)
	for {
		var r realm
		v, err := s.book.Load(ctx, key, &r)
		if err != nil {
			return "", fmt.Errorf("read the realm of %s: %w", subject, err)
		}
		if r.Realm != spent {
			return r.Realm, nil
		}
		if r.Realm, err = s.book.Token(realmLen); err != nil {
			return "", err
		}
		_, err = s.book.Swap(ctx, key, v, &r)
		if err == nil {
			return r.Realm, nil
		}
		if !errors.Is(err, registers.ErrConflict) {
			return "", fmt.Errorf("draw a realm for %s: %w", subject, err)
		}
	}
}
