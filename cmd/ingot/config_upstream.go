package main

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// tokenVariable holds the token of the upstream for all namespaces. A flag would
	// show it to everybody on the machine.
	tokenVariable = "INGOT_UPSTREAM_TOKEN"
	maxToken      = 64 << 10 // bytes of the file of one
	leastRefresh  = time.Second
	// defaultRefresh is the registry's, in words.
	defaultRefresh = 5 * time.Minute
)

// ofNamespace is something of one namespace, or of all that have none of their own.
type ofNamespace struct{ namespace, value string }

// upstreamConfig says which other hubs what is not here comes from.
type upstreamConfig struct {
	hubs   []ofNamespace // addresses
	tokens []ofNamespace // paths of files
}

// upstreamKeys say what comes from other hubs.
func (c *serveConfig) upstreamKeys() []*key {
	r, u := &c.registry, &c.upstream
	return []*key{
		newKey("upstream", kindHubs, "https://HOST or NAMESPACE=https://HOST, several separated by commas, or none", &u.hubs, orNone(nil, parseOfNamespaces(isHub)), spellOfNamespaces,
			"hub that models come from which are not here, of Hugging Face's kind or another ingot, for all namespaces or for one; may be given again"),
		newKey("upstream-host", kindHosts, "HOST, HOST:PORT or *.DOMAIN, several separated by commas, or none", &r.UpstreamHosts, orNone(nil, parseHosts), spellNames,
			"further host that an upstream may send to for the bytes of files, without the token; may be given again"),
		newKey("upstream-token-file", kindFiles, "the whole path of a file, or NAMESPACE= and that, several separated by commas, or none", &u.tokens, orNone(nil, parseOfNamespaces(isFile)), spellOfNamespaces,
			"file with the token for an upstream; that of the one for all namespaces may also be in $"+tokenVariable),
		newKey("upstream-refresh", "DURATION", "a duration of at least 1s, such as 30s or 1h", &r.UpstreamRefresh, atLeast(leastRefresh, parseSpan), spellSpan,
			"for how long it is believed where a branch or tag of an upstream is"),
		newKey("offline", kindBool, "true or false", &r.Offline, parseBool, spellBool,
			"ask no upstream: what has come from there is served"),
	}
}

// settleUpstreams makes the registry's upstreams of what was said of them, with their
// tokens.
func (c *serveConfig) settleUpstreams(p *program) error {
	u := &c.upstream
	if c.registry.ReadOnly && len(u.hubs) > 0 {
		return usagef("upstream (%s) keeps what comes from there, and read-only (%s) lets nothing: leave one of them out", c.source("upstream"), c.source("read-only"))
	}
	for _, t := range u.tokens {
		if !slices.ContainsFunc(u.hubs, func(h ofNamespace) bool { return h.namespace == t.namespace }) {
			return usagef("upstream-token-file (%s) is for %s, which has no upstream of its own: name that with --upstream", c.source("upstream-token-file"), cmp.Or(t.namespace, "all namespaces"))
		}
	}
	for _, h := range u.hubs {
		token, err := c.tokenFor(p, h.namespace)
		if err != nil {
			return err
		}
		c.registry.Upstreams = append(c.registry.Upstreams, registry.Upstream{Namespace: h.namespace, URL: h.value, Token: token})
	}
	return nil
}

// tokenFor returns the token of a namespace's upstream, if it has one.
func (c *serveConfig) tokenFor(p *program, namespace string) (string, error) {
	token := ""
	if namespace == "" {
		token = p.env(tokenVariable)
	}
	for _, t := range c.upstream.tokens {
		if t.namespace != namespace {
			continue
		}
		text, err := readSmall(t.value, maxToken)
		if err != nil {
			return "", usagef("upstream-token-file (%s): %v", c.source("upstream-token-file"), err)
		}
		token = text
	}
	token = strings.TrimSpace(token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usagef("the token of the upstream for %s is not one word of ASCII", cmp.Or(namespace, "all namespaces"))
	}
	return token, nil
}

// readSmall reads a file of at most most bytes.
func readSmall(path string, most int64) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > most {
		return "", fmt.Errorf("%s has %d bytes", shown(path), info.Size())
	}
	b, err := os.ReadFile(path)
	return string(b), err
}

// parseOfNamespaces reads values, each with a namespace and "=" before it or not.
func parseOfNamespaces(is func(string) bool) func(string) ([]ofNamespace, bool) {
	return func(text string) ([]ofNamespace, bool) {
		var all []ofNamespace
		for part := range strings.SplitSeq(text, ",") {
			o := ofNamespace{value: strings.TrimSpace(part)}
			if before, after, ok := strings.Cut(o.value, "="); ok && isNamespace(before) {
				o = ofNamespace{before, after}
			}
			twice := slices.ContainsFunc(all, func(other ofNamespace) bool { return other.namespace == o.namespace })
			if !is(o.value) || twice {
				return nil, false
			}
			all = append(all, o)
		}
		return all, true
	}
}

func isNamespace(text string) bool {
	_, err := name.ParseRepo(text + "/model")
	return err == nil
}

func spellOfNamespaces(all []ofNamespace) string {
	words := make([]string, len(all))
	for i, o := range all {
		words[i] = o.value
		if o.namespace != "" {
			words[i] = o.namespace + "=" + o.value
		}
	}
	return spellNames(words)
}

// isHub tells the address of a hub.
func isHub(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// isFile tells a path that means the same wherever the program is started.
func isFile(text string) bool { return filepath.IsAbs(text) }

var hostName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)

// parseHosts reads hosts with commas between them.
func parseHosts(text string) ([]string, bool) {
	hosts := strings.Split(text, ",")
	for i, h := range hosts {
		hosts[i] = strings.TrimSpace(h)
		if !hostName.MatchString(hosts[i]) {
			return nil, false
		}
	}
	return hosts, true
}
