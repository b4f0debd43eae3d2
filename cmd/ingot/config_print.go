package main

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// setting is the JSON document of one key.
type setting struct {
	Value  any    `json:"value"`
	Source string `json:"source"`
}

// printConfig prints what serve would run with: a file that says the same, and in
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
		s := setting{k.get(), k.source}
		if k.kind == kindBool {
			s.Value = k.get() == "true"
		}
		all[k.name] = s
	}
	return all
}

// yaml returns a file that says what c says.
func (c *config) yaml() ([]byte, error) {
	top := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range c.keys {
		tag := "!!str"
		if k.kind == kindBool {
			tag = "!!bool"
		}
		top.Content = append(top.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: k.name},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: k.get(), LineComment: k.source})
	}
	text, err := yaml.Dump(top, yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("print configuration: %w", err)
	}
	return text, nil
}
