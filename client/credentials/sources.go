package credentials

import (
	"context"
	"fmt"
)

// The variables of the environment that hold a token, or name a file of one. They go
// before what is kept, in that order, and for every registry that is asked.
const (
	EnvToken     = "INGOT_TOKEN"
	EnvTokenFile = "INGOT_TOKEN_FILE"
)

// Sources are where the token for a registry may come from.
type Sources struct {
	Token     string // what EnvToken says
	TokenFile string // what EnvTokenFile says
	File      *File  // what is kept; nil for nothing
}

// Credential is what is shown to one registry.
type Credential struct {
	// From says where the token comes from, for people; empty is nowhere.
	From string
	// Kept is what is kept for the registry, even if the token comes from elsewhere.
	Kept  Entry
	token func(context.Context) (string, error)
}

// Token returns the token, as it is now; empty is none.
func (c *Credential) Token(ctx context.Context) (string, error) {
	if c.token == nil {
		return "", nil
	}
	return c.token(ctx)
}

// For returns what is shown to the registry at an address. Errors are of what is there
// and cannot be used: that nothing is there is none.
func (s Sources) For(address string) (*Credential, error) {
	origin, err := OriginOf(address)
	if err != nil {
		return nil, err
	}
	c := &Credential{}
	kept := false
	if s.File != nil {
		c.Kept, kept, err = s.File.Get(origin)
	}
	switch {
	case s.Token != "":
		if err := Check(s.Token); err != nil {
			return nil, fmt.Errorf("%s: %w", EnvToken, err)
		}
		c.From, c.token = EnvToken, func(context.Context) (string, error) { return s.Token, nil }
	case s.TokenFile != "":
		file := OpenTokens(s.TokenFile)
		c.From, c.token = EnvTokenFile+" "+s.TokenFile, file.Token
	case err != nil:
		return nil, err
	case s.File != nil: // even if nothing is kept: that may come
		if kept {
			c.From = s.File.Path()
		}
		c.token = func(context.Context) (string, error) {
			e, _, err := s.File.Get(origin)
			return e.Token, err
		}
	}
	return c, nil
}
