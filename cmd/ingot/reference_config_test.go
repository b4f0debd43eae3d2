package main

import (
	"bytes"
	"fmt"
	"testing"

	"go.yaml.in/yaml/v4"
)

// configPage is config.md.
func configPage(t *testing.T) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Configuration of ingot serve and ingot agent

This page is made from the program: `+"`go generate ./cmd/ingot`"+`.

A key has one name in three places, and goes by the first that says something:

 1. a flag of the command,
 2. a variable of the environment; an empty one says nothing,
 3. one YAML file, which `+"`--config FILE`"+` names, or else the variable `+"`%s`"+`,

and else by its default. A file has at most 1 MiB and one document, and nothing in
it but the keys of its command. An unknown key or variable, a key given twice and a
value of the wrong type end the program with exit code 2 before anything is opened,
and with one line that names the place, even where another source decides.

A size is a number of bytes or has a unit: KiB, MiB, GiB, TiB count in 1024, and
KB, MB, GB, TB in 1000. A duration has the units h, m, s and, first, d. A path that
is not absolute begins in the folder in which the program is started, wherever the
file lies.

With `+"`log-format: json`"+` standard error holds one JSON object on a line and nothing
else, with the keys time, level and msg first; durations are in seconds. If the
program fails, the last line says "ingot failed", with err, code and exit. Only a
flag that does not exist is told as by every command: in text, or with `+"`--json`"+` in
JSON.

`+"`--print-config`"+` opens nothing and prints a file with every key: what would hold,
and in comments who said so. As a check of a configuration its exit code is enough.
With `+"`--json`"+` it prints value and source of each key.
`, configVariable)
	serve, agent := exampleServe(t), exampleAgent(t)
	for _, c := range []*config{&serve.config, &agent.config} {
		fmt.Fprintf(&b, "\n## ingot %s\n", c.command)
		writeKeys(&b, c.command)
		writeExample(t, &b, c)
	}
	return b.Bytes()
}

// writeKeys writes what there is to say of the keys of a command.
func writeKeys(b *bytes.Buffer, command string) {
	c := &newServeConfig().config
	if command == "agent" {
		c = &newAgentConfig().config
	}
	fmt.Fprintf(b, "\n| key | flag | variable | value | default |\n|---|---|---|---|---|\n")
	for _, k := range c.keys {
		initial := "`" + k.get() + "`"
		if k.get() == "" || k.name == "registry" {
			initial = "see below"
		}
		fmt.Fprintf(b, "| `%s` | `--%s` | `%s` | %s | %s |\n", k.name, k.name, k.variable, k.want, initial)
	}
	fmt.Fprintf(b, "\n")
	for _, k := range c.keys {
		fmt.Fprintf(b, "- `%s`: %s\n", k.name, k.usage)
	}
	if c.list != nil {
		writeList(b, c.list)
	}
}

// writeList writes what the entries of the models are.
func writeList(b *bytes.Buffer, l *list) {
	fmt.Fprintf(b, "\nThe list `%s`, which only a file can give, says %s. Every entry has\neither a `ref` or a `match`:\n\n", l.name, l.usage)
	for _, k := range newModelConfig().keys {
		fmt.Fprintf(b, "- `%s` (%s): %s\n", k.name, k.want, k.usage)
	}
}

// writeExample writes a file with every key.
func writeExample(t *testing.T, b *bytes.Buffer, c *config) {
	for _, k := range c.keys {
		k.source = ""
	}
	if c.list != nil {
		c.list.source = ""
	}
	text, err := c.yaml()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "\n```yaml\n%s```\n", text)
}

func exampleServe(t *testing.T) *serveConfig {
	c := newServeConfig()
	setKeys(t, &c.config, [][2]string{
		{"data", "/srv/ingot"}, {"memory", "1GiB"}, {"push-ttl", "3d"}, {"reserve", "50GiB"}, {"log-format", "json"},
	})
	return c
}

func exampleAgent(t *testing.T) *agentConfig {
	c := newAgentConfig()
	setKeys(t, &c.config, [][2]string{
		{"registry", "http://registry:7070"}, {"data", "/var/lib/ingot"}, {"socket", "/run/ingot/agent.sock"},
		{"socket-mode", "0666"}, {"listen", "127.0.0.1:7071"}, {"name", "gpu1"}, {"disk", "2TiB"}, {"ram", "256GiB"}, {"gpu", "100GiB"},
		{"idle-ram", "30m"}, {"idle-disk", "14d"}, {"log-format", "json"},
	})
	const models = `[{ref: "acme/llama:prod", tier: ram, watch: true, pin: true},
		{ref: "acme/chat", tier: gpu}, {ref: "acme/embed", tier: disk, idle-ram: 5m}, {match: acme/*, watch: true}]`
	var n yaml.Node
	if err := yaml.Load([]byte(models), &n); err != nil {
		t.Fatal(err)
	}
	if err := c.loadModels("", n.Content[0].Content); err != nil {
		t.Fatal(err)
	}
	return c
}

func setKeys(t *testing.T, c *config, values [][2]string) {
	t.Helper()
	for _, set := range values {
		if err := c.key(set[0], (*key).called).give(set[1], ""); err != nil {
			t.Fatal(err)
		}
	}
}
