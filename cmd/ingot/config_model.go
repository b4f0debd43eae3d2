package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// modelConfig is an entry of the models that a file names.
type modelConfig struct {
	config
	model  nodecache.Model
	place  string // in the file, for people
	signed string // the file of SignedBy; empty for none
}

// newModelConfig returns an entry that says nothing.
func newModelConfig() *modelConfig {
	m := &modelConfig{}
	tiers := []string{none, "disk", "ram", "gpu"}
	const span = "a duration of at least 1s, such as 1h or 7d, or none"
	idle := orNone(-1, atLeast(leastSpan, parseSpan))
	m.config = newConfig("models", "- ref: acme/llama:prod",
		newKey("ref", "REF", "namespace/name[:tag] or namespace/name@digest", &m.model.Ref, parseModel, spellModel,
			"the version to keep"),
		newKey("match", "PATTERN", "namespace/* or *", &m.model.Match, parsePattern, asIs,
			"instead of ref: all tags of a namespace are offered, and come when they are asked for"),
		newKey("tier", "TIER", oneOf(tiers), &m.model.Tier, parseTier(tiers), openapi.Tier.String,
			"where it should be at all times; none, which holds if nothing is said, waits until it is asked for"),
		newKey("device", "UUID", wantDevice, &m.model.Device, parseDevice, asIs,
			"the GPU for the tier gpu; without, the one with the most room"),
		newKey("keep", "FORM", oneOf(keepForms), &m.model.Files, parseKeep, spellKeep,
			"files also keeps it as files in hf-cache, for engines that open paths; with the tier none, as nothing else"),
		newKey("signed-by", "FILE", wantKeys, &m.signed, parsePath, asIs,
			"as the key of all models, for all of the repository that ref is of, or of the namespace that match names"),
		newKey("watch", kindBool, "true or false", &m.model.Watch, parseBool, spellBool,
			"follow the tag: a new version is brought in whole and then served in place of the old one"),
		newKey("pin", kindBool, "true or false", &m.model.Pin, parseBool, spellBool,
			"keep it in its tier whatever else wants the room"),
		newKey("idle-gpu", "DURATION", span, &m.model.IdleGPU, idle, spellNone(-1, spellSpan),
			"as the key of all models, for this one"),
		newKey("idle-ram", "DURATION", span, &m.model.IdleRAM, idle, spellNone(-1, spellSpan),
			"as the key of all models, for this one"),
		newKey("idle-disk", "DURATION", span, &m.model.IdleDisk, idle, spellNone(-1, spellSpan),
			"as the key of all models, for this one"),
	)
	return m
}

// keepForms are the forms in which a model can be kept.
var keepForms = []string{"chunks", "files"}

func parseKeep(text string) (files, ok bool) {
	word, ok := parseWord(keepForms)(text)
	return word == "files", ok
}

func spellKeep(files bool) string {
	if files {
		return "files"
	}
	return "chunks"
}

func parseModel(text string) (name.Ref, bool) {
	ref, err := name.ParseRef(text)
	return ref, err == nil
}

func spellModel(ref name.Ref) string {
	if ref == (name.Ref{}) {
		return ""
	}
	return ref.String()
}

// parsePattern reads a namespace with a star, or the star of all.
func parsePattern(text string) (string, bool) {
	if text == "*" {
		return text, true
	}
	namespace, found := strings.CutSuffix(text, "/*")
	return text, found && namespace != "" && checkNamespace(namespace) == nil
}

func parseTier(known []string) func(string) (openapi.Tier, bool) {
	word := parseWord(known)
	return func(text string) (openapi.Tier, bool) {
		spelt, ok := word(text)
		if !ok {
			return 0, false
		}
		tier, err := openapi.ParseTier(spelt)
		return tier, err == nil
	}
}

// modelList is the models of a file.
func (c *agentConfig) modelList() *list {
	return &list{
		name: "models", source: byDefault,
		usage: "the models that the node keeps, and those that it offers",
		load:  c.loadModels,
		yaml: func() []*yaml.Node {
			entries := make([]*yaml.Node, 0, len(c.models))
			for _, m := range c.models {
				entries = append(entries, m.yaml())
			}
			return entries
		},
		json: func() any {
			entries := make([]map[string]any, 0, len(c.models))
			for _, m := range c.models {
				entries = append(entries, m.json())
			}
			return entries
		},
	}
}

// loadModels takes the entries, up to the first mistake.
func (c *agentConfig) loadModels(file string, entries []*yaml.Node) error {
	seen := map[string]int{}
	for _, entry := range entries {
		m := newModelConfig()
		if err := m.loadMapping(file, entry); err != nil {
			return err
		}
		if wrong := m.check(); wrong != "" {
			return misplaced(file, entry, "%s", wrong)
		}
		what := m.called()
		if line, twice := seen[what]; twice {
			return misplaced(file, entry, "%s is given twice, first in line %d", what, line)
		}
		seen[what] = entry.Line
		m.place = fmt.Sprintf("%s:%d", file, entry.Line)
		c.models = append(c.models, m)
	}
	return nil
}

// called is what the entry is about.
func (m *modelConfig) called() string {
	if m.model.Match != "" {
		return m.model.Match
	}
	return spellModel(m.model.Ref)
}

// check says what does not go together, or nothing.
func (m *modelConfig) check() string {
	byRef, byMatch := m.model.Ref != name.Ref{}, m.model.Match != ""
	switch {
	case byRef == byMatch:
		return "a model has either a ref or a match"
	case byMatch && (m.model.Tier != openapi.TierNone || m.model.Pin || m.model.Files):
		return m.called() + ": what matches comes when it is asked for: tier, keep and pin go with a ref"
	case m.model.Device != "" && m.model.Tier != openapi.TierGPU:
		return m.called() + ": device goes with the tier gpu"
	case m.model.Watch && !m.model.Ref.Digest.IsZero():
		return m.called() + ": a version does not move: watch goes with a tag"
	case m.model.Pin && m.model.Tier == openapi.TierNone && !m.model.Files:
		return m.called() + ": pin keeps a model in its tier: say which"
	}
	return ""
}

// checkModels refuses models in a tier that the node does not have.
func (c *agentConfig) checkModels() error {
	for _, m := range c.models {
		if m.model.Tier == openapi.TierRAM && c.node.RAM == 0 {
			return usagef("%s: %s should be in memory, and ram is none (%s)", m.place, m.called(), c.source("ram"))
		}
	}
	return nil
}

// yaml returns the entry with what it says.
func (m *modelConfig) yaml() *yaml.Node {
	entry := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range m.keys {
		if k.given() {
			entry.Content = append(entry.Content, k.pair("")...)
		}
	}
	return entry
}

// json returns the entry with what it says.
func (m *modelConfig) json() map[string]any {
	entry := map[string]any{}
	for _, k := range m.keys {
		if k.given() {
			entry[k.name] = k.value()
		}
	}
	return entry
}
