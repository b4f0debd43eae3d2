// Package grants owns permissions that somebody carries along: short texts by which
// whoever has one may do one thing for a time, signed with a secret that all replicas
// share. They are for callers that send no credentials with what they do, because
// they were only told an address.
//
// Laws:
//   - A grant says everything that it permits, and for how long. Nothing is stored
//     for it, and any replica can check it.
//   - A grant for one purpose is none for another.
//   - What a grant holds is not secret, only unforgeable.
package grants

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// key is the register of the secret, and secretLen its length in bytes.
const (
	key       = "g/secret"
	secretLen = 32
)

// encoding of a token is strict, so that a grant has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// maxToken bounds a token in bytes: it has to fit a line of a request.
const maxToken = 4096

// Config is what grants are made with.
type Config struct {
	Registers registers.Engine
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
}

// Grants signs and checks grants. It is safe for concurrent use.
type Grants struct {
	book record.Book
	now  func() time.Time

	mu     sync.Mutex // protects secret; never held across a call
	secret []byte
}

// New returns Grants.
func New(c Config) *Grants {
	return &Grants{book: record.Book{Registers: c.Registers, Rand: c.Rand}, now: c.Now}
}

// secret is the register key.
type secret struct {
	record.Stamp
	Secret string `json:"secret"` // hex digits
}

// signed is what a token holds.
type signed struct {
	Purpose string          `json:"p"`
	Expires int64           `json:"e"` // seconds since 1970
	Claims  json.RawMessage `json:"c"`
}

// Sign returns a grant for a purpose: claims, which json can marshal, say what. It is
// good for a time, and made of letters, digits, "-", "_" and ".".
func (g *Grants) Sign(ctx context.Context, purpose string, claims any, good time.Duration) (string, error) {
	raw, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign a grant: %w", err)
	}
	payload, err := json.Marshal(signed{purpose, g.now().Add(good).Unix(), raw})
	if err != nil {
		return "", fmt.Errorf("sign a grant: %w", err)
	}
	text := encoding.EncodeToString(payload)
	mac, err := g.mac(ctx, text)
	if err != nil {
		return "", fmt.Errorf("sign a grant: %w", err)
	}
	token := text + "." + encoding.EncodeToString(mac)
	if len(token) > maxToken {
		return "", openapi.Errorf(openapi.CodeTooLarge, "a grant of %d bytes, at most %d", len(token), maxToken)
	}
	return token, nil
}

// Check reads a grant for a purpose into claims. It fails with CodeForbidden for one
// that was not signed here, is for something else, or is over.
func (g *Grants) Check(ctx context.Context, purpose, token string, claims any) error {
	text, mark, ok := strings.Cut(token, ".")
	mac, err := encoding.DecodeString(mark)
	if !ok || err != nil || len(token) > maxToken {
		return refused
	}
	want, err := g.mac(ctx, text)
	if err != nil {
		return fmt.Errorf("check a grant: %w", err)
	}
	if !hmac.Equal(mac, want) {
		return refused
	}
	var s signed
	payload, err := encoding.DecodeString(text)
	if err != nil || json.Unmarshal(payload, &s) != nil || s.Purpose != purpose || json.Unmarshal(s.Claims, claims) != nil {
		return refused
	}
	if g.now().Unix() >= s.Expires {
		return openapi.Errorf(openapi.CodeForbidden, "this address was good until %s: ask for another", time.Unix(s.Expires, 0).UTC().Format(time.RFC3339))
	}
	return nil
}

var refused = openapi.Errorf(openapi.CodeForbidden, "this address was not given by this registry, or for something else: ask for another")

func (g *Grants) mac(ctx context.Context, text string) ([]byte, error) {
	secret, err := g.key(ctx)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(text)) // never fails
	return h.Sum(nil), nil
}

// key returns the secret. The first who wants it draws it.
func (g *Grants) key(ctx context.Context) ([]byte, error) {
	g.mu.Lock()
	known := g.secret
	g.mu.Unlock()
	if known != nil {
		return known, nil
	}
	var rec secret
	v, err := g.book.Load(ctx, key, &rec)
	if err == nil && v == registers.Absent {
		err = g.draw(ctx, &rec)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret of grants: %w", err)
	}
	b, err := hex.DecodeString(rec.Secret)
	if err != nil || len(b) != secretLen {
		return nil, fmt.Errorf("register %q: %w", key, record.ErrInvalid)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.secret = b
	return b, nil
}

// draw makes the secret, unless another replica is faster.
func (g *Grants) draw(ctx context.Context, rec *secret) (err error) {
	if rec.Secret, err = g.book.Token(secretLen); err != nil {
		return err
	}
	if _, err = g.book.Swap(ctx, key, registers.Absent, rec); errors.Is(err, registers.ErrConflict) {
		*rec = secret{}
		_, err = g.book.Load(ctx, key, rec)
	}
	return err
}
