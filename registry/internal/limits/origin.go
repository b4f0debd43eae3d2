package limits

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are networks whose machines say truly for whom they ask.
type Proxies []netip.Prefix

// Trust tells whether an address is a proxy's.
func (p Proxies) Trust(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// maxHops is how many proxies in a row are believed.
const maxHops = 8

// Origin returns the address that a request came from: that of its connection, or, as
// long as that is a proxy's, the last one in X-Forwarded-For that is not. What stands
// before it anybody may have written.
func (p Proxies) Origin(r *http.Request) netip.Addr {
	a := AddressOf(r.RemoteAddr)
	if len(p) == 0 || !p.Trust(a) {
		return a
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return a
		}
		a = next.Unmap().WithZone("")
		if !p.Trust(a) {
			return a
		}
	}
	return a
}

// AddressOf reads HOST:PORT as a connection has it. The zero address is all that are
// none of a network, such as those of a unix socket.
func AddressOf(hostPort string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
