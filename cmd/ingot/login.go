package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/credentials"
	"github.com/ingot-ml/ingot/openapi"
)

// loginFlags are what login is told beside the registry.
type loginFlags struct {
	stdin     bool
	file      string
	oidc      string // file of the token of an issuer
	insecure  bool
	authority string
}

// loggedIn is the JSON document of login, and most of that of whoami.
type loggedIn struct {
	Registry string     `json:"registry"`
	Access   string     `json:"access"`
	Subject  string     `json:"subject"`
	Scopes   []string   `json:"scopes"`
	Token    string     `json:"token"`
	Expires  *time.Time `json:"expires,omitempty"`
	From     string     `json:"from"`
}

func (p *program) loginCommand() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:   "login [REGISTRY]",
		Short: "Keep a token for a registry",
		Long: `Login keeps a token for a registry, which every later command shows to it, and to no
other. It asks the registry first whose token it is: one that is wrong, or not good
any more, is not kept. Without a flag the token is asked for, and not shown while it
is typed.

Tokens are kept in ingot/credentials.json below $XDG_CONFIG_HOME, or else ~/.config,
which nobody else can read. Before what is kept there go the variables INGOT_TOKEN,
which holds a token, and INGOT_TOKEN_FILE, which names a file of one that is read
again whenever it changes.

With --oidc-token-file FILE holds what an issuer of OpenID Connect says of this
machine: the token of a service account of Kubernetes, or of a job of a CI service.
The registry gives a token for it, once, which is good for 15 minutes and is kept.

A token is not sent over plain HTTP to another machine, where whoever is on the way
could take it, unless login was told --insecure, or the variable INGOT_INSECURE is
true. For a registry whose certificate is from an authority of your own, name that
with --ca-file, or with INGOT_CA_FILE.

With --json it prints:
  registry  the address for which the token is kept
  access    tokens, or open for a registry that wants none: nothing is kept then
  subject   whose token it is
  scopes    what it allows, each PATTERN:ROLE
  token     its id, by which it can be revoked
  expires   when it ends
  from      where it is kept`,
		Example: `  ingot login https://models.example
  ingot login --token-stdin < token
  ingot login https://models.example --oidc-token-file /var/run/secrets/ingot/token
  ingot login https://models.lan --token-file /run/secrets/ingot --ca-file lan.pem`,
		Args:              want(0, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.login(cmd.Context(), cmd.InOrStdin(), strings.Join(args, ""), f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.stdin, "token-stdin", false, "read the token from standard input")
	flags.StringVar(&f.file, "token-file", "", "read the token from this `FILE`")
	flags.StringVar(&f.oidc, "oidc-token-file", "", "exchange the token of an issuer of OpenID Connect in this `FILE` for one that is good for 15 minutes")
	flags.BoolVar(&f.insecure, "insecure", false, "let the token go over plain HTTP, now and later")
	flags.StringVar(&f.authority, "ca-file", "", "believe the authorities in this `FILE` of PEM too, now and later")
	cmd.MarkFlagsMutuallyExclusive("token-stdin", "token-file", "oidc-token-file")
	return cmd
}

func (p *program) login(ctx context.Context, stdin io.Reader, registry string, f loginFlags) error {
	base := p.address(registry)
	file := p.credentialsFile()
	if file == nil {
		return usagef("login: no folder for credentials: neither XDG_CONFIG_HOME nor HOME is set")
	}
	entry := credentials.Entry{Insecure: f.insecure}
	if f.authority != "" {
		abs, err := filepath.Abs(f.authority)
		if err != nil {
			return fmt.Errorf("login: %w", err)
		}
		entry.CAFile = abs
	}
	o, err := p.believes(entry)
	if err != nil {
		return err
	}
	if f.oidc != "" {
		entry.Token, err = p.exchange(ctx, base, f.oidc, o)
	} else {
		entry.Token, err = p.readToken(ctx, stdin, base, f)
	}
	if err != nil {
		return err
	}
	o.Token = func(context.Context) (string, error) { return entry.Token, nil }
	who, err := p.askWho(ctx, base, o)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	return p.keep(base, file, entry, who)
}

// keep keeps a token that a registry knows.
func (p *program) keep(base string, file *credentials.File, entry credentials.Entry, who openapi.Whoami) error {
	in := told(base, who)
	origin, err := credentials.OriginOf(base)
	if err != nil {
		return usagef("login: %v", err)
	}
	if who.Access == openapi.AccessOpen {
		if p.json {
			return p.printJSON(in)
		}
		p.printf("%s is open: it wants no token, and none is kept\n", origin)
		return nil
	}
	if err := file.Put(origin, entry); err != nil {
		return err
	}
	in.From = file.Path()
	if p.json {
		return p.printJSON(in)
	}
	p.printf("logged in to %s as %s\n", origin, in)
	p.printf("kept in %s\n", shown(file.Path()))
	for _, name := range []string{credentials.EnvToken, credentials.EnvTokenFile} {
		if p.env(name) != "" {
			fmt.Fprintf(p.stderr, "%s is set, and goes before what is kept\n", name)
		}
	}
	return nil
}

func told(base string, who openapi.Whoami) loggedIn {
	in := loggedIn{Registry: base, Access: who.Access, Subject: who.Subject, Scopes: who.Scopes, Token: who.Token, Expires: who.Expires}
	if in.Scopes == nil {
		in.Scopes = []string{}
	}
	return in
}

// String says who it is, and what they may do.
func (in loggedIn) String() string {
	text := shown(in.Subject)
	if len(in.Scopes) > 0 {
		text += " (" + shown(strings.Join(in.Scopes, " ")) + ")"
	}
	if in.Token != "" {
		text += ", token " + shown(in.Token)
	}
	if in.Expires != nil && !in.Expires.IsZero() {
		text += ", until " + in.Expires.Local().Format("2006-01-02 15:04")
	}
	return text
}

// askWho asks a registry who one is to it.
func (p *program) askWho(ctx context.Context, base string, o client.Options) (openapi.Whoami, error) {
	r, err := p.dialWith(base, o, firstContact)
	if err != nil {
		return openapi.Whoami{}, err
	}
	defer r.Close()
	return r.Whoami(ctx)
}

// maxTyped bounds what is read as a token in bytes.
const maxTyped = 64 << 10

// readToken reads the token from where the flags say.
func (p *program) readToken(ctx context.Context, stdin io.Reader, base string, f loginFlags) (string, error) {
	token, err := "", error(nil)
	switch {
	case f.file != "":
		token, err = readSmall(f.file, maxTyped)
	case f.stdin:
		var b []byte
		b, err = io.ReadAll(io.LimitReader(stdin, maxTyped))
		token = string(b)
	default:
		token, err = p.ask(ctx, stdin, "token for "+shown(base)+": ")
	}
	if err != nil {
		return "", err
	}
	token = strings.TrimSpace(token)
	if err := credentials.Check(token); err != nil {
		return "", usagef("login: %v", err)
	}
	return token, nil
}

// ask asks whoever sits at the terminal for what is not to be seen.
func (p *program) ask(ctx context.Context, stdin io.Reader, question string) (string, error) {
	file, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return "", usagef("login: there is no terminal to ask for the token: give it with --token-stdin or --token-file")
	}
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", fmt.Errorf("login: %w", err)
	}
	fmt.Fprint(p.stderr, question)
	defer fmt.Fprintln(p.stderr)
	type typed struct {
		text []byte
		err  error
	}
	read := make(chan typed, 1)
	go func() {
		text, err := term.ReadPassword(int(file.Fd()))
		read <- typed{text, err}
	}()
	select {
	case t := <-read:
		return string(bytes.TrimSpace(t.text)), t.err
	case <-ctx.Done(): // the reader goes on, and the process does not
		return "", errors.Join(ctx.Err(), term.Restore(int(file.Fd()), before))
	}
}
