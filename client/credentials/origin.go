package credentials

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Origin is where a token may go: scheme, host and port, as in https://models.example.
// That of the scheme itself is left out.
type Origin string

// OriginOf returns the origin of a registry's address.
func OriginOf(address string) (Origin, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", errors.New("the address of a registry is a URL such as https://models.example")
	}
	if u.User != nil {
		return "", fmt.Errorf("%s: a password is not part of an address: give a token instead", u.Redacted())
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return Origin(u.Scheme + "://" + host), nil
	}
	return Origin(u.Scheme + "://" + net.JoinHostPort(host, port)), nil
}

// maxToken bounds a token in bytes. Those of identity providers are the long ones.
const maxToken = 16 << 10

// Check tells what is no token. The error does not repeat it.
func Check(token string) error {
	switch {
	case token == "":
		return errors.New("the token is empty")
	case len(token) > maxToken:
		return fmt.Errorf("the token has more than %d bytes", maxToken)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the token is not one word of ASCII")
	}
	return nil
}
