package openapi

import "time"

// MaxTokenSeconds is for how long a token is good at the most: a year that is a leap
// year.
const MaxTokenSeconds = 366 * 24 * 60 * 60

// The values of Whoami.Access.
const (
	AccessOpen   = "open"   // everybody may do everything
	AccessTokens = "tokens" // tokens say who may do what
)

// TokenSpec is what a token is to be.
type TokenSpec struct {
	Name   string   `json:"name,omitempty"`
	Scopes []string `json:"scopes"` // PATTERN:ROLE
	// ExpiresSeconds is for how long it is good; nil is 90 days, or as long as the token
	// of who makes it.
	ExpiresSeconds *int64 `json:"expires_seconds,omitempty"`
}

// Token is what is known of a token, which is not the token.
type Token struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Subject string     `json:"subject"` // who has it, in records and logs
	Scopes  []string   `json:"scopes"`
	By      string     `json:"by"` // who made it
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

// NewToken is a token that was just made.
type NewToken struct {
	Token
	Text string `json:"token"` // told only now
}

// TokenList is a page of tokens by their ids.
type TokenList struct {
	Tokens []Token `json:"tokens"`
	Next   string  `json:"next,omitempty"`
}

// Whoami is who asks.
type Whoami struct {
	Subject string   `json:"subject"`
	Scopes  []string `json:"scopes"`
	// Token is the id of the token, and Expires when it ends; neither for who has none.
	Token   string     `json:"token,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Access  string     `json:"access"` // AccessOpen or AccessTokens
}

// MaxProtections bounds how many there are.
const MaxProtections = 256

// ProtectionSpec has tags moved and deleted by admins only.
type ProtectionSpec struct {
	// Pattern is REPOSITORIES:TAGS, such as acme/*:prod or *:v*.
	Pattern string `json:"pattern"`
	// Create lets everybody who may push make such a tag, once.
	Create bool `json:"create,omitempty"`
}

// Protection is a ProtectionSpec, and who has set it.
type Protection struct {
	ProtectionSpec
	By      string    `json:"by"`
	Updated time.Time `json:"updated"`
}

// ProtectionList is all that who asks may know of, by pattern.
type ProtectionList struct {
	Protections []Protection `json:"protections"`
}
