package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/name"
)

// program is one run of ingot: what it sees of the world, and the flags that all
// commands share.
type program struct {
	environ        []string // entries such as KEY=VALUE
	stdout, stderr io.Writer
	logger         *slog.Logger // tells of the failure; nil where people read it

	registry string
	timeout  time.Duration
	json     bool
	quiet    bool
}

const (
	defaultRegistry = "http://127.0.0.1:7070"
	// firstContact is how long a registry that was never reached is tried: long
	// enough for one that restarts, short enough for a misspelt address.
	firstContact = 5 * time.Second
)

// run runs the command line args and returns the exit code. It returns soon after
// ctx ends.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	out := &answer{Writer: stdout}
	p := &program{environ: environ, stdout: out, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	err := p.execute(ctx, root, args)
	if err == nil && out.err != nil {
		err = fmt.Errorf("write to standard output: %w", out.err)
	}
	if err != nil {
		// Flags behind a wrong one are not read.
		p.json = p.json || slices.Contains(args, "--json")
		return p.fail(ctx, err)
	}
	return exitDone
}

// root returns the command tree.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ingot",
		Short: "A registry for models that stores and moves only what is new",
		Long: `Ingot keeps versions of models. What a version shares with others is stored
once, sent once and pulled once, and every file comes back byte for byte.

A REF names a version: namespace/name:tag, or namespace/name@digest.
Without a tag it means ` + name.DefaultTag + `.`,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetUsageTemplate(root.UsageTemplate() + "\n" + exitHelp)
	root.SetFlagErrorFunc(wrongFlag)
	flags := root.PersistentFlags()
	flags.StringVar(&p.registry, "registry", "", "`URL` or host:port of the registry (default $INGOT_REGISTRY, else "+defaultRegistry+")")
	flags.DurationVar(&p.timeout, "timeout", 0, "give up on a registry that does not answer for so long (default 5s, and 1m once a push or pull is under way), or on an agent (default 10s)")
	flags.BoolVar(&p.json, "json", false, "print one JSON document, and errors as JSON")
	flags.BoolVarP(&p.quiet, "quiet", "q", false, "show no progress")
	p.completeFlags(root, flags)
	p.addCommands(root)
	return root
}

// addCommands adds every command to its group in the help.
func (p *program) addCommands(root *cobra.Command) {
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Move models:", []*cobra.Command{p.pushCommand(), p.pullCommand(), p.materializeCommand(), p.verifyCommand(), p.importCommand(), p.exportCommand()}},
		{"Look:", []*cobra.Command{p.lsCommand(), p.showCommand(), p.logCommand(), p.diffCommand(), p.statsCommand(), p.nodesCommand(), p.inspectCommand(), p.chunkCommand()}},
		{"Name and remove:", []*cobra.Command{p.tagCommand(), p.protectCommand(), p.signCommand(), p.verifySignatureCommand(), p.rmCommand(), p.retentionCommand(), p.quotaCommand(), p.gcCommand(), p.compactCommand()}},
		{"Keep models on this machine:", []*cobra.Command{p.statusCommand(), p.loadCommand(), p.swapCommand(), p.unloadCommand(), p.pinCommand(), p.unpinCommand()}},
		{"Say who asks:", []*cobra.Command{p.loginCommand(), p.logoutCommand(), p.whoamiCommand(), p.tokenCommand()}},
		{"Run:", []*cobra.Command{p.serveCommand(), p.pingCommand(), p.doctorCommand(), p.migrateCommand(), p.agentCommand(), p.gateCommand(), p.demoCommand(), p.completionCommand(), p.versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, cmd := range group.commands {
			cmd.GroupID = group.title
			cmd.DisableFlagsInUseLine = true
			root.AddCommand(cmd)
			for _, sub := range append(cmd.Commands(), cmd) {
				p.completeFlags(sub, sub.LocalFlags())
			}
		}
	}
	root.AddCommand(p.moverCommand())
	root.SetHelpCommandGroupID("Run:")
	root.SetHelpCommand(helpCommand())
}

// unknownCommand refuses whatever is no command, and says what was meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	for distance := 1; distance <= 2; distance++ {
		cmd.SuggestionsMinimumDistance = distance
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			return usagef("unknown command %q; did you mean %s?", args[0], strings.Join(like, " or "))
		}
	}
	return usagef("unknown command %q; see %s --help", args[0], cmd.CommandPath())
}

// helpCommand is cobra's, but for a command that is not there.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		Long:  "Help prints what COMMAND does, as COMMAND --help does.",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(about, rest)
			}
			return about.Help()
		},
	}
}

// wrongFlag says what is wrong with a flag, and what may have been meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return unknownCommand(cmd, words) // its flags cannot be known either
	}
	var like []string
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := unknown.GetSpecifiedName()
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if len(name) > 1 && (strings.HasPrefix(f.Name, name) || strings.HasPrefix(name, f.Name)) {
				like = append(like, "--"+f.Name)
			}
		})
	}
	if len(like) > 0 {
		return usagef("%v; did you mean %s?", err, strings.Join(like, " or "))
	}
	return usagef("%v; see %s --help", err, cmd.CommandPath())
}

// want accepts from least to most arguments.
func want(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		return usagef("%s: %s; usage: %s", cmd.Name(), count(len(args), "argument"), cmd.UseLine())
	}
}

// parseRef reads a REF, and says what a wrong one lacks.
func parseRef(s string) (name.Ref, error) {
	ref, err := name.ParseRef(s)
	repo, digest, pinned := strings.Cut(s, "@")
	switch {
	case err == nil:
		return ref, nil
	case strings.Contains(s, "://"):
		return ref, fmt.Errorf("%w; a REF has no address, --registry names that", err)
	case !strings.Contains(s, "/"):
		return ref, fmt.Errorf("%w, such as acme/%s", err, cmp.Or(strings.Trim(s, ".-_"), "llama"))
	case pinned && digest != "" && len(digest) < 64:
		return ref, fmt.Errorf("%w; \"ingot ls %s --json\" has digests whole", err, repo)
	case !strings.Contains(err.Error(), "namespace/name"):
		return ref, fmt.Errorf("%w (a REF is namespace/name[:tag] or namespace/name@digest)", err)
	}
	return ref, err
}

// connect returns a client for short calls.
func (p *program) connect() (*client.Registry, error) { return p.dial(firstContact) }

// connectLong returns a client for a transfer. It asks first whether the registry
// is there, so that a misspelt address does not cost the patience that a transfer
// under way deserves.
func (p *program) connectLong(ctx context.Context) (*client.Registry, error) {
	r, err := p.dial(firstContact)
	if err != nil {
		return nil, err
	}
	if _, err := r.Health(ctx); err != nil {
		return nil, err
	}
	return p.dial(client.DefaultPatience)
}

// address returns where the registry is: what is given, or else what --registry or
// INGOT_REGISTRY say.
func (p *program) address(given string) string {
	base := cmp.Or(given, p.registry, p.env("INGOT_REGISTRY"), defaultRegistry)
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return base
}

// dial returns a client that is as patient as asked for, or as --timeout says.
func (p *program) dial(patience time.Duration) (*client.Registry, error) {
	base := p.address("")
	o, _, err := p.shows(base)
	if err != nil {
		return nil, err
	}
	return p.dialWith(base, o, patience)
}

// dialWith is dial for a registry that is shown what o says.
func (p *program) dialWith(base string, o client.Options, patience time.Duration) (*client.Registry, error) {
	if p.timeout < 0 {
		return nil, usagef("--timeout %s: want a duration above zero, such as 10s", p.timeout)
	}
	if p.timeout > 0 {
		patience = p.timeout
	}
	o.Patience = patience
	r, err := client.New(base, o)
	if err != nil {
		return nil, usagef("%v; set it with --registry or INGOT_REGISTRY", err)
	}
	return r, nil
}

// env returns the value of a variable, or "".
func (p *program) env(name string) string {
	for _, entry := range p.environ {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value
		}
	}
	return ""
}

// folder returns a folder of the user's own for ingot: below what the variable
// xdg names, or else below the home folder.
func (p *program) folder(xdg, below string) (string, error) {
	if dir := p.env(xdg); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ingot"), nil
	}
	if home := p.env("HOME"); home != "" {
		return filepath.Join(home, below, "ingot"), nil
	}
	return "", errors.New("neither " + xdg + " nor HOME is set")
}

// cacheFolder returns the folder for what can be lost without harm.
func (p *program) cacheFolder() (string, error) { return p.folder("XDG_CACHE_HOME", ".cache") }
