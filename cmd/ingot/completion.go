package main

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) completionCommand() *cobra.Command {
	shells := map[string]func(*cobra.Command, io.Writer) error{
		"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        (*cobra.Command).GenZshCompletion,
		"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
	}
	names := slices.Sorted(maps.Keys(shells))
	return &cobra.Command{
		Use:   "completion bash|fish|powershell|zsh",
		Short: "Print a script that lets a shell complete commands, flags and REFs",
		Long: `Completion prints a script for a shell. Once that has read it, the tab key
completes commands, flags, files and folders, and the repositories and tags of the
registry if it answers within a second. The one for bash needs the package
bash-completion.

With --json it prints:
  shell, script`,
		Example: `  source <(ingot completion bash)
  ingot completion zsh > "${fpath[1]}/_ingot"
  ingot completion fish > ~/.config/fish/completions/ingot.fish`,
		ValidArgs: names,
		Args:      want(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			generate, ok := shells[args[0]]
			if !ok {
				return usagef("completion: no script for %.40q: want %s", args[0], strings.Join(names, ", "))
			}
			var script bytes.Buffer
			if err := generate(cmd.Root(), &script); err != nil {
				return err
			}
			if p.json {
				return p.printJSON(map[string]string{"shell": args[0], "script": script.String()})
			}
			_, err := p.stdout.Write(script.Bytes())
			return err
		},
	}
}
