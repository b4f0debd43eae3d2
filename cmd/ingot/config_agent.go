package main

import (
	"cmp"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/nodecache"
)

const (
	defaultDisk = 100 << 30
	defaultRAM  = 4 << 30
	// leastTier holds a few chunks of the largest size.
	leastTier = 16 << 20
	// leastSpan is the shortest time that anything of a node repeats or waits.
	leastSpan = time.Second

	plainForm   = "plain"
	encodedForm = "encoded"
)

// agentConfig is what agent is told.
type agentConfig struct {
	config
	log  logConfig
	node nodecache.Config

	socket   string // empty is the user's
	mode     uint32 // of the socket
	listen   string // empty is no address
	admin    string // the same
	insecure bool
	access   agentAccess
	form     string
	models   []*modelConfig
	signed   string // the file of keys; empty for none
	vouched  string // the file of the token of an issuer; empty for none
}

// newAgentConfig returns the defaults.
func newAgentConfig() *agentConfig {
	c := &agentConfig{log: newLogConfig(), mode: 0o600, form: plainForm, node: nodecache.Config{
		Disk: defaultDisk, RAM: defaultRAM, Huge: true, High: nodecache.DefaultHigh, Low: nodecache.DefaultLow,
		Wait: nodecache.DefaultWait, Poll: nodecache.DefaultPoll, Heartbeat: nodecache.DefaultHeartbeat,
		Parallel: nodecache.DefaultParallel, GPUHeadroom: nodecache.DefaultGPUHeadroom, GPUSlice: nodecache.DefaultGPUSlice,
	}}
	keys := slices.Concat(c.whereKeys(), c.accessKeys(), c.trustKeys(), c.tierKeys(), c.gpuKeys(), c.timeKeys(), []*key{adminKey(&c.admin)}, c.log.keys())
	c.config = newConfig("agent", "ram: 64GiB", keys...)
	c.list = c.modelList()
	return c
}

// whereKeys say where things are.
func (c *agentConfig) whereKeys() []*key {
	address := parseURL
	return []*key{
		newKey("registry", "URL", "a URL such as "+defaultRegistry+", or none", &c.node.Registry, orNone("", address), spellNone("", asIs),
			"registry to fetch from; none serves what is on the node (default $INGOT_REGISTRY, else "+defaultRegistry+")"),
		newKey("data", "DIR", "the path of a folder, without ~", &c.node.Data, parsePath, asIs,
			"folder of everything the node keeps (default ingot/node in the user's data folder)"),
		newKey("socket", "PATH", "a path, without ~", &c.socket, parsePath, asIs,
			"unix socket for the programs of this machine (default ingot/agent.sock in $XDG_RUNTIME_DIR, else /run/ingot/agent.sock for root, else /tmp/ingot-UID/agent.sock)"),
		newKey("socket-mode", kindMode, "what chmod takes, such as 0660", &c.mode, parseMode, spellMode,
			"who may use the socket, as chmod has it: whoever can write to it can read every model of the node"),
		newKey("listen", "HOST:PORT", "HOST:PORT, such as 127.0.0.1:7071, or none", &c.listen, orNone("", parseAddress), spellNone("", asIs),
			"address for the same interface over TCP, without leases"),
		newKey("insecure", kindBool, "true or false", &c.insecure, parseBool, spellBool,
			"allow an address that others can reach, though they need no token, or it can be read on its way"),
		newKey("name", "NAME", "at most 64 of A-Z a-z 0-9 . _ -", &c.node.Name, parseNode, asIs,
			"what the node calls itself to the registry (default the host's name)"),
		newKey("advertise", "URL", "a URL such as http://gpu1:7071, or none", &c.node.Advertise, orNone("", address), spellNone("", asIs),
			"where others reach the address, for those who list the nodes"),
	}
}

// tierKeys say how much is kept, and how.
func (c *agentConfig) tierKeys() []*key {
	n := &c.node
	forms := []string{plainForm, encodedForm}
	const size, count, part = "a size of at least 16MiB, such as 64GiB", "a number of models, or none", "a percentage, 1 to 100"
	number := orNone(0, parseCount)
	spell := spellNone(0, digits)
	return []*key{
		newKey("disk", kindSize, size, &n.Disk, atLeast(leastTier, parseSize), spellSize,
			"most bytes on the disk"),
		newKey("ram", kindSize, size+", or none", &n.RAM, orNone(0, atLeast(leastTier, parseSize)), spellNone(0, spellSize),
			"most bytes in memory; a model that is larger streams through it"),
		newKey("disk-models", kindCount, count, &n.DiskModels, number, spell,
			"most models on the disk; none is no limit"),
		newKey("ram-models", kindCount, count, &n.RAMModels, number, spell,
			"most models in memory; none is no limit"),
		newKey("disk-form", "FORM", oneOf(forms), &c.form, parseWord(forms), asIs,
			"how chunks rest on the disk: plain, which is read faster, or encoded, which is smaller"),
		newKey("disk-high", kindCount, part, &n.High, parsePercent, digits,
			"percentage of the disk's bytes above which what was not used for the longest time is dropped"),
		newKey("disk-low", kindCount, part, &n.Low, parsePercent, digits,
			"percentage of the disk's bytes at which that stops"),
		newKey("hf-cache", "DIR", "the path of a folder, without ~", &n.Files, parsePath, asIs,
			"folder of models that are kept as files, for HF_HUB_CACHE of clients; they count in disk (default files in the folder of data)"),
		newKey("huge-pages", kindBool, "true or false", &n.Huge, parseBool, spellBool,
			"take huge pages for chunks of 2 MiB, where the agent may mount or the system has them for shared memory"),
	}
}

// timeKeys say how long and how often.
func (c *agentConfig) timeKeys() []*key {
	n := &c.node
	const span, idle = "a duration of at least 1s, such as 30s or 5m", "a duration of at least 1s, such as 1h or 7d, or none"
	some := atLeast(leastSpan, parseSpan)
	return []*key{
		newKey("wait", "DURATION", span, &n.Wait, some, spellSpan,
			"how long a lease waits for a model that is not in memory, unless it says otherwise"),
		newKey("idle-gpu", "DURATION", idle, &n.IdleGPU, orNone(0, some), spellNone(0, spellSpan),
			"how long a model that nobody uses stays on a GPU; none is for as long as there is room"),
		newKey("idle-ram", "DURATION", idle, &n.IdleRAM, orNone(0, some), spellNone(0, spellSpan),
			"how long a model that nobody uses stays in memory; none is for as long as there is room"),
		newKey("idle-disk", "DURATION", idle, &n.IdleDisk, orNone(0, some), spellNone(0, spellSpan),
			"how long a model that nobody uses stays on the disk; none is for as long as there is room"),
		newKey("poll", "DURATION", span, &n.Poll, some, spellSpan,
			"how often followed tags are looked up while the registry sends no events"),
		newKey("heartbeat", "DURATION", span+", or none", &n.Heartbeat, orNone(-1, some), spellNone(-1, spellSpan),
			"how often the node reports itself to the registry"),
		newKey("parallel", kindCount, "a number of at least 1", &n.Parallel, parseCount, digits,
			"most requests to the registry that a load makes at a time"),
	}
}

// parseURL reads the address of a server; HOST:PORT is one of HTTP.
func parseURL(text string) (string, bool) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	return text, err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func parseNode(text string) (string, bool) { return text, nodeName.MatchString(text) }

// settle replaces what depends on the process by what it means, and refuses what
// does not go together.
func (c *agentConfig) settle(p *program) error {
	if err := p.settleData("agent", "node", &c.node.Data); err != nil {
		return err
	}
	if err := c.settleRegistry(p); err != nil {
		return err
	}
	if err := c.settleAccess(p); err != nil {
		return err
	}
	if err := c.settleVouched(); err != nil {
		return err
	}
	if err := checkAdmin(c.admin, c.source("admin-listen"), c.insecure); err != nil {
		return err
	}
	if err := c.settleName(); err != nil {
		return err
	}
	if err := c.readSigned(); err != nil {
		return err
	}
	var err error
	if c.socket, err = p.settleSocket(c.socket); err != nil {
		return err
	}
	return c.checkTiers()
}

// settleRegistry takes the registry of all other commands where none is named.
func (c *agentConfig) settleRegistry(p *program) error {
	k := c.key("registry", (*key).called)
	if k.given() {
		return nil
	}
	source, text := byDefault, defaultRegistry
	if env := p.env("INGOT_REGISTRY"); env != "" {
		source, text = "environment INGOT_REGISTRY", env
	}
	if err := k.give(text, source); err != nil {
		return usagef("INGOT_REGISTRY=%.80q: %v", text, err)
	}
	return nil
}

func (c *agentConfig) settleName() error {
	if c.node.Name != "" {
		return nil
	}
	host, err := os.Hostname()
	if _, ok := parseNode(host); err != nil || !ok {
		return usagef("agent: the host's name %.80q is no name for a node: choose one with --name", cmp.Or(host, "unknown"))
	}
	c.node.Name = host
	return nil
}

// checkTiers refuses what one tier cannot be.
func (c *agentConfig) checkTiers() error {
	n := c.node
	if n.Low > n.High {
		return usagef("disk-low %d (%s) is above disk-high %d (%s)", n.Low, c.source("disk-low"), n.High, c.source("disk-high"))
	}
	if err := c.checkModels(); err != nil {
		return err
	}
	return c.checkGPU()
}

// nodeConfig returns what the node is told.
func (c *agentConfig) nodeConfig() nodecache.Config {
	n := c.node
	n.Encoded = c.form == encodedForm
	n.Models = make([]nodecache.Model, 0, len(c.models))
	for _, m := range c.models {
		n.Models = append(n.Models, m.model)
	}
	n.Version, n.MoverCommand = version, moverCommand()
	return n
}
