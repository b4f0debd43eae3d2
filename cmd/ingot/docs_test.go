package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// commands lists the commands that ingot itself has.
func commands() []*cobra.Command {
	root := (&program{}).root()
	return root.Commands()
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
		{"serve", setting{}},
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
