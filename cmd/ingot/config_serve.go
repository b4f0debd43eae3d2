package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/registry"
)

const (
	defaultListen = "127.0.0.1:7070"
	// leastMemory is room for a few uploads at a time.
	leastMemory = 16 << 20
	// leastPushTTL keeps a push alive while its client waits to try again.
	leastPushTTL = time.Minute
)

// serveConfig is what serve is told.
type serveConfig struct {
	config
	log logConfig

	data     string // empty is the user's data folder
	listen   string
	insecure bool
	memory   int64 // bytes
	pushTTL  time.Duration
	reserve  int64 // bytes, as in registry.Config
}

// newServeConfig returns the defaults.
func newServeConfig() *serveConfig {
	c := &serveConfig{
		log: newLogConfig(), listen: defaultListen, memory: registry.DefaultMemory, pushTTL: registry.DefaultPushTTL,
	}
	c.config = newConfig("serve", "listen: "+defaultListen, append([]*key{
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
	}, c.log.keys()...)...)
	return c
}

// settle replaces what depends on the process by what it means, and refuses what
// does not go together.
func (c *serveConfig) settle(p *program) error {
	if err := checkReach(c.listen, c.source("listen"), defaultListen, c.insecure); err != nil {
		return err
	}
	return p.settleData("serve", "registry", &c.data)
}

// settleData makes the path of a data folder whole: below the user's when it is
// empty.
func (p *program) settleData(command, below string, data *string) error {
	if *data == "" {
		all, err := p.folder("XDG_DATA_HOME", filepath.Join(".local", "share"))
		if err != nil {
			return usagef("%s: no folder for the data: %v; name one with --data", command, err)
		}
		*data = filepath.Join(all, below)
	}
	abs, err := filepath.Abs(*data)
	if err != nil {
		return fmt.Errorf("%s: data %s: %w", command, *data, err)
	}
	*data = abs
	return nil
}
