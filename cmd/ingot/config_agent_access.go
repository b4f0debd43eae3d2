package main

import (
	"net"
	"slices"

	"github.com/ingot-ml/ingot/client/credentials"
)

// leastAgentToken is how long a token has to be that somebody made up.
const leastAgentToken = 16

// agentAccess is what agent is told of who may ask it, and of what it shows.
type agentAccess struct {
	tls    tlsConfig
	tokens string // path of a file; empty wants none

	shown     string // path of the file of the registry's token; empty is what the user has
	authority string // path of a file; empty is the system's
}

// accessKeys say who may ask, and what the registry is shown.
func (c *agentConfig) accessKeys() []*key {
	a := &c.access
	const file = "the path of a file, without ~, or none"
	own := []*key{
		newKey("token-file", "FILE", file, &a.tokens, orNone("", parsePath), spellNone("", asIs),
			"file of the token, or of several, one a line, of which every request over TCP has to bear one; none wants none, and the socket never does"),
		newKey("allow-host", kindHosts, "HOST or *.DOMAIN, several separated by commas, or none", &c.node.Access.Hosts, orNone(nil, parseHosts), spellNames,
			"further name under which the address is reached, such as that of a service; addresses, localhost and the names of the host, of listen and of advertise always are; may be given again"),
	}
	own = append(own, a.tls.keys()...)
	return append(own,
		newKey("registry-token-file", "FILE", file, &a.shown, orNone("", parsePath), spellNone("", asIs),
			"file of the token that the registry is shown, read again when it changes (default $INGOT_TOKEN, else the file $INGOT_TOKEN_FILE, else what \"ingot login\" keeps)"),
		newKey("registry-insecure", kindBool, "true or false", &c.node.Access.Insecure, parseBool, spellBool,
			"let that token go over plain HTTP to another machine"),
		newKey("ca-file", "FILE", file, &a.authority, orNone("", parsePath), spellNone("", asIs),
			"file of authorities, in PEM, to believe that it is the registry, beside those of the system (default $INGOT_CA_FILE)"),
	)
}

// settleAccess finds out who may ask, and what the registry is shown.
func (c *agentConfig) settleAccess(p *program) error {
	a := &c.access
	if err := a.tls.check(&c.config); err != nil {
		return err
	}
	if c.listen == "" {
		for _, name := range []string{"token-file", "allow-host", "tls-cert"} {
			if k := c.key(name, (*key).called); k.given() && !k.empty() {
				return usagef("%s (%s) is of an address over TCP: name one with --listen", name, k.source)
			}
		}
	}
	if err := c.settleTokens(); err != nil {
		return err
	}
	if c.listen != "" {
		if err := c.checkReach(); err != nil {
			return err
		}
		if host, _, err := net.SplitHostPort(c.listen); err == nil && host != "" {
			c.node.Access.Hosts = append(slices.Clone(c.node.Access.Hosts), host)
		}
	}
	return c.settleShown(p)
}

// checkReach refuses an address that others can reach unless they need a token, which
// nobody on the way can take.
func (c *agentConfig) checkReach() error {
	reachable, err := reachable(c.listen)
	switch {
	case err != nil:
		return err
	case !reachable || c.insecure || c.access.tokens != "" && c.access.tls.on():
		return nil
	case c.access.tokens != "":
		return usagef("listen %s (%s) can be reached by others, and tokens would go there in plain text: name a certificate with --tls-cert and --tls-key, or allow it with --insecure", c.listen, c.source("listen"))
	}
	return usagef("listen %s (%s) can be reached by others: want tokens of them with --token-file, and a certificate with --tls-cert and --tls-key; or use 127.0.0.1:7071, or allow everybody with --insecure", c.listen, c.source("listen"))
}

// settleTokens opens the file of tokens.
func (c *agentConfig) settleTokens() error {
	if c.access.tokens == "" {
		return nil
	}
	file := credentials.OpenTokens(c.access.tokens)
	tokens, err := file.All()
	if err != nil {
		return usagef("token-file (%s): %v", c.source("token-file"), err)
	}
	for _, token := range tokens {
		if len(token) < leastAgentToken {
			return usagef("token-file (%s): a token of %d characters can be guessed: want at least %d", c.source("token-file"), len(token), leastAgentToken)
		}
	}
	c.node.Access.Tokens = file.All
	return nil
}

// settleShown finds the token for the registry, and whom to believe that it is that.
func (c *agentConfig) settleShown(p *program) error {
	if c.node.Registry == "" {
		return nil
	}
	a, to := &c.access, &c.node.Access
	shows, err := p.tokenSources().For(c.node.Registry)
	if err != nil && a.shown == "" {
		return usagef("agent: %v", err)
	}
	if err == nil {
		to.Token, to.Insecure = shows.Token, to.Insecure || shows.Kept.Insecure
	}
	if a.shown != "" {
		file := credentials.OpenTokens(a.shown)
		if _, err := file.All(); err != nil {
			return usagef("registry-token-file (%s): %v", c.source("registry-token-file"), err)
		}
		to.Token = file.Token
	}
	authority, source := a.authority, c.source("ca-file")
	if k := c.key("ca-file", (*key).called); !k.given() {
		if authority, source = p.env(envAuthorities), "environment "+envAuthorities; authority == "" && shows != nil {
			authority, source = shows.Kept.CAFile, shows.From
		}
	}
	if to.Authorities, err = authorities(authority); err != nil {
		return usagef("ca-file (%s): %v", source, err)
	}
	return nil
}
