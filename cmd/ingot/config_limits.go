package main

import (
	"net/netip"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry"
)

const (
	// defaultRate is more than a hundred clients of one address ask for that push or
	// pull as fast as they can.
	defaultRate = 2000
	// leastConnections is room for the requests of a few clients.
	leastConnections = 16
	// leastHeader leaves time for a handshake over a slow line.
	leastHeader = time.Second
	mostHeader  = time.Minute
	// leastBodyRate is a modem's.
	leastBodyRate = 1 << 10
)

// limitKeys say how much each caller may ask for.
func (c *serveConfig) limitKeys() []*key {
	r := &c.registry
	const number = "a number of at least 1, or none"
	rate := orNone(0, parseCount)
	spellRate := spellNone(0, digits)
	return []*key{
		newKey("rate-address", kindCount, number, &r.RatePerAddress, rate, spellRate,
			"most requests a second from one address, twice as many at once; more of them are told to come back"),
		newKey("rate-subject", kindCount, number, &r.RatePerSubject, rate, spellRate,
			"most requests a second of one caller that says who it is, wherever they come from"),
		newKey("login-failures", kindCount, number, &r.LoginFailures, rate, spellRate,
			"most logins of one address that may fail in a minute; then none is tried until later"),
		newKey("connections", kindCount, "a number of at least 16", &r.Connections, parseConnections, digits,
			"most connections at a time; one more takes the place of one that waits, and half of them may come from one address"),
		newKey("header-timeout", "DURATION", "a duration of 1s to 1m", &r.HeaderTimeout, atMost(mostHeader, atLeast(leastHeader, parseSpan)), spellSpan,
			"how long the header of a request, or a TLS handshake, may take to come in"),
		newKey("body-rate", kindSize, "a size of at least 1KiB, such as 64KiB", &r.BodyRate, atLeast(leastBodyRate, parseSize), spellSize,
			"bytes a second at which a body has to move after its first minute"),
		newKey("memory-share", kindCount, "a percentage, 1 to 100", &r.MemoryShare, parsePercent, digits,
			"percentage of memory that the uploads of one caller may take, but that it is always room for four chunks"),
		newKey("trusted-proxy", kindNetworks, "addresses or networks such as 10.0.0.0/8, separated by commas, or none", &r.Proxies, orNone(nil, parseNetworks), spellNetworks,
			"proxy whose X-Forwarded-For says where a request comes from; may be given again"),
		adminKey(&c.admin),
	}
}

// adminKey is of serve and of agent.
func adminKey(to *string) *key {
	return newKey("admin-listen", "HOST:PORT", "HOST:PORT, such as 127.0.0.1:7079, or none", to, orNone("", parseAddress), spellNone("", asIs),
		"address of /metrics and /debug/pprof for who runs this process, without access control")
}

func parseConnections(text string) (int, bool) {
	n, ok := parseCount(text)
	return n, ok && n >= leastConnections
}

// parseNetworks reads networks with commas between them; an address is one of itself.
func parseNetworks(text string) (list []netip.Prefix, ok bool) {
	for item := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(item))
		if err != nil {
			a, err := netip.ParseAddr(strings.TrimSpace(item))
			if err != nil || a.Zone() != "" {
				return nil, false
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, p.Masked())
	}
	return list, true
}

func spellNetworks(list []netip.Prefix) string {
	if len(list) == 0 {
		return none
	}
	spelt := make([]string, len(list))
	for i, p := range list {
		spelt[i] = p.String()
	}
	return strings.Join(spelt, ",")
}

// withLimits sets the defaults.
func withLimits(r *registry.Config) {
	r.RatePerAddress, r.RatePerSubject = defaultRate, defaultRate
	r.LoginFailures, r.Connections = registry.DefaultLoginFailures, registry.DefaultConnections
	r.HeaderTimeout, r.BodyRate, r.MemoryShare = registry.DefaultHeaderTimeout, registry.DefaultBodyRate, registry.DefaultMemoryShare
}
