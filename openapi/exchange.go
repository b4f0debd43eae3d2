package openapi

import "time"

// Exchange asks for a token in exchange for one of an issuer of OpenID Connect.
type Exchange struct {
	Token string `json:"token"` // a JWT
}

// Exchanged is a token that was given for another, for a short time.
type Exchanged struct {
	Token   string    `json:"token"`
	Subject string    `json:"subject"`
	Scopes  []string  `json:"scopes"`
	Expires time.Time `json:"expires"`
}
