package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

//go:generate go test -run ^TestReference$ -update

var update = flag.Bool("update", false, "write docs/cli.md instead of comparing")

// TestReference holds docs/cli.md to the help of the program.
func TestReference(t *testing.T) {
	got := reference()
	path := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/cli.md is not what the help says: run go generate ./cmd/ingot")
	}
}

// commands lists the commands that ingot itself has.
func commands() []*cobra.Command {
	root := (&program{}).root()
	return root.Commands()
}

func reference() []byte {
	root := (&program{}).root()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Commands\n\nThis page is made from the help of the program: `go generate ./cmd/ingot`.\n\n%s\n\n", root.Long)
	fmt.Fprintf(&b, "With `--json` a command prints one JSON document; fields are added, never renamed.\nSizes are in bytes. A failure is then one line of JSON on standard error,\n`{\"error\":{\"code\",\"message\",\"exit\"}}`.\n\n")
	fmt.Fprintf(&b, "## Exit codes\n\n```\n%s```\n\n", strings.TrimPrefix(exitHelp, "Exit codes:\n"))
	fmt.Fprintf(&b, "## Flags of every command\n\n```\n%s```\n", root.PersistentFlags().FlagUsages())
	for _, cmd := range root.Commands() {
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

// TestHelpNamesEveryField holds the help to the documents that commands print.
func TestHelpNamesEveryField(t *testing.T) {
	help := map[string]string{}
	for _, cmd := range commands() {
		help[cmd.Name()] = cmd.Long
	}
	for _, tc := range []struct {
		command  string
		document any
	}{
		{"push", client.Receipt{}},
		{"pull", client.Receipt{}},
		{"verify", client.VerifyReceipt{}},
		{"verify", client.FolderReceipt{}},
		{"ls", openapi.RepoInfo{}},
		{"ls", openapi.Tag{}},
		{"ls", openapi.VersionInfo{}},
		{"show", description{}},
		{"show", manifest.View{}},
		{"show", manifest.FileView{}},
		{"show", manifest.TensorView{}},
		{"show", overlap{}},
		{"show", sharing{}},
		{"diff", openapi.Diff{}},
		{"diff", openapi.DiffFiles{}},
		{"diff", openapi.DiffTensor{}},
		{"tag", openapi.Tag{}},
		{"rm", removal{}},
		{"stats", openapi.Stats{}},
		{"stats", openapi.NamespaceStats{}},
		{"demo", demoModel{}},
	} {
		typ := reflect.TypeOf(tc.document)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name != "" && !strings.Contains(help[tc.command], name) {
				t.Errorf("the help of %s does not name %s of %s", tc.command, name, typ)
			}
		}
	}
}

func TestHelpListsExitCodes(t *testing.T) {
	for _, cmd := range commands() {
		got := call(t.Context(), nil, cmd.Name(), "--help")
		if got.code != exitDone || !strings.HasSuffix(got.stdout, exitHelp) || got.stderr != "" {
			t.Errorf("ingot %s --help: %+v", cmd.Name(), got)
		}
	}
}
