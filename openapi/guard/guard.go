package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// Any is, as a host or an origin, all of them.
const Any = "*"

// Config says what is let through beside what always is.
type Config struct {
	// Hosts are the names that lead here, beside localhost and addresses: HOST, or
	// *.DOMAIN for all below one, or Any.
	Hosts []string
	// Origins are the pages that may ask, SCHEME://HOST[:PORT], or Any; none by default.
	Origins []string
	// OwnPages lets pages ask that came from the same name and port, and has those shown
	// to which others lead.
	OwnPages bool
	// Tokens returns those of which a request has to bear one; nil wants none.
	Tokens func() ([]string, error)
	// Free are the paths that want no token.
	Free []string
}

// Guard judges requests. It is safe for concurrent use.
type Guard struct{ config Config }

// New returns a Guard.
func New(c Config) *Guard { return &Guard{c} }

// Check returns nil for a request that is to be answered, and otherwise what to answer.
func (g *Guard) Check(r *http.Request) *openapi.Error {
	if err := g.checkPage(r); err != nil {
		return err
	}
	if local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr); local != nil && local.Network() == "unix" {
		return nil
	}
	if !g.knows(r.Host) {
		return openapi.Errorf(openapi.CodeForbidden,
			"the name %.100q is not known to lead here: use an address or localhost, or have the name allowed with --allow-host", r.Host)
	}
	return g.checkToken(r)
}

// checkPage refuses what a page in a browser has sent. Browsers say so themselves: by
// Origin whenever a page could do harm without seeing the answer, and by Sec-Fetch-Site
// for everything else. "none" is a person who has typed the address.
func (g *Guard) checkPage(r *http.Request) *openapi.Error {
	origins, sites := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	if len(origins) > 1 || len(sites) > 1 {
		return openapi.Errorf(openapi.CodeForbidden, "several headers say where the request comes from")
	}
	if len(origins) == 1 {
		if g.lets(origins[0], r.Host) {
			return nil // whatever else is said of the page
		}
		return openapi.Errorf(openapi.CodeForbidden, "requests of the page %.100q are not answered here", origins[0])
	}
	if g.config.OwnPages && shows(r) {
		return nil
	}
	if len(sites) == 0 || sites[0] == "none" || sites[0] == "same-origin" && g.config.OwnPages || slices.Contains(g.config.Origins, Any) {
		return nil
	}
	return openapi.Errorf(openapi.CodeForbidden, "requests of pages in a browser are not answered here")
}

// shows tells a request for a page that somebody is to see, whatever page led there:
// neither that one nor a page around it learns what is seen.
func shows(r *http.Request) bool {
	mode, place := r.Header["Sec-Fetch-Mode"], r.Header["Sec-Fetch-Dest"]
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		len(mode) == 1 && mode[0] == "navigate" && len(place) == 1 && place[0] == "document"
}

// lets tells whether the page of an origin may ask the server that it calls host.
func (g *Guard) lets(origin, host string) bool {
	if slices.Contains(g.config.Origins, Any) || slices.Contains(g.config.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return g.config.OwnPages && err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// knows tells whether a header Host is one under which the server may be reached. An
// address is always one: no name server was asked for it.
func (g *Guard) knows(header string) bool {
	host := header
	if h, port, err := net.SplitHostPort(header); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return true
	}
	return slices.ContainsFunc(g.config.Hosts, func(known string) bool {
		known = strings.ToLower(known)
		domain, below := strings.CutPrefix(known, "*")
		return known == Any || known == host && host != "" || below && domain != "" && strings.HasSuffix(host, domain) && len(host) > len(domain)
	})
}

// checkToken refuses a request that bears no token, or a wrong one.
func (g *Guard) checkToken(r *http.Request) *openapi.Error {
	if g.config.Tokens == nil || slices.Contains(g.config.Free, r.URL.EscapedPath()) {
		return nil
	}
	given, ok := bearer(r.Header["Authorization"])
	if !ok {
		return openapi.Errorf(openapi.CodeUnauthorized, "a token is wanted here: Authorization: Bearer TOKEN")
	}
	good, err := g.config.Tokens()
	if err != nil {
		return openapi.Errorf(openapi.CodeUnavailable, "the tokens cannot be read here: try again later")
	}
	found := 0
	sum := sha256.Sum256([]byte(given))
	for _, token := range good {
		want := sha256.Sum256([]byte(token))
		found |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	if found == 0 {
		return openapi.Errorf(openapi.CodeUnauthorized, "the token is not one that is good here")
	}
	return nil
}

// bearer reads the token of a header Authorization, of which there is one: as clients of
// Hugging Face send it, or as the password of a user of any name.
func bearer(headers []string) (token string, ok bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, rest, _ := strings.Cut(headers[0], " ")
	switch strings.ToLower(scheme) {
	case "bearer":
		return rest, rest != ""
	case "basic":
		plain, err := base64.StdEncoding.DecodeString(rest)
		_, password, found := strings.Cut(string(plain), ":")
		return password, err == nil && found && password != ""
	}
	return "", false
}

// Handler answers by next what is to be answered, and the others itself.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e := g.Check(r); e != nil {
			Refuse(w, e)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Refuse answers with an error of Check.
func Refuse(w http.ResponseWriter, e *openapi.Error) {
	Explain(w.Header(), e)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Code.Status())
	_ = json.NewEncoder(w).Encode(openapi.ErrorBody{Error: e}) // whoever has gone away does not miss it
}

// Explain sets the headers that go with an error of Check.
func Explain(h http.Header, e *openapi.Error) {
	h.Set("X-Error-Message", e.Message) // which clients of Hugging Face show
	if e.Code == openapi.CodeUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="ingot"`)
	}
}
