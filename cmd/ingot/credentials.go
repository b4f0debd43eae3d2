package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/credentials"
	"github.com/ingot-ml/ingot/openapi/tlsfiles"
)

const (
	// envAuthorities names a file of authorities to believe beside those of the system.
	envAuthorities = "INGOT_CA_FILE"
	// envInsecure lets a token go over plain HTTP to another machine.
	envInsecure = "INGOT_INSECURE"
	// envAgentToken names the file of the token for an agent that is reached over TCP: the
	// same that the agent has as token-file.
	envAgentToken = "INGOT_AGENT_TOKEN_FILE"
)

// credentialsFile is where tokens are kept; nil without a folder for it.
func (p *program) credentialsFile() *credentials.File {
	dir, err := p.folder("XDG_CONFIG_HOME", ".config")
	if err != nil {
		return nil
	}
	return credentials.Open(filepath.Join(dir, "credentials.json"))
}

// tokenSources are where tokens come from.
func (p *program) tokenSources() credentials.Sources {
	return credentials.Sources{
		Token: p.env(credentials.EnvToken), TokenFile: p.env(credentials.EnvTokenFile), File: p.credentialsFile(),
	}
}

// shows returns how to talk to the registry at base: with which token, and believing
// whom.
func (p *program) shows(base string) (client.Options, *credentials.Credential, error) {
	if _, err := credentials.OriginOf(base); err != nil {
		return client.Options{}, &credentials.Credential{}, nil // what the address lacks the client says
	}
	c, err := p.tokenSources().For(base)
	if err != nil {
		return client.Options{}, nil, usagef("%v", err)
	}
	o, err := p.believes(c.Kept)
	o.Token = c.Token
	return o, c, err
}

// believes returns what the environment says of the way to a registry, and in its place
// what is kept for it.
func (p *program) believes(kept credentials.Entry) (o client.Options, err error) {
	o.Insecure, o.UserAgent = kept.Insecure, "ingot/"+version
	if text := p.env(envInsecure); text != "" {
		yes, ok := parseBool(text)
		if !ok {
			return o, usagef("%s=%.80q: want true or false", envInsecure, text)
		}
		o.Insecure = yes
	}
	file := p.env(envAuthorities)
	if file == "" {
		file = kept.CAFile
	}
	if o.TLS, err = authorities(file); err != nil {
		err = usagef("%s: %v", envAuthorities, err)
	}
	return o, err
}

// authorities returns whom to believe; nil is those of the system.
func authorities(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	return tlsfiles.Client(file)
}

// agentToken is the token for an agent that is reached over TCP; nil is none.
func (p *program) agentToken() func(context.Context) (string, error) {
	file := p.env(envAgentToken)
	if file == "" {
		return nil
	}
	token := credentials.OpenTokens(file).Token
	return func(ctx context.Context) (string, error) {
		text, err := token(ctx)
		if err != nil {
			err = fmt.Errorf("%s: %w", envAgentToken, err)
		}
		return text, err
	}
}
