package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// setting is the JSON document of one key.
type setting struct {
	Value  any    `json:"value"`
	Source string `json:"source"`
}

// printConfig prints what the command would run with: a file that says the same, and in
// comments who said it.
func (p *program) printConfig(c *config) error {
	if p.json {
		return p.printJSON(c.settings())
	}
	text, err := c.yaml()
	if err != nil {
		return err
	}
	p.printf("%s", text)
	return nil
}

// settings returns every key's value with its source.
func (c *config) settings() map[string]setting {
	all := make(map[string]setting, len(c.keys))
	for _, k := range c.keys {
		all[k.name] = setting{k.value(), k.source}
	}
	if c.list != nil {
		all[c.list.name] = setting{c.list.json(), c.list.source}
	}
	return all
}

// value returns the value for JSON.
func (k *key) value() any {
	text := k.get()
	switch n, err := strconv.Atoi(text); {
	case k.kind == kindBool:
		return text == "true"
	case k.kind == kindCount && err == nil:
		return n
	}
	return text
}

// yaml returns a file that says what c says. What the command finds out for itself
// is left out.
func (c *config) yaml() ([]byte, error) {
	top := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range c.keys {
		if k.get() == "" {
			continue
		}
		top.Content = append(top.Content, k.pair(k.source)...)
	}
	if c.list != nil {
		top.Content = append(top.Content, c.list.pair()...)
	}
	text, err := yaml.Dump(top, yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("print configuration: %w", err)
	}
	return append(bytes.TrimRight(text, "\n"), '\n'), nil
}

// pair returns the list as it stands in a file. An empty one is in the line of its
// name, and the comment behind both.
func (l *list) pair() []*yaml.Node {
	name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: l.name}
	entries := &yaml.Node{Kind: yaml.SequenceNode, Content: l.yaml()}
	if len(entries.Content) == 0 {
		entries.Style, entries.LineComment = yaml.FlowStyle, l.source
	} else {
		name.LineComment = l.source
	}
	return []*yaml.Node{name, entries}
}

// pair returns the key and its value as they stand in a file.
func (k *key) pair(comment string) []*yaml.Node {
	tag, text := "!!str", k.get()
	_, err := strconv.Atoi(text)
	switch {
	case k.kind == kindBool:
		tag = "!!bool"
	case err == nil && slices.Contains(numbers, k.kind):
		tag = "!!int"
	}
	return []*yaml.Node{
		{Kind: yaml.ScalarNode, Tag: "!!str", Value: k.name},
		{Kind: yaml.ScalarNode, Tag: tag, Value: text, LineComment: comment},
	}
}
