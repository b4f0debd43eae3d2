package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// commands lists the commands that ingot itself has, by what is typed for them.
func commands() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, cmd := range family((&program{}).root())[1:] {
		all[strings.TrimPrefix(cmd.CommandPath(), "ingot ")] = cmd
	}
	return all
}

// TestHelpNamesEveryField holds the help to the documents that commands print.
func TestHelpNamesEveryField(t *testing.T) {
	help := commands()
	for _, tc := range []struct {
		command  string
		document any
	}{
		{"push", client.Receipt{}},
		{"pull", client.Receipt{}},
		{"export", exported{}},
		{"verify", client.VerifyReceipt{}},
		{"verify", client.FolderReceipt{}},
		{"verify", openapi.VerifyReport{}},
		{"verify", openapi.BadObject{}},
		{"gc", openapi.GCReport{}},
		{"gc", openapi.GCTotal{}},
		{"doctor", registry.Examination{}},
		{"doctor", registry.Finding{}},
		{"migrate", registry.Migration{}},
		{"ls", openapi.RepoInfo{}},
		{"ls", openapi.Tag{}},
		{"ls", openapi.VersionInfo{}},
		{"nodes", openapi.NodeReport{}},
		{"nodes", openapi.NodeResident{}},
		{"nodes", openapi.TierUsage{}},
		{"show", description{}},
		{"show", manifest.View{}},
		{"show", manifest.FileView{}},
		{"show", manifest.TensorView{}},
		{"show", overlap{}},
		{"show", sharing{}},
		{"show", versionOverlap{}},
		{"diff", openapi.Diff{}},
		{"diff", openapi.DiffFiles{}},
		{"diff", openapi.DiffTensor{}},
		{"diff", difference{}},
		{"diff", changedFile{}},
		{"diff", changedTensor{}},
		{"inspect", inspection{}},
		{"inspect", typeSum{}},
		{"inspect", inspectedFile{}},
		{"inspect", inspectedChunk{}},
		{"chunk dump", dump{}},
		{"chunk dump", dumpPlane{}},
		{"tag", openapi.Tag{}},
		{"rm", removal{}},
		{"stats", openapi.Stats{}},
		{"stats", openapi.NamespaceStats{}},
		{"serve", setting{}},
		{"agent", setting{}},
		{"status", openapi.NodeStatus{}},
		{"status", openapi.RegistryState{}},
		{"status", openapi.TierUsages{}},
		{"status", openapi.TierUsage{}},
		{"status", openapi.GPUUsage{}},
		{"status", openapi.GPUDevice{}},
		{"status", openapi.ModelStatus{}},
		{"status", openapi.OldVersion{}},
		{"status", openapi.DeltaTotals{}},
		{"load", openapi.LoadReceipt{}},
		{"load", openapi.Sources{}},
		{"load", openapi.Phases{}},
		{"load", openapi.SwapReceipt{}},
		{"swap", openapi.SwapReceipt{}},
		{"unload", openapi.UnloadReceipt{}},
		{"unload", openapi.UnloadReceipt{}.Freed},
		{"pin", openapi.ModelStatus{}},
		{"unpin", openapi.ModelStatus{}},
		{"demo", demoModel{}},
	} {
		typ := reflect.TypeOf(tc.document)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name != "" && !strings.Contains(help[tc.command].Long, name) {
				t.Errorf("the help of %s does not name %s of %s", tc.command, name, typ)
			}
		}
	}
}

func TestHelpListsExitCodes(t *testing.T) {
	for typed := range commands() {
		got := call(t.Context(), nil, append(strings.Fields(typed), "--help")...)
		if got.code != exitDone || !strings.HasSuffix(got.stdout, exitHelp) || got.stderr != "" {
			t.Errorf("ingot %s --help: %+v", typed, got)
		}
	}
}
