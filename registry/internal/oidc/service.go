package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

const (
	// Life is how long a token is good that was given for a JWT.
	Life = 15 * time.Minute
	// maxJWT bounds a JWT in bytes, and maxAhead for how long one may still be good: what
	// was exchanged is remembered until then.
	maxJWT   = 16 << 10
	maxAhead = 24 * time.Hour
	// skew is by how much clocks may differ.
	skew = time.Minute
)

// refused is all that those are told whose JWT is not taken.
var refused = openapi.Errorf(openapi.CodeUnauthorized, "this JWT is not taken: it is not from an issuer that this registry knows, not for this registry, not within its time, not signed as it should be, not of anybody whom a rule is for, or was exchanged before")

// Lender gives tokens out; *tokens.Tokens is one.
type Lender interface {
	Lend(ctx context.Context, p access.Principal, life time.Duration) (string, error)
}

// Config is what a Service works with.
type Config struct {
	Issuers   []Issuer
	Registers registers.Engine
	Lender    Lender
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
	Logger    *slog.Logger
}

// Service knows who somebody is by a JWT. It is safe for concurrent use.
type Service struct {
	Config
	issuers map[string]*issuer
	book    record.Book
}

// New returns a Service. Errors are of the issuers.
func New(c Config) (*Service, error) {
	if len(c.Issuers) > maxIssuers {
		return nil, fmt.Errorf("%d issuers, want at most %d", len(c.Issuers), maxIssuers)
	}
	s := &Service{Config: c, issuers: map[string]*issuer{}, book: record.Book{Registers: c.Registers, Rand: c.Rand}}
	for _, one := range c.Issuers {
		i, err := newIssuer(one, c.Now)
		if err != nil {
			return nil, err
		}
		if s.issuers[one.URL] != nil {
			return nil, fmt.Errorf("issuer %s is there twice: one can have several rules", one.URL)
		}
		s.issuers[one.URL] = i
	}
	return s, nil
}

// Check returns nil for issuers that a Service can be made of.
func Check(issuers []Issuer) error {
	_, err := New(Config{Issuers: issuers, Now: time.Now})
	return err
}

// IsJWT tells a JWT by its form: ingot's own tokens have at most one dot.
func IsJWT(text string) bool { return strings.Count(text, ".") == 2 }

// Exchange returns a token for a JWT that was not exchanged before. Errors for the
// caller are *openapi.Error.
func (s *Service) Exchange(ctx context.Context, jwt string) (openapi.Exchanged, error) {
	b, err := s.bearer(ctx, jwt)
	if err == nil {
		err = s.use(ctx, b)
	}
	if err != nil {
		return openapi.Exchanged{}, s.tell(ctx, err)
	}
	text, err := s.Lender.Lend(ctx, b.who, Life)
	if err != nil {
		return openapi.Exchanged{}, fmt.Errorf("exchange a JWT: %w", err)
	}
	return openapi.Exchanged{
		Token: text, Subject: b.who.Subject, Scopes: strings.Fields(b.who.Scopes), Expires: s.Now().Add(Life).UTC().Truncate(time.Second),
	}, nil
}

// Authenticate returns who sends a JWT instead of a token: somebody who may only read.
// Errors for the caller are *openapi.Error.
func (s *Service) Authenticate(ctx context.Context, jwt string) (access.Principal, error) {
	b, err := s.bearer(ctx, jwt)
	if err != nil {
		return access.Principal{}, s.tell(ctx, err)
	}
	b.who.Scopes = b.scopes.Of(access.RolePull).String()
	return b.who, nil
}

// tell writes into the log why a JWT is not taken, and returns what the caller is told.
func (s *Service) tell(ctx context.Context, err error) error {
	var known *openapi.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errNoKeys):
		s.Logger.WarnContext(ctx, "JWT cannot be verified", "err", err)
		return openapi.Errorf(openapi.CodeUnavailable, "the issuer of this JWT does not answer: try again later")
	case errors.Is(err, errRefused):
		s.Logger.InfoContext(ctx, "JWT is not taken", "err", err)
		return refused
	}
	return err
}

// errRefused marks why a JWT is not taken, which is for the log.
var errRefused = errors.New("refused")

func refusef(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errRefused, fmt.Errorf(format, args...))
}

// bearer is who has a JWT that was verified.
type bearer struct {
	who     access.Principal
	scopes  access.Scopes
	issuer  string
	id      string // of the JWT, in words that its signature does not change
	expires time.Time
}

// bearer verifies a JWT, and says whose it is.
func (s *Service) bearer(ctx context.Context, jwt string) (*bearer, error) {
	i, key, err := s.issuerOf(jwt)
	if err == nil {
		_, err = i.keys.current(ctx, key) // what the verifier says of keys that cannot be had is only text
	}
	if err != nil {
		return nil, err
	}
	token, err := i.verifier.Verify(ctx, jwt)
	if err != nil {
		return nil, refusef("issuer %s: %w", i.URL, err)
	}
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return nil, refusef("issuer %s: %w", i.URL, err)
	}
	if err := s.timely(token, claims); err != nil {
		return nil, refusef("issuer %s: %w", i.URL, err)
	}
	return i.judge(jwt, token, claims)
}

// issuerOf returns who a JWT says that it is from, and by which key.
func (s *Service) issuerOf(jwt string) (i *issuer, key string, err error) {
	if len(jwt) > maxJWT || !IsJWT(jwt) {
		return nil, "", refusef("a text of %d bytes is no JWT, or too long", len(jwt))
	}
	jws, err := jose.ParseSignedCompact(jwt, algorithms)
	if err != nil {
		return nil, "", refusef("%w", err)
	}
	var says struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &says); err != nil {
		return nil, "", refusef("%w", err)
	}
	if i = s.issuers[says.Issuer]; i == nil {
		return nil, "", refusef("the issuer %.200q is not known", says.Issuer)
	}
	return i, jws.Signatures[0].Header.KeyID, nil
}

// timely refuses what is good for too long, or is not yet. The library has seen to it
// that it is not over, and allows more for what is not yet.
func (s *Service) timely(token *gooidc.IDToken, claims map[string]json.RawMessage) error {
	now := s.Now()
	if token.Expiry.After(now.Add(maxAhead)) {
		return fmt.Errorf("it is good until %s: want one for at most %s", token.Expiry.UTC().Format(time.RFC3339), maxAhead)
	}
	for _, claim := range []string{"nbf", "iat"} {
		raw, ok := claims[claim]
		if !ok {
			continue
		}
		var at float64
		if err := json.Unmarshal(raw, &at); err != nil {
			return fmt.Errorf("%s: %w", claim, err)
		}
		if at > float64(now.Add(skew).Unix()) {
			return fmt.Errorf("%s is %.0f s ahead", claim, at-float64(now.Unix()))
		}
	}
	return nil
}
