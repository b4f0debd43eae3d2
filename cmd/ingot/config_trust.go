package main

import (
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/signature"
)

// wantKeys is what a file of public keys has to be named by.
const wantKeys = "the path of a file of public keys, without ~"

// trustKeys say who vouches for the node, and which versions it loads.
func (c *agentConfig) trustKeys() []*key {
	return []*key{
		newKey("registry-oidc-token-file", "FILE", "the path of a file, without ~, or none", &c.vouched, orNone("", parsePath), spellNone("", asIs),
			"file of the token of an issuer of OpenID Connect, such as Kubernetes renews it every 10 minutes, which is exchanged at the registry for one to show it"),
		newKey("signed-by", "FILE", wantKeys+", or none", &c.signed, orNone("", parsePath), spellNone("", asIs),
			"file of public keys in PEM: a version that none of them has signed is never loaded, and what was served before it still is; none loads all"),
	}
}

// settleVouched has the registry give the node's token for one of an issuer.
func (c *agentConfig) settleVouched() error {
	if c.vouched == "" || c.node.Registry == "" {
		return nil
	}
	if c.access.shown != "" {
		return usagef("registry-oidc-token-file (%s) and registry-token-file (%s) exclude each other", c.source("registry-oidc-token-file"), c.source("registry-token-file"))
	}
	to := &c.node.Access
	x, err := client.NewExchanger(c.node.Registry, c.vouched, client.Options{
		Patience: firstContact, UserAgent: "ingot-agent/" + version, Insecure: to.Insecure, TLS: to.Authorities,
	})
	if err != nil {
		return usagef("registry: %v", err)
	}
	to.Token = x.Token
	return nil
}

// checkSigned refuses models of one repository that are to be signed by different keys:
// another tag would lead around them.
func (c *agentConfig) checkSigned() error {
	first := map[string]*modelConfig{}
	for _, m := range c.models {
		if m.signed == "" || m.model.Match != "" {
			continue
		}
		repo := m.model.Ref.Repo.String()
		if before := first[repo]; before != nil && before.signed != m.signed {
			return usagef("%s: signed-by %s, and %s (%s): a repository has one", m.place, m.signed, before.signed, before.place)
		}
		first[repo] = m
	}
	return nil
}

// readSigned reads the files of keys.
func (c *agentConfig) readSigned() (err error) {
	if err := c.checkSigned(); err != nil {
		return err
	}
	if c.node.SignedBy, err = keysOf(c.signed); err != nil {
		return err
	}
	for _, m := range c.models {
		if m.model.SignedBy, err = keysOf(m.signed); err != nil {
			return err
		}
	}
	return nil
}

func keysOf(file string) ([]*signature.PublicKey, error) {
	if file == "" {
		return nil, nil
	}
	return readPublicKeys([]string{file})
}
