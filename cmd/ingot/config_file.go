package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"go.yaml.in/yaml/v4"
)

// maxConfig is the most bytes that a configuration file may have.
const maxConfig = 1 << 20

// loadFile takes what a file of YAML says.
func (c *config) loadFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return usagef("configuration: %v; name a file with --config or %s", err, configVariable)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return usagef("configuration: %v", err)
	}
	if len(text) > maxConfig {
		return usagef("configuration: %s has more than 1 MiB", shown(path))
	}
	return c.loadYAML(shown(path), text)
}

// loadYAML takes what the text of a file says, up to the first mistake. Errors
// name the place.
func (c *config) loadYAML(file string, text []byte) error {
	top, err := parseYAML(file, text)
	if err != nil || top == nil {
		return err
	}
	return c.loadMapping(file, top)
}

// loadMapping takes the keys of a mapping, up to the first mistake.
func (c *config) loadMapping(file string, top *yaml.Node) error {
	if top.Kind != yaml.MappingNode {
		return misplaced(file, top, "this is %s: want lines such as %s", kindOf(top), c.example)
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		name, value := top.Content[i], top.Content[i+1]
		if line, twice := lines[name.Value]; twice {
			return misplaced(file, name, "%.80q is given twice, first in line %d", name.Value, line)
		}
		lines[name.Value] = name.Line
		if err := c.loadPair(file, name, value); err != nil {
			return err
		}
	}
	return nil
}

// loadPair takes one key of a file.
func (c *config) loadPair(file string, name, value *yaml.Node) error {
	if name.Kind != yaml.ScalarNode {
		return misplaced(file, name, "this is %s, want a key: %s", kindOf(name), c.suggestInFile(""))
	}
	source := fmt.Sprintf("%s:%d", file, name.Line)
	if c.list != nil && name.Value == c.list.name {
		return c.list.take(file, source, value)
	}
	k := c.key(name.Value, (*key).called)
	if k == nil {
		return misplaced(file, name, "unknown key %.80q: %s", name.Value, c.suggestInFile(name.Value))
	}
	if !k.takes(value) {
		return misplaced(file, value, "%s is %s: want %s", k.name, kindOf(value), k.want)
	}
	if err := k.give(value.Value, source); err != nil {
		return misplaced(file, value, "%s %.80q: %v", k.name, value.Value, err)
	}
	return nil
}

// take takes the entries of a list.
func (l *list) take(file, source string, value *yaml.Node) error {
	if value.Kind != yaml.SequenceNode {
		return misplaced(file, value, "%s is %s: want a list", l.name, kindOf(value))
	}
	l.source = source
	return l.load(file, value.Content)
}

// takes tells whether a value in the file is of the right type for the key.
func (k *key) takes(value *yaml.Node) bool {
	if value.Kind != yaml.ScalarNode {
		return false
	}
	switch value.Tag {
	case "!!bool":
		return k.kind == kindBool
	case "!!int":
		return slices.Contains(numbers, k.kind)
	}
	return value.Tag == "!!str" && k.kind != kindBool
}

// kindOf says what a node is, for people.
func kindOf(n *yaml.Node) string {
	words := map[string]string{
		"!!map": "a mapping", "!!seq": "a list", "!!null": "empty", "!!bool": "true or false",
		"!!int": "a number", "!!float": "a number", "!!str": "a text", "!!timestamp": "a date",
	}
	if word, known := words[n.Tag]; known {
		return word
	}
	if n.Kind == yaml.AliasNode {
		return "an alias"
	}
	return fmt.Sprintf("of the type %.40q", n.Tag)
}

// parseYAML returns what the one document of a file holds, or nil for nothing.
func parseYAML(file string, text []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var first, second yaml.Node
	if err := loader.Load(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, notYAML(file, err)
	}
	if err := loader.Load(&second); err == nil {
		return nil, misplaced(file, &second, "a second document begins: want one in a file")
	} else if !errors.Is(err, io.EOF) {
		return nil, notYAML(file, err)
	}
	if len(first.Content) == 0 || first.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return first.Content[0], nil
}

// misplaced is a mistake at a place in a file.
func misplaced(file string, at *yaml.Node, format string, args ...any) error {
	return usagef("%s:%d:%d: %s", file, at.Line, at.Column, fmt.Sprintf(format, args...))
}

// notYAML says where a file stops being YAML. The reader of characters knows no
// place: what it refuses is told of the first.
func notYAML(file string, err error) error {
	line, column, what := 1, 1, err.Error()
	var at *yaml.LoadError
	if errors.As(err, &at) {
		what = at.Message
		line, column = max(line, at.Mark.Line), max(column, at.Mark.Column)
	}
	return usagef("%s:%d:%d: not YAML: %s", file, line, column, what)
}
