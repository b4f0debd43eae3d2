package protections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// key is the register of all protections.
const key = "a/protections"

// rounds bounds how often a write starts again because somebody else was faster.
const rounds = 16

// Config is what a Service works with; everything must be set.
type Config struct {
	Registers registers.Engine
	Rights    access.Rights
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
}

// Service keeps the protections. It is safe for concurrent use.
type Service struct {
	Config
	book record.Book
}

// New returns a Service.
func New(c Config) *Service {
	return &Service{Config: c, book: record.Book{Registers: c.Registers, Rand: c.Rand}}
}

// stored is the register.
type stored struct {
	record.Stamp
	Rules []rule `json:"rules"` // by pattern
}

type rule struct {
	Pattern string    `json:"pattern"`
	Create  bool      `json:"create,omitempty"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

func (r rule) view() openapi.Protection {
	return openapi.Protection{ProtectionSpec: openapi.ProtectionSpec{Pattern: r.Pattern, Create: r.Create}, By: r.By, Updated: r.At}
}

func byPattern(r rule, p string) int { return strings.Compare(r.Pattern, p) }

// Set protects tags, for an admin of the repositories; create lets who may push make
// one of them.
func (s *Service) Set(ctx context.Context, p access.Principal, text string, create bool) (openapi.Protection, error) {
	if err := s.decides(p, text); err != nil {
		return openapi.Protection{}, err
	}
	next := rule{text, create, p.Subject, s.Now().UTC().Truncate(time.Second)}
	err := s.change(ctx, func(rec *stored) error {
		i, found := slices.BinarySearchFunc(rec.Rules, text, byPattern)
		switch {
		case found:
			rec.Rules[i] = next
		case len(rec.Rules) >= openapi.MaxProtections:
			return tooMany
		default:
			rec.Rules = slices.Insert(rec.Rules, i, next)
		}
		return nil
	})
	return next.view(), err
}

var tooMany = openapi.Errorf(openapi.CodeTooLarge, "there are as many protections as there can be: remove some, or use patterns such as acme/*:v*")

// Remove takes a protection away, for an admin of the repositories.
func (s *Service) Remove(ctx context.Context, p access.Principal, text string) error {
	if err := s.decides(p, text); err != nil {
		return err
	}
	return s.change(ctx, func(rec *stored) error {
		i, found := slices.BinarySearchFunc(rec.Rules, text, byPattern)
		if !found {
			return openapi.Errorf(openapi.CodeNotFound, "protection %.120s: not found", text)
		}
		rec.Rules = slices.Delete(rec.Rules, i, i+1)
		return nil
	})
}

// List returns the protections of repositories of which p may read some.
func (s *Service) List(ctx context.Context, p access.Principal) (openapi.ProtectionList, error) {
	list := openapi.ProtectionList{Protections: []openapi.Protection{}}
	var rec stored
	if _, err := s.book.Load(ctx, key, &rec); err != nil {
		return list, fmt.Errorf("list protections: %w", err)
	}
	own, err := access.ParseScopes(p.Scopes)
	if err != nil {
		return list, fmt.Errorf("list protections: %w", err)
	}
	for _, r := range rec.Rules {
		on, err := parse(r.Pattern)
		if err != nil {
			return list, fmt.Errorf("list protections: %w", err)
		}
		if on.repos == access.All && p.Named() || own.Overlap(on.repos) || s.Rights.Holds(p, access.Scope{Pattern: on.repos, Role: access.RolePull}) {
			list.Protections = append(list.Protections, r.view())
		}
	}
	return list, nil
}

// Protects returns the pattern of a protection for the tag of a repository, or an empty
// one if nothing protects it; exists says whether the tag is there.
func (s *Service) Protects(ctx context.Context, repo name.Repo, tag string, exists bool) (string, error) {
	if repo.Reserved() {
		return "", nil
	}
	var rec stored
	if _, err := s.book.Load(ctx, key, &rec); err != nil {
		return "", fmt.Errorf("look what protects %s:%s: %w", repo, tag, err)
	}
	for _, r := range rec.Rules {
		on, err := parse(r.Pattern)
		if err != nil {
			return "", fmt.Errorf("look what protects %s:%s: %w", repo, tag, err)
		}
		if (exists || !r.Create) && on.matches(repo, tag) {
			return r.Pattern, nil
		}
	}
	return "", nil
}

// decides returns nil if p is admin of all repositories of a pattern.
func (s *Service) decides(p access.Principal, text string) error {
	on, err := parse(text)
	if err != nil {
		return err
	}
	if s.Rights.Holds(p, access.Scope{Pattern: on.repos, Role: access.RoleAdmin}) {
		return nil
	}
	return openapi.Errorf(openapi.CodeForbidden, "%.120s: %s is not admin of all these repositories", text, p.Subject)
}

func (s *Service) change(ctx context.Context, change func(*stored) error) error {
	for range rounds {
		var rec stored
		v, err := s.book.Load(ctx, key, &rec)
		if err != nil {
			return fmt.Errorf("change protections: %w", err)
		}
		if err := change(&rec); err != nil {
			return err
		}
		_, err = s.book.Swap(ctx, key, v, &rec)
		switch {
		case errors.Is(err, registers.ErrConflict):
		case errors.Is(err, registers.ErrLimit):
			return tooMany
		case err != nil:
			return fmt.Errorf("change protections: %w", err)
		default:
			return nil
		}
	}
	return openapi.Errorf(openapi.CodeConflict, "others change protections: try again")
}
