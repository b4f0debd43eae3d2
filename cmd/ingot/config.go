package main

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"
)

// configVariable names the file in the environment.
const configVariable = "INGOT_CONFIG"

// config is what a command that runs for long is told. A key has one name
// everywhere: as a flag, in the file, and as a variable.
type config struct {
	command string // or what of a file it is
	example string // a line that such a file has
	keys    []*key // in the order in which people see them
	list    *list  // what only a file can say; nil for nothing
}

// list is a list of a file.
type list struct {
	name, usage string
	source      string // of the entries
	load        func(file string, entries []*yaml.Node) error
	yaml        func() []*yaml.Node
	json        func() any
}

// newConfig returns the config of a command.
func newConfig(command, example string, keys ...*key) config {
	for _, k := range keys {
		k.variable = variables(command) + strings.ToUpper(strings.ReplaceAll(k.name, "-", "_"))
	}
	return config{command: command, example: example, keys: keys}
}

// variables begins the name of every variable that is a key of a command.
func variables(command string) string { return "INGOT_" + strings.ToUpper(command) + "_" }

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

// source says who set the key.
func (c *config) source(name string) string { return c.key(name, (*key).called).source }

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

// suggestInFile is suggest for a name in a file.
func (c *config) suggestInFile(name string) string {
	if c.list != nil {
		return c.suggest(name, (*key).called, c.list.name)
	}
	return c.suggest(name, (*key).called)
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
		if !strings.HasPrefix(name, variables(c.command)) {
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
	spell := func(k *key) string { return k.variable }
	k := c.key(name, spell)
	if k == nil {
		return usagef("unknown variable %.80q in the environment: %s", name, c.suggest(name, spell, configVariable))
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

// reachable tells an address that others can reach.
func reachable(listen string) (bool, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false, usagef("listen %.80q: %v", listen, err)
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback()), nil
}
