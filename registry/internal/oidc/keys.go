package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

const (
	// keysFresh is for how long keys are used before the issuer is asked for them again,
	// and keysStale for how long if it does not answer.
	keysFresh = 5 * time.Minute
	keysStale = time.Hour
	// keysPause is the least time between two questions, whatever is sent here.
	keysPause = 10 * time.Second
	// loadTime bounds one question.
	loadTime = 10 * time.Second
	// maxKeys bounds the keys of an issuer, and leastRSA the length of one in bytes.
	maxKeys  = 256
	leastRSA = 256
)

// errNoKeys reports an issuer whose keys cannot be had.
var errNoKeys = errors.New("the issuer's keys cannot be had")

// keySet is the keys of one issuer. It is safe for concurrent use, and implements the
// KeySet of package oidc.
type keySet struct {
	load    func(context.Context) (jose.JSONWebKeySet, error)
	now     func() time.Time
	loading singleflight.Group

	mu     sync.Mutex // protects what follows
	keys   []jose.JSONWebKey
	loaded time.Time
	tried  time.Time
	failed error // of the last try
}

func newKeySet(load func(context.Context) (jose.JSONWebKeySet, error), now func() time.Time) *keySet {
	return &keySet{load: load, now: now}
}

// VerifySignature returns what a JWT holds if one of the keys has signed it.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(jwt, algorithms)
	if err != nil {
		return nil, err
	}
	id := jws.Signatures[0].Header.KeyID
	keys, err := k.current(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if id != "" && key.KeyID != "" && key.KeyID != id {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("it is signed by none of the issuer's keys")
}

// current returns the keys, which are asked for again if they are old, or have none of
// that name.
func (k *keySet) current(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	keys, due, err := k.look(id)
	if !due {
		return keys, err
	}
	answer := k.loading.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime) // others wait for it too
		defer cancel()
		k.reload(ctx, id)
		return nil, nil
	})
	select {
	case <-answer:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	keys, _, err = k.look(id)
	return keys, err
}

// look returns the keys that are known, or why there are none, and whether it is time to
// ask for them.
func (k *keySet) look(id string) (keys []jose.JSONWebKey, due bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	age := now.Sub(k.loaded)
	due = (k.keys == nil || age >= keysFresh || !named(k.keys, id)) && (k.tried.IsZero() || now.Sub(k.tried) >= keysPause)
	if k.keys == nil || age >= keysStale {
		return nil, due, fmt.Errorf("%w: %w", errNoKeys, k.failed)
	}
	return k.keys, due, nil
}

// named reports whether one of the keys may have that name.
func named(keys []jose.JSONWebKey, id string) bool {
	for _, key := range keys {
		if id == "" || key.KeyID == "" || key.KeyID == id {
			return true
		}
	}
	return false
}

// reload asks for the keys, unless somebody just did.
func (k *keySet) reload(ctx context.Context, id string) {
	if _, due, _ := k.look(id); !due {
		return
	}
	began := k.now()
	set, err := k.load(ctx)
	keys := make([]jose.JSONWebKey, 0, min(len(set.Keys), maxKeys))
	for _, key := range set.Keys {
		if len(keys) < maxKeys && signs(key) {
			keys = append(keys, key.Public())
		}
	}
	if err == nil && len(keys) == 0 {
		err = errors.New("it has no key that signs")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.failed = k.now(), err
	if err == nil {
		k.keys, k.loaded = keys, began
	}
}

// signs tells a key of two by whose private half JWTs are signed.
func signs(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return k.Size() >= leastRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}
