package main

import (
	"strings"

	"github.com/ingot-ml/ingot/registry"
)

// controlKeys say who may do what.
func (c *serveConfig) controlKeys() []*key {
	r := &c.registry
	return []*key{
		newKey("access", "MODE", "open or tokens", &r.Access, parseAccess, spellAccess,
			"who may do what: with tokens what the scopes of a token allow, and the first start prints one that allows everything; open lets everybody do everything"),
		newKey("anonymous", kindPatterns, "patterns of repositories such as public/*, separated by commas, or none", &r.Anonymous, orNone(nil, parseAnonymous), spellNames,
			"pattern of repositories that everybody may read who has no token, with --access tokens; may be given again"),
		newKey("allow-host", kindHosts, "HOST or *.DOMAIN, several separated by commas, or none", &r.Hosts, orNone(nil, parseHosts), spellNames,
			"further name under which a loopback address is reached with --access open, such as one that a proxy passes on; pages in a browser could ask by others; may be given again"),
	}
}

func parseAccess(text string) (registry.AccessMode, bool) {
	m := registry.AccessMode(text)
	return m, m == registry.AccessOpen || m == registry.AccessTokens
}

func spellAccess(m registry.AccessMode) string { return string(m) }

// parseAnonymous reads patterns with commas between them.
func parseAnonymous(text string) ([]string, bool) {
	patterns := strings.Split(text, ",")
	for i := range patterns {
		patterns[i] = strings.TrimSpace(patterns[i])
	}
	return patterns, registry.CheckAnonymous(patterns) == nil
}

// settleAccess refuses to be reached by others where they could do what they want, or
// read tokens on their way.
func (c *serveConfig) settleAccess() error {
	controlled := c.registry.Access == registry.AccessTokens
	if k := c.key("anonymous", (*key).called); k.given() && !k.empty() && !controlled {
		return usagef("anonymous (%s) is for a registry where others need a token: add --access tokens", k.source)
	}
	others, err := reachable(c.listen)
	if err != nil || !others || c.registry.Insecure {
		return err
	}
	if !controlled {
		return usagef("listen %s (%s) can be reached by others, and access is open, so that they may do everything: use %s, add --access tokens, or allow it with --insecure", c.listen, c.source("listen"), defaultListen)
	}
	if !c.tls.on() {
		return usagef("listen %s (%s) can be reached by others, and tokens could be read on their way: add --tls-cert and --tls-key, or where something in front speaks https allow it with --insecure", c.listen, c.source("listen"))
	}
	return nil
}
