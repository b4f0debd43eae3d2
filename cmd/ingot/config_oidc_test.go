package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIssuersFile reads files of issuers, good and bad.
func TestIssuersFile(t *testing.T) {
	const rule = "\n  rules: [{claims: {sub: x}, scopes: ['a/*:pull']}]"
	for _, tc := range []struct{ name, text, says string }{
		{"keys in a file", "issuers:\n- issuer: https://i.example\n  audience: x\n  jwks_file: keys.json" + rule, ""},
		{"discovery", "issuers:\n- issuer: https://i.example\n  audience: x\n  discovery: true\n  ca_file: keys.json" + rule, ""},
		{"nothing", "", "no documents"}, {"no issuers", "issuers: []", "no issuers in it"},
		{"no list", "issuers: x", "issuers"},
		{"no YAML", "issuers: [", "issuers.yaml"},
		{"a key misspelt", "issuers:\n- issuer: https://i.example\n  audience: x\n  jwks: keys.json" + rule, "jwks"},
		{"a key twice", "issuers:\n- issuer: https://i.example\n  issuer: https://j.example\n  audience: x\n  discovery: true" + rule, "issuer"},
		{"no keys", "issuers:\n- issuer: https://i.example\n  audience: x" + rule, "want either jwks_file or discovery: true"},
		{"keys twice", "issuers:\n- issuer: https://i.example\n  audience: x\n  jwks_file: keys.json\n  discovery: true" + rule, "want either"},
		{"keys that are not there", "issuers:\n- issuer: https://i.example\n  audience: x\n  jwks_file: absent" + rule, "absent: no such file"},
		{"http", "issuers:\n- issuer: http://i.example\n  audience: x\n  discovery: true" + rule, "want https"},
		{"no audience", "issuers:\n- issuer: https://i.example\n  discovery: true" + rule, "no audience"},
		{"no rules", "issuers:\n- issuer: https://i.example\n  audience: x\n  discovery: true", "0 rules"},
		{"a rule for all", "issuers:\n- issuer: https://i.example\n  audience: x\n  discovery: true\n  rules: [{scopes: ['a/*:pull']}]", "without any it is for everybody"},
		{"a scope that is none", "issuers:\n- issuer: https://i.example\n  audience: x\n  discovery: true\n  rules: [{claims: {sub: x}, scopes: ['a:write']}]", "want PATTERN:ROLE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"issuers.yaml": tc.text, "keys.json": `{"keys":[]}`} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := loadArgs(t, "", nil, "--access", "tokens", "--oidc", filepath.Join(dir, "issuers.yaml"))
			if err == nil {
				err = c.settleIssuers()
			}
			switch {
			case tc.says == "" && (err != nil || len(c.registry.OIDC) != 1 || len(c.registry.OIDC[0].Rules) != 1):
				t.Errorf("%+v, %v", c.registry.OIDC, err)
			case tc.says != "" && (!errors.Is(err, errUsage) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n")):
				t.Errorf("%v, want %q", err, tc.says)
			}
		})
	}
	c, err := loadArgs(t, "", nil, "--oidc", "/absent")
	if err == nil {
		err = c.settleIssuers()
	}
	if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "add --access tokens") {
		t.Errorf("where everybody may do everything: %v", err)
	}
}
