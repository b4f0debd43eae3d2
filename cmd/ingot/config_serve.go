package main

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/registry"
)

const (
	defaultListen = "127.0.0.1:7070"
	// leastMemory is room for a few uploads at a time.
	leastMemory = 16 << 20
	// leastArrivals is room for some files, and leastPart keeps the parts of one few.
	leastArrivals = 1 << 30
	leastPart     = 1 << 20
	// leastDeltas is room for one chunk, in no time.
	leastDeltas    = 2 << 20
	leastDeltaTime = time.Second
	// leastPushTTL keeps a push alive while its client waits to try again.
	leastPushTTL = time.Minute
	// An address of a chunk is good for a request that begins at once, and should not
	// be good for much else.
	leastPresign = 10 * time.Second
	mostPresign  = 10 * time.Minute
	// leastUpkeep is the shortest time in which upkeep is repeated.
	leastUpkeep    = time.Minute
	defaultGCEvery = day
	defaultScrub   = 30 * day
	defaultCompact = 6 * time.Hour
	// mostGrace is the longest that a collection can be told.
	mostGrace = 3650 * day
)

// serveConfig is what serve is told.
type serveConfig struct {
	config
	log logConfig

	listen   string
	admin    string // empty is no address
	tls      tlsConfig
	upstream upstreamConfig
	issuers  string          // path of a file; empty is none
	registry registry.Config // an empty Data is the user's data folder, or with a Store found by the registry
}

// newServeConfig returns the defaults.
func newServeConfig() *serveConfig {
	c := &serveConfig{log: newLogConfig(), listen: defaultListen, registry: registry.Config{
		Memory: registry.DefaultMemory, PushTTL: registry.DefaultPushTTL,
		DeltaCPU: registry.DefaultDeltaCPU, DeltaBytes: registry.DefaultDeltaBytes,
		GCEvery: defaultGCEvery, GCGrace: registry.DefaultGCGrace, ScrubEvery: defaultScrub, CompactEvery: defaultCompact, UpstreamRefresh: defaultRefresh, Version: version,
		Access: registry.AccessOpen, Xet: registry.XetOn, Arrivals: registry.DefaultArrivals, HubPartSize: registry.DefaultHubPartSize,
	}}
	withLimits(&c.registry)
	keys := slices.Concat(c.placeKeys(), c.accessKeys(), c.controlKeys(), c.issuerKeys(), c.tls.keys(), c.limitKeys(), c.auditKeys(), c.upstreamKeys(), c.upkeepKeys(), c.log.keys())
	c.config = newConfig("serve", "listen: "+defaultListen, keys...)
	return c
}

// placeKeys say where everything is kept.
func (c *serveConfig) placeKeys() []*key {
	r := &c.registry
	return []*key{
		newKey("data", "DIR", "the path of a folder, without ~", &r.Data, parsePath, asIs,
			"folder of everything the registry keeps, or with --store of what can be lost (default ingot/registry in the user's data folder, or with --store a free one in ingot/replicas of the user's cache folder)"),
		newKey("store", "URL", "s3://BUCKET or s3://BUCKET/PREFIX, or none", &r.Store, orNone("", parseStore), spellNone("", asIs),
			"S3-compatible store to keep everything in, which any number of replicas may share; its address and credentials are taken from the AWS_ variables, files and roles"),
		newKey("bucket", kindNames, "names of buckets, separated by commas, or none", &r.Buckets, orNone(nil, parseBuckets), spellNames,
			"further bucket for chunks; may be given again, every replica needs the same ones, and none may be left out later"),
		newKey("alone", kindBool, "true or false", &r.Alone, parseBool, spellBool,
			"promise that no other process ever writes to the store, which may then lack atomic conditional writes"),
	}
}

// accessKeys say who may do what, and with how much.
func (c *serveConfig) accessKeys() []*key {
	r := &c.registry
	return []*key{
		newKey("listen", "HOST:PORT", "HOST:PORT, such as "+defaultListen, &c.listen, parseAddress, asIs,
			"address to listen on"),
		newKey("insecure", kindBool, "true or false", &r.Insecure, parseBool, spellBool,
			"allow an address that others can reach, though nothing controls their access, or tokens can be read on their way"),
		newKey("read-only", kindBool, "true or false", &r.ReadOnly, parseBool, spellBool,
			"refuse whatever would change what is stored"),
		newKey("xet", "MODE", "on, write or off", &r.Xet, parseXet, spellXet,
			"whether clients of Hugging Face send and fetch large files by the Xet protocol; write has them fetched as plain files"),
		newKey("xet-address", "URL", "http://HOST:PORT or https://HOST:PORT, or none", &r.XetAddress, orNone("", parseOrigin), spellNone("", asIs),
			"where clients of Xet reach this process, if a balancer is in front of several; none is where they reach the registry"),
		newKey("presign", "DURATION", "a duration of 10s to 10m, or none", &r.Presign, orNone(0, atMost(mostPresign, atLeast(leastPresign, parseSpan))), spellNone(0, spellSpan),
			"for how long an address is good with which clients read a chunk from the store itself; none has all bytes go through the registry"),
		newKey("memory", kindSize, "a size of at least 16MiB, such as 512MiB", &r.Memory, atLeast(leastMemory, parseSize), spellSize,
			"most memory for uploads that come in at a time; more of them wait"),
		newKey("delta-cpu", "DURATION", "a duration of at least 1s, such as 30s, or none", &r.DeltaCPU, orNone(-1, atLeast(leastDeltaTime, parseSpan)), spellNone(-1, spellSpan),
			"time of one processor, reckoned from the bytes, that each caller may have the registry spend in a minute on chunks sent as deltas; beyond it they are sent whole, and none sends none"),
		newKey("delta-bytes", kindSize, "a size of at least 2MiB, such as 64GiB", &r.DeltaBytes, atLeast(leastDeltas, parseSize), spellSize,
			"bytes of chunks, as they are in files, that each caller may send or get as deltas in a minute; more of them are sent whole"),
		newKey("arrivals", kindSize, "a size of at least 1GiB, such as 256GiB", &r.Arrivals, atLeast(leastArrivals, parseSize), spellSize,
			"most room on the local disk for files that arrive whole, from clients of other registries or an upstream; more of them are told to come back"),
		newKey("hub-part-size", kindSize, "a size of at least 1MiB, such as 5GiB", &r.HubPartSize, atLeast(leastPart, parseSize), spellSize,
			"size from which a client of the Hugging Face Hub sends a file in parts, each a request of its own"),
		newKey("push-ttl", "DURATION", "a duration of at least 1m, such as 36h or 7d", &r.PushTTL, atLeast(leastPushTTL, parseSpan), spellSpan,
			"how long a push can be gone on with; what an expired one has sent is lost"),
		newKey("reserve", kindSize, "a size such as 20GiB, or auto, or none", &r.Reserve, parseReserve, spellReserve,
			"room that uploads leave free on the disk; auto is 2 % of it, at least 1GiB, at most a 16th"),
	}
}

// parseXet reads what Xet is for.
func parseXet(text string) (registry.XetMode, bool) {
	m := registry.XetMode(text)
	return m, m == registry.XetOn || m == registry.XetWrite || m == registry.XetOff
}

func spellXet(m registry.XetMode) string { return string(m) }

// parseOrigin reads a scheme, a host and maybe a port.
func parseOrigin(text string) (string, bool) {
	u, err := url.Parse(text)
	return text, err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Scheme+"://"+u.Host == text
}

// upkeepKeys say what is done without being asked for.
func (c *serveConfig) upkeepKeys() []*key {
	r := &c.registry
	const often = "a duration of at least 1m, such as 12h or 7d, or none"
	some := orNone(0, atLeast(leastUpkeep, parseSpan))
	return []*key{
		newKey("gc-every", "DURATION", often, &r.GCEvery, some, spellNone(0, spellSpan),
			"how often what no version needs is freed; none is only when \"ingot gc\" asks for it"),
		newKey("gc-grace", "DURATION", "a duration of at most 3650d, such as 48h or 7d, or none", &r.GCGrace, parseGrace, spellNone(-1, spellSpan),
			"how old a thing has to be that nothing needs before it is freed: pushes that take longer, and readers of versions that are retired, may have to begin again"),
		newKey("keep-untagged", "DURATION", often, &r.KeepUntagged, some, spellNone(0, spellSpan),
			"how long a version is kept that no tag points at; none keeps it until it is removed by its digest"),
		newKey("scrub-every", "DURATION", often, &r.ScrubEvery, some, spellNone(0, spellSpan),
			"in which time everything that is stored is read and compared with its name once; none is only when \"ingot verify --all\" asks for it"),
		newKey("compact-every", "DURATION", often, &r.CompactEvery, some, spellNone(0, spellSpan),
			"how often it is chosen anew how chunks are stored, as deltas of others or whole; none is only when \"ingot compact\" asks for it"),
	}
}

// settle replaces what depends on the process by what it means, and refuses what
// does not go together.
func (c *serveConfig) settle(p *program) error {
	if err := c.tls.check(&c.config); err != nil {
		return err
	}
	if err := c.settleAccess(); err != nil {
		return err
	}
	if err := c.settleIssuers(); err != nil {
		return err
	}
	if err := checkAdmin(c.admin, c.source("admin-listen"), c.registry.Insecure); err != nil {
		return err
	}
	if err := c.settleReadOnly(); err != nil {
		return err
	}
	if err := c.settleUpstreams(p); err != nil {
		return err
	}
	if c.registry.Store == "" {
		for _, name := range []string{"bucket", "alone", "presign"} {
			if k := c.key(name, (*key).called); k.given() && !k.empty() {
				return usagef("%s (%s) is of a store: name one with --store s3://BUCKET/PREFIX", name, k.source)
			}
		}
		return p.settleData("serve", "registry", &c.registry.Data)
	}
	if c.registry.Data == "" {
		return nil // the registry finds one for what can be lost
	}
	return p.settleData("serve", "registry", &c.registry.Data)
}

// settleReadOnly has nothing repeated that changes what is stored.
func (c *serveConfig) settleReadOnly() error {
	if !c.registry.ReadOnly {
		return nil
	}
	for _, name := range []string{"gc-every", "keep-untagged", "scrub-every", "compact-every"} {
		k := c.key(name, (*key).called)
		if k.given() && !k.empty() {
			return usagef("%s (%s) changes what is stored, and read-only (%s) lets nothing: leave one of them out", name, k.source, c.source("read-only"))
		}
	}
	r := &c.registry
	r.GCEvery, r.KeepUntagged, r.ScrubEvery, r.CompactEvery = 0, 0, 0, 0
	return nil
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

// place says where the registry keeps everything.
func (c *serveConfig) place() string { return cmp.Or(c.registry.Store, c.registry.Data) }
