package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"github.com/ingot-ml/ingot/registry"
)

// issuersFile is the file that the key oidc names.
type issuersFile struct {
	Issuers []struct {
		Issuer    string `yaml:"issuer"`
		Audience  string `yaml:"audience"`
		JWKSFile  string `yaml:"jwks_file"`
		Discovery bool   `yaml:"discovery"`
		CAFile    string `yaml:"ca_file"`
		Rules     []struct {
			Claims  map[string]string `yaml:"claims"`
			Scopes  []string          `yaml:"scopes"`
			Subject string            `yaml:"subject"`
		} `yaml:"rules"`
	} `yaml:"issuers"`
}

// issuerKeys say who vouches for machines.
func (c *serveConfig) issuerKeys() []*key {
	return []*key{
		newKey("oidc", "FILE", "the path of a file, without ~, or none", &c.issuers, orNone("", parsePath), spellNone("", asIs),
			"YAML file of issuers of OpenID Connect whose tokens are taken for others, and by which rules, with --access tokens; see docs/secure.md"),
	}
}

// settleIssuers reads who vouches for machines.
func (c *serveConfig) settleIssuers() error {
	if c.issuers == "" {
		return nil
	}
	if c.registry.Access != registry.AccessTokens {
		return usagef("oidc (%s) is for a registry where others need a token: add --access tokens", c.source("oidc"))
	}
	issuers, err := readIssuers(c.issuers)
	if err == nil {
		err = registry.CheckIssuers(issuers)
	}
	if err != nil {
		return usagef("oidc (%s): %v", c.source("oidc"), err)
	}
	c.registry.OIDC = issuers
	return nil
}

// readIssuers reads the file. Files that it names are beside it, unless their paths are
// whole.
func readIssuers(path string) (list []registry.Issuer, err error) {
	text, err := readSmall(path, maxConfig)
	if err != nil {
		return nil, err
	}
	var file issuersFile
	if err := yaml.Load([]byte(text), &file, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, fmt.Errorf("%s: %w", shown(path), err)
	}
	if len(file.Issuers) == 0 {
		return nil, fmt.Errorf("%s: no issuers in it", shown(path))
	}
	beside := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(filepath.Dir(path), name)
	}
	for _, i := range file.Issuers {
		if i.Discovery == (i.JWKSFile != "") {
			return nil, fmt.Errorf("%s: issuer %.200q: want either jwks_file or discovery: true", shown(path), i.Issuer)
		}
		one := registry.Issuer{URL: i.Issuer, Audience: i.Audience, KeysFile: beside(i.JWKSFile), CAFile: beside(i.CAFile)}
		for _, r := range i.Rules {
			one.Rules = append(one.Rules, registry.IssuerRule{Claims: r.Claims, Scopes: r.Scopes, Subject: r.Subject})
		}
		for _, name := range []string{one.KeysFile, one.CAFile} {
			if err := readable(name); err != nil {
				return nil, fmt.Errorf("%s: issuer %s: %w", shown(path), shown(i.Issuer), err)
			}
		}
		list = append(list, one)
	}
	return list, nil
}

// readable finds out at the start that a file cannot be read.
func readable(name string) error {
	if name == "" {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = f.Read(make([]byte, 1))
	if cerr := f.Close(); err == nil || err == io.EOF {
		return cerr
	}
	return err
}
