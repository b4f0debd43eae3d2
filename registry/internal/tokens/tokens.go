package tokens

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// prefix begins the registers of tokens; the id follows.
const prefix = "a/token/"

const day = 24 * time.Hour

// For how long a token is good.
const (
	DefaultLife = 90 * day
	MaxLife     = openapi.MaxTokenSeconds * time.Second
	minLife     = time.Minute
)

// Config is what Tokens work with; everything must be set.
type Config struct {
	Registers registers.Engine
	Rights    access.Rights
	// Grants signs those that are lent; nil lends none.
	Grants *grants.Grants
	Now    func() time.Time
	Rand   io.Reader // must be safe for concurrent use
}

// Tokens makes and knows tokens. It is safe for concurrent use.
type Tokens struct {
	Config
	book    record.Book
	loading singleflight.Group

	mu    sync.Mutex // protects known
	known map[string]*known
}

// New returns Tokens.
func New(c Config) *Tokens {
	return &Tokens{Config: c, book: record.Book{Registers: c.Registers, Rand: c.Rand}, known: map[string]*known{}}
}

// stored is the register of a token.
type stored struct {
	record.Stamp
	Name    string    `json:"name"`
	Subject string    `json:"subject"`
	Scopes  string    `json:"scopes"`
	Hash    string    `json:"hash"` // SHA-256 of the secret, hex digits
	By      string    `json:"by"`   // the subject of who made it
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Revoked is when, and RevokedBy by whom; zero for one that is not.
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
}

func (s *stored) info(id string) openapi.Token {
	t := openapi.Token{ID: id, Name: s.Name, Subject: s.Subject, Scopes: strings.Fields(s.Scopes), By: s.By, Created: s.Created, Expires: s.Expires}
	if !s.Revoked.IsZero() {
		t.Revoked = &s.Revoked
	}
	return t
}

// Spec is what a token is to be.
type Spec struct {
	Name   string // empty is its id
	Scopes access.Scopes
	// Life is for how long it is good; 0 is DefaultLife, or as long as the token of who
	// makes it.
	Life time.Duration
}

// nameForm is how tokens are called: no two subjects are spelt alike, and none like one
// of an issuer, which has a colon, or like one that was added to, which has a slash.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// reserved are the subjects that the registry has itself.
var reserved = map[string]bool{"anonymous": true, "upstream": true}

// maxSubject bounds a subject in bytes: it is in many records.
const maxSubject = 200

// Create makes a token that p may make, and returns it: nobody is told it again.
func (t *Tokens) Create(ctx context.Context, p access.Principal, spec Spec) (text string, made openapi.Token, err error) {
	if err := check(spec); err != nil {
		return "", made, err
	}
	life, err := t.handsOn(ctx, p, spec)
	if err != nil {
		return "", made, err
	}
	text, id, secret, err := newText(t.Rand)
	if err != nil {
		return "", made, err
	}
	hash, now := hashed(secret), t.Now().UTC().Truncate(time.Second)
	rec := &stored{
		Name: spec.Name, Scopes: spec.Scopes.String(), Hash: hex.EncodeToString(hash[:]), By: p.Subject,
		Created: now, Expires: now.Add(life),
	}
	if rec.Name == "" {
		rec.Name = id
	}
	if rec.Subject, err = t.subject(p, rec.Name); err != nil {
		return "", made, err
	}
	if _, err := t.book.Swap(ctx, prefix+id, registers.Absent, rec); err != nil {
		return "", made, fmt.Errorf("make a token: %w", err)
	}
	return text, rec.info(id), nil
}

func check(spec Spec) error {
	switch {
	case len(spec.Scopes) == 0:
		return openapi.Errorf(openapi.CodeBadRequest, "a token without scopes allows nothing: give some, such as acme/*:pull")
	case spec.Name != "" && (!nameForm.MatchString(spec.Name) || reserved[spec.Name]):
		return openapi.Errorf(openapi.CodeBadName, "token name %.80q: want 1 to 64 of A-Z a-z 0-9 . _ @ -, starting with a letter or digit, and neither anonymous nor upstream", spec.Name)
	case spec.Life != 0 && (spec.Life < minLife || spec.Life > MaxLife):
		return openapi.Errorf(openapi.CodeBadRequest, "a token for %d seconds: want %d to %d", int64(spec.Life/time.Second), int64(minLife/time.Second), openapi.MaxTokenSeconds)
	}
	return nil
}

// everything is what the registry's admins may do.
var everything = access.Scope{Pattern: access.All, Role: access.RoleAdmin}

// rules reports whether p is an admin of the registry.
func (t *Tokens) rules(p access.Principal) bool { return t.Rights.Holds(p, everything) }

// handsOn returns for how long the token is good, if p may make it: who is admin of
// some repositories may for these, for as long as they are.
func (t *Tokens) handsOn(ctx context.Context, p access.Principal, spec Spec) (time.Duration, error) {
	life := spec.Life
	if life == 0 {
		life = DefaultLife
	}
	if t.rules(p) {
		return life, nil
	}
	own, err := access.ParseScopes(p.Scopes)
	if err != nil {
		return 0, err
	}
	own = own.Of(access.RoleAdmin)
	if len(own) == 0 {
		return 0, openapi.Errorf(openapi.CodeForbidden, "%s may not make tokens: ask an admin", p.Subject)
	}
	for _, s := range spec.Scopes {
		if !(access.Scopes{s}).Within(own) {
			return 0, openapi.Errorf(openapi.CodeForbidden, "scope %s: %s is admin of %s only, and may hand on no more", s, p.Subject, own)
		}
	}
	until, err := t.until(ctx, p)
	if err != nil {
		return 0, err
	}
	left := until.Sub(t.Now()).Truncate(time.Second)
	if spec.Life == 0 {
		return min(life, left), nil
	}
	if life > left {
		return 0, openapi.Errorf(openapi.CodeForbidden, "a token for %d seconds: that of %s is good for %d, and hands on no more", int64(life/time.Second), p.Subject, int64(left/time.Second))
	}
	return life, nil
}

// subject is who has a token of that name that p makes.
func (t *Tokens) subject(p access.Principal, name string) (string, error) {
	if t.rules(p) {
		return name, nil
	}
	subject := p.Subject + "/" + name
	if len(subject) > maxSubject {
		return "", openapi.Errorf(openapi.CodeBadName, "subject %.300q of %d bytes, want at most %d: choose a shorter name", subject, len(subject), maxSubject)
	}
	return subject, nil
}

// sees reports whether p may know of a token: its own, those that it made, and for
// admins of the registry all.
func (t *Tokens) sees(p access.Principal, id string, rec *stored) bool {
	return t.rules(p) || p.Named() && (rec.By == p.Subject || id == p.Token)
}

// List returns the tokens that p may know of, a page at a time.
func (t *Tokens) List(ctx context.Context, p access.Principal, after string, limit int) (openapi.TokenList, error) {
	list := openapi.TokenList{Tokens: []openapi.Token{}}
	if after != "" {
		if !isID(after) {
			return list, openapi.Errorf(openapi.CodeBadName, "after %.40q: want the id of a token", after)
		}
		after = prefix + after
	}
	err := t.book.Each(ctx, prefix, after, func(e registers.Entry) (bool, error) {
		var rec stored
		if _, err := t.book.Load(ctx, e.Key, &rec); err != nil {
			return false, err
		}
		id := strings.TrimPrefix(e.Key, prefix)
		if !t.sees(p, id, &rec) {
			return true, nil
		}
		if len(list.Tokens) == limit {
			list.Next = list.Tokens[limit-1].ID
			return false, nil
		}
		list.Tokens = append(list.Tokens, rec.info(id))
		return true, nil
	})
	if err != nil {
		return list, fmt.Errorf("list tokens: %w", err)
	}
	return list, nil
}

// rounds bounds how often a write starts again because somebody else was faster.
const rounds = 16

// Revoke ends a token that p may know of. To revoke it again is to find it revoked.
func (t *Tokens) Revoke(ctx context.Context, p access.Principal, id string) error {
	gone := openapi.Errorf(openapi.CodeNotFound, "token %.40q: not found", id)
	if !isID(id) {
		return gone
	}
	for range rounds {
		var rec stored
		v, err := t.book.Load(ctx, prefix+id, &rec)
		if err != nil {
			return fmt.Errorf("revoke token %s: %w", id, err)
		}
		if v == registers.Absent || !t.sees(p, id, &rec) {
			return gone
		}
		if !rec.Revoked.IsZero() {
			return nil
		}
		rec.Revoked, rec.RevokedBy = t.Now().UTC().Truncate(time.Second), p.Subject
		_, err = t.book.Swap(ctx, prefix+id, v, &rec)
		t.forget(id)
		if !errors.Is(err, registers.ErrConflict) {
			return err
		}
	}
	return openapi.Errorf(openapi.CodeConflict, "token %s: others change it: try again", id)
}
