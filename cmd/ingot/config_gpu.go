package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
)

// leastSlice is the shortest time that a client gets a GPU for.
const leastSlice = time.Millisecond

// gpuKeys say what is kept on GPUs.
func (c *agentConfig) gpuKeys() []*key {
	n := &c.node
	return []*key{
		newKey("gpu", kindBudgets, "a size of at least 16MiB, such as 60GiB, for every GPU, or UUID=SIZE for one, separated by commas, or none",
			&n.GPU, orNone(nil, parseBudgets), spellBudgets,
			"most bytes on GPUs: SIZE on each, or UUID=SIZE on one; none uses no GPU"),
		newKey("gpu-headroom", kindSize, "a size such as 2GiB, or none", &n.GPUHeadroom, orNone(0, parseSize), spellNone(0, spellSize),
			"bytes of each GPU that are left to others: engines, their caches"),
		newKey("gpu-slice", "DURATION", "a duration of at least 1ms, such as 2s", &n.GPUSlice, atLeast(leastSlice, parseSpan), spellSpan,
			"how long who gives its room to others has a GPU before it is asked to"),
	}
}

// deviceName is a GPU's UUID as nvidia-smi spells it; that of a slice of one begins
// with MIG there.
var deviceName = regexp.MustCompile(`^(?:(?:gpu|mig)-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

const wantDevice = `a GPU's UUID as "ingot status" and nvidia-smi -L have it`

// parseDevice reads a UUID and spells it as the agent does.
func parseDevice(text string) (string, bool) {
	parts := deviceName.FindStringSubmatch(strings.ToLower(text))
	if parts == nil {
		return "", false
	}
	return "GPU-" + parts[1], true
}

// parseBudgets reads sizes with commas between them, at most one of which is of no
// GPU in particular.
func parseBudgets(text string) (list []nodecache.GPUBudget, ok bool) {
	for item := range strings.SplitSeq(text, ",") {
		b, ok := parseBudget(strings.TrimSpace(item))
		if !ok || slices.ContainsFunc(list, func(o nodecache.GPUBudget) bool { return o.UUID == b.UUID }) {
			return nil, false
		}
		list = append(list, b)
	}
	return list, true
}

func parseBudget(text string) (b nodecache.GPUBudget, ok bool) {
	size := text
	if uuid, rest, found := strings.Cut(text, "="); found {
		if b.UUID, ok = parseDevice(uuid); !ok {
			return b, false
		}
		size = rest
	}
	b.Bytes, ok = atLeast(leastTier, parseSize)(size)
	return b, ok
}

func spellBudgets(list []nodecache.GPUBudget) string {
	if len(list) == 0 {
		return none
	}
	spelt := make([]string, len(list))
	for i, b := range list {
		spelt[i] = spellSize(b.Bytes)
		if b.UUID != "" {
			spelt[i] = b.UUID + "=" + spelt[i]
		}
	}
	return strings.Join(spelt, ",")
}

// checkGPU refuses what cannot be of GPUs.
func (c *agentConfig) checkGPU() error {
	if len(c.node.GPU) > 0 && c.node.RAM == 0 {
		return usagef("gpu is %s (%s), and ram is none (%s): a model comes to a GPU from memory", spellBudgets(c.node.GPU), c.source("gpu"), c.source("ram"))
	}
	for _, m := range c.models {
		if m.model.Tier != openapi.TierGPU {
			continue
		}
		if len(c.node.GPU) == 0 {
			return usagef("%s: %s should be on a GPU, and gpu is none (%s)", m.place, m.called(), c.source("gpu"))
		}
		if m.model.Device != "" && !c.uses(m.model.Device) {
			return usagef("%s: %s should be on %s, which gpu (%s) gives no budget", m.place, m.called(), m.model.Device, c.source("gpu"))
		}
	}
	return nil
}

// uses reports whether a GPU has a budget.
func (c *agentConfig) uses(device string) bool {
	return slices.ContainsFunc(c.node.GPU, func(b nodecache.GPUBudget) bool { return b.UUID == "" || b.UUID == device })
}

// moverCommand is how the agent runs the process that drives a GPU: this program.
func moverCommand() []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0] // found once already
	}
	return []string{self, "mover"}
}
