package main

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/ingot-ml/ingot/registry"
)

const (
	defaultListen = "127.0.0.1:7070"
	// leastMemory is room for a few uploads at a time.
	leastMemory = 16 << 20
	// leastPushTTL keeps a push alive while its client waits to try again.
	leastPushTTL = time.Minute

	// configVariable names the file in the environment.
	configVariable = "INGOT_CONFIG"
	// serveVariables begins the name of every variable that is a key.
	serveVariables = "INGOT_SERVE_"
)

// config is what serve is told. A key has one name everywhere: as a flag, in the
// file, and as a variable.
type config struct {
	data      string // empty is the user's data folder
	listen    string
	insecure  bool
	memory    int64 // bytes
	pushTTL   time.Duration
	reserve   int64 // bytes, as in registry.Config
	logLevel  string
	logFormat string

	keys []*key // in the order in which people see them
}

// newConfig returns the defaults.
func newConfig() *config {
	c := &config{
		listen: defaultListen, memory: registry.DefaultMemory, pushTTL: registry.DefaultPushTTL,
		logLevel: "info", logFormat: "text",
	}
	levels, formats := []string{"debug", "info", "warn", "error"}, []string{"text", "json"}
	c.keys = []*key{
		newKey("data", "DIR", "the path of a folder, without ~", &c.data, parsePath, asIs,
			"folder of everything the registry keeps (default ingot/registry in the user's data folder)"),
		newKey("listen", "HOST:PORT", "HOST:PORT, such as "+defaultListen, &c.listen, parseAddress, asIs,
			"address to listen on"),
		newKey("insecure", kindBool, "true or false", &c.insecure, parseBool, spellBool,
			"allow an address that others can reach, though nothing controls their access"),
		newKey("memory", kindSize, "a size of at least 16MiB, such as 512MiB", &c.memory, atLeast(leastMemory, parseSize), spellSize,
			"most memory for uploads that come in at a time; more of them wait"),
		newKey("push-ttl", "DURATION", "a duration of at least 1m, such as 36h or 7d", &c.pushTTL, atLeast(leastPushTTL, parseSpan), spellSpan,
			"how long a push can be gone on with; what an expired one has sent is lost"),
		newKey("reserve", kindSize, "a size such as 20GiB, or auto, or none", &c.reserve, parseReserve, spellReserve,
			"room that uploads leave free on the disk; auto is 2 % of it, at least 1GiB, at most a 16th"),
		newKey("log-level", "LEVEL", oneOf(levels), &c.logLevel, parseWord(levels), asIs,
			"least level to log: "+oneOf(levels)),
		newKey("log-format", "FORMAT", oneOf(formats), &c.logFormat, parseWord(formats), asIs,
			"how to log: "+oneOf(formats)+", which is one object on a line"),
	}
	return c
}

// bind adds a flag for every key.
func (c *config) bind(flags *pflag.FlagSet) {
	for _, k := range c.keys {
		flag := flags.VarPF(k, k.name, "", k.usage)
		if k.kind == kindBool {
			flag.NoOptDefVal = "true"
		}
	}
}

// key returns the key that spell calls name, or nil.
func (c *config) key(name string, spell func(*key) string) *key {
	i := slices.IndexFunc(c.keys, func(k *key) bool { return spell(k) == name })
	if i < 0 {
		return nil
	}
	return c.keys[i]
}

// suggest says which key was meant by name, or else which there are, and what more
// is known.
func (c *config) suggest(name string, spell func(*key) string, more ...string) string {
	known := make([]string, 0, len(c.keys)+len(more))
	for _, k := range c.keys {
		known = append(known, spell(k))
	}
	known = append(known, more...)
	if best := nearest(name, known); best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return "known are " + strings.Join(known, ", ")
}

// load takes what the sources say, the later over the earlier: the defaults, the
// file, the environment, the flags. All of them are read even if one is wrong, and
// the first mistake is returned: what is right, such as the format of the log,
// already holds for its report.
func (c *config) load(file string, environ []string, flags *pflag.FlagSet) error {
	var inFile error
	if file != "" {
		inFile = c.loadFile(file)
	}
	inEnvironment, inFlags := c.loadEnvironment(environ), c.loadFlags(flags)
	for _, err := range []error{inFile, inEnvironment, inFlags} {
		if err != nil {
			return err
		}
	}
	return nil
}

// loadEnvironment takes the variables that are keys. It returns the first mistake.
func (c *config) loadEnvironment(environ []string) (first error) {
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, serveVariables) {
			continue
		}
		if err := c.loadVariable(name, text); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// loadVariable takes one variable. An empty one says nothing: that is how files
// of containers leave one out.
func (c *config) loadVariable(name, text string) error {
	k := c.key(name, (*key).variable)
	if k == nil {
		return usagef("unknown variable %.80q in the environment: %s", name, c.suggest(name, (*key).variable, configVariable))
	}
	if text == "" {
		return nil
	}
	if err := k.give(text, "environment "+name); err != nil {
		return usagef("%s=%.80q: %v", name, text, err)
	}
	return nil
}

// loadFlags takes the flags that were given, which are flags of another config.
// They were judged when they were read.
func (c *config) loadFlags(flags *pflag.FlagSet) (first error) {
	flags.Visit(func(flag *pflag.Flag) {
		k := c.key(flag.Name, (*key).called)
		if k == nil {
			return
		}
		if err := k.give(flag.Value.String(), "flag --"+k.name); err != nil && first == nil {
			first = usagef("--%s %.80q: %v", k.name, flag.Value, err)
		}
	})
	return first
}

// settle replaces what depends on the process by what it means, and refuses what
// does not go together.
func (c *config) settle(p *program) error {
	if err := c.checkListen(); err != nil {
		return err
	}
	if c.data == "" {
		below, err := p.folder("XDG_DATA_HOME", filepath.Join(".local", "share"))
		if err != nil {
			return usagef("serve: no folder for the data: %v; name one with --data", err)
		}
		c.data = filepath.Join(below, "registry")
	}
	abs, err := filepath.Abs(c.data)
	if err != nil {
		return fmt.Errorf("serve: data %s: %w", c.data, err)
	}
	c.data = abs
	return nil
}

// checkListen refuses an address that others can reach unless they may.
func (c *config) checkListen() error {
	host, _, err := net.SplitHostPort(c.listen)
	if err != nil {
		return usagef("listen %.80q: %v", c.listen, err)
	}
	ip := net.ParseIP(host)
	if c.insecure || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	source := c.key("listen", (*key).called).source
	return usagef("listen %s (%s) can be reached by others, and there is no access control yet: use %s, or allow it with --insecure", c.listen, source, defaultListen)
}
