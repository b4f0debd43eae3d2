package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:generate go test -run ^TestReference$ -update

var update = flag.Bool("update", false, "write the pages of docs/reference instead of comparing")

// TestReference holds docs/reference to the program: every page is made of its
// help, and no page is left of what it no longer has.
func TestReference(t *testing.T) {
	root := filepath.Join("..", "..", "docs", "reference")
	pages := reference(t)
	if *update {
		writePages(t, root, pages)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/reference/%s is not what the program says (%v): run go generate ./cmd/ingot", name, err)
		}
	}
	made, err := filepath.Glob(filepath.Join(root, "man", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range made {
		if _, ok := pages["man/"+filepath.Base(path)]; !ok {
			t.Errorf("%s describes what the program does not have: remove it", path)
		}
	}
}

func writePages(t *testing.T, root string, pages map[string][]byte) {
	if err := os.MkdirAll(filepath.Join(root, "man"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(root, name), page, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// reference returns the pages of docs/reference that are made of the program.
func reference(t *testing.T) map[string][]byte {
	root := (&program{}).root()
	pages := map[string][]byte{"cli.md": commandPage(root), "config.md": configPage(t)}
	for _, cmd := range family(root) {
		pages["man/"+manName(cmd)+".1"] = manPage(cmd)
	}
	return pages
}

// family returns cmd and all commands below it that people see.
func family(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			all = append(all, family(below)...)
		}
	}
	return all
}

// commandPage is cli.md.
func commandPage(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Commands\n\nThis page is made from the help of the program: `go generate ./cmd/ingot`.\n\n%s\n\n", root.Long)
	fmt.Fprintf(&b, "With `--json` a command prints one JSON document; fields are added, never renamed.\nSizes are in bytes. A failure is then one line of JSON on standard error,\n`{\"error\":{\"code\",\"message\",\"exit\"}}`.\n\n")
	fmt.Fprintf(&b, "## Exit codes\n\n```\n%s```\n\n", strings.TrimPrefix(exitHelp, "Exit codes:\n"))
	fmt.Fprintf(&b, "## Flags of every command\n\n```\n%s```\n", root.PersistentFlags().FlagUsages())
	for _, cmd := range family(root)[1:] {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n```\n%s\n\n%s\n", cmd.CommandPath(), cmd.Short, cmd.UseLine(), cmd.Long)
		if flags := cmd.LocalNonPersistentFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(&b, "\n%s", flags)
		}
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\n%s\n", cmd.Example)
		}
		fmt.Fprintf(&b, "```\n")
	}
	return b.Bytes()
}

// manName is what a command's page is called.
func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage is the page of a command for man(1). It has no date, so that it is the
// same whenever it is made.
func manPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	name := manName(cmd)
	fmt.Fprintf(&b, ".TH %s 1 \"\" ingot \"Commands of ingot\"\n", roff(strings.ToUpper(name)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(lowerFirst(cmd.Short)))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", roff(cmd.Long))
	manFlags(&b, "OPTIONS", cmd.NonInheritedFlags())
	manFlags(&b, "OPTIONS OF EVERY COMMAND", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	fmt.Fprintf(&b, ".SH EXIT STATUS\n.nf\n%s.fi\n", roff(strings.TrimPrefix(exitHelp, "Exit codes:\n")))
	if also := seeAlso(cmd); also != "" {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", also)
	}
	return b.Bytes()
}

func manFlags(b *bytes.Buffer, title string, flags *pflag.FlagSet) {
	if flags.HasAvailableFlags() {
		fmt.Fprintf(b, ".SH %s\n", title)
	}
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(flag)
		called := "\\fB" + roff("--"+flag.Name) + "\\fR"
		if flag.Shorthand != "" {
			called = "\\fB" + roff("-"+flag.Shorthand) + "\\fR, " + called
		}
		if value != "" {
			called += " \\fI" + roff(value) + "\\fR"
		}
		if initial := flag.DefValue; !slices.Contains([]string{"", "0", "0s", "[]", "false"}, initial) {
			usage += " (default " + initial + ")"
		}
		fmt.Fprintf(b, ".TP\n%s\n%s\n", called, roff(usage))
	})
}

// seeAlso names the pages of the commands above and below, or else beside.
func seeAlso(cmd *cobra.Command) string {
	near := map[string]bool{}
	for _, other := range append(cmd.Commands(), cmd.Parent()) {
		if other != nil && (other == cmd.Parent() || other.IsAvailableCommand()) {
			near[".BR "+roff(manName(other))+" (1)"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(near)), ",\n")
}

// roff makes text safe for a man page: nothing in it is a request or an escape, and
// a hyphen is one that can be searched for and copied.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		"a-b":       `a\-b`,
		"...\nb":    `\&...` + "\nb",
		"a\n'b\n.c": "a\n\\&'b\n\\&.c",
		`C:\n`:      `C:\en`,
		"größer":    "größer",
	} {
		if got := roff(text); got != want {
			t.Errorf("%q in a man page is %q, want %q", text, got, want)
		}
	}
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
