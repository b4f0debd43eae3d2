package tokens

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// freshFor is for how long a register that was read is believed, so that a token is
// revoked everywhere within half a minute.
const freshFor = 25 * time.Second

// maxKnown bounds the tokens that are remembered, of some KiB at the most.
const maxKnown = 1 << 12

// loadTime bounds the reading of a register, for which more than one request waits.
const loadTime = 10 * time.Second

// known is a token as it was read.
type known struct {
	read    time.Time
	hash    [sha256.Size]byte
	who     access.Principal
	expires time.Time
	revoked bool
}

var refused = openapi.Errorf(openapi.CodeUnauthorized, "this token is not known, or was revoked: make another with \"ingot token create\"")

// Issued tells a text that is a token by its form.
func Issued(text string) bool { return strings.HasPrefix(text, Prefix) || isLent(text) }

// Authenticate returns who has a token. One that is not good is *openapi.Error with
// CodeUnauthorized.
func (t *Tokens) Authenticate(ctx context.Context, text string) (access.Principal, error) {
	if isLent(text) {
		return t.borrower(ctx, text)
	}
	id, secret, err := parseText(text)
	if err != nil {
		return access.Principal{}, err
	}
	k, err := t.load(ctx, id)
	if err != nil {
		return access.Principal{}, err
	}
	hash := hashed(secret)
	if k == nil || subtle.ConstantTimeCompare(hash[:], k.hash[:]) != 1 {
		return access.Principal{}, refused
	}
	if err := k.good(t.Now()); err != nil {
		return access.Principal{}, err
	}
	return k.who, nil
}

// Valid returns nil if who asks may still ask: whoever carries a principal along asks
// again, since its token may have been revoked.
func (t *Tokens) Valid(ctx context.Context, p access.Principal) error {
	if !isID(p.Token) {
		return nil
	}
	k, err := t.load(ctx, p.Token)
	if err != nil {
		return err
	}
	if k == nil {
		return refused
	}
	return k.good(t.Now())
}

// Info returns what is known of p's token; ok is false for a principal without one that
// is stored.
func (t *Tokens) Info(ctx context.Context, p access.Principal) (info openapi.Token, ok bool, err error) {
	if !isID(p.Token) {
		return info, false, nil
	}
	var rec stored
	v, err := t.book.Load(ctx, prefix+p.Token, &rec)
	if err != nil {
		return info, false, fmt.Errorf("read token %s: %w", p.Token, err)
	}
	return rec.info(p.Token), v != registers.Absent, nil
}

// until returns when p's token ends. That of a principal without one has ended.
func (t *Tokens) until(ctx context.Context, p access.Principal) (time.Time, error) {
	info, ok, err := t.Info(ctx, p)
	if err != nil || ok {
		return info.Expires, err
	}
	return time.Time{}, openapi.Errorf(openapi.CodeForbidden, "%s was lent its rights for a short time, and may hand none on: use a token of \"ingot token create\"", p.Subject)
}

func (k *known) good(now time.Time) error {
	switch {
	case k.revoked:
		return refused
	case !now.Before(k.expires):
		return openapi.Errorf(openapi.CodeUnauthorized, "this token was good until %s: make another with \"ingot token create\"", k.expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// load returns a token that was read lately; nil for one that is not there. Those that
// want the same one wait for one reading.
func (t *Tokens) load(ctx context.Context, id string) (*known, error) {
	t.mu.Lock()
	k := t.known[id]
	t.mu.Unlock()
	if k != nil && t.Now().Sub(k.read) < freshFor {
		return k, nil
	}
	answer := t.loading.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime) // one caller's going away is not the others' fault
		defer cancel()
		return t.read(ctx, id)
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return nil, a.Err
		}
		return a.Val.(*known), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// read reads a token, and remembers it if it is there.
func (t *Tokens) read(ctx context.Context, id string) (*known, error) {
	began := t.Now()
	var rec stored
	v, err := t.book.Load(ctx, prefix+id, &rec)
	if err != nil {
		return nil, fmt.Errorf("read token %s: %w", id, err)
	}
	if v == registers.Absent {
		return nil, nil
	}
	k := &known{
		read: began, who: access.Principal{Subject: rec.Subject, Scopes: rec.Scopes, Token: id},
		expires: rec.Expires, revoked: !rec.Revoked.IsZero(),
	}
	if n, err := hex.Decode(k.hash[:], []byte(rec.Hash)); err != nil || n != len(k.hash) {
		return nil, fmt.Errorf("read token %s: hash %.80q: %w", id, rec.Hash, record.ErrInvalid)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= maxKnown {
		clear(t.known)
	}
	t.known[id] = k
	return k, nil
}

// forget has a token read again.
func (t *Tokens) forget(id string) {
	t.loading.Forget(id)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, id)
}
