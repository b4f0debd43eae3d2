package main

import (
	"crypto/tls"
	"log/slog"

	"github.com/ingot-ml/ingot/openapi/tlsfiles"
)

// tlsConfig is the certificate of an address, in files.
type tlsConfig struct{ cert, key string }

// keys say where they are.
func (t *tlsConfig) keys() []*key {
	const file = "the path of a file, without ~, or none"
	return []*key{
		newKey("tls-cert", "FILE", file, &t.cert, orNone("", parsePath), spellNone("", asIs),
			"certificate of the address, in PEM, with those of the authorities between; with it only https is spoken, and it is read again when it changes"),
		newKey("tls-key", "FILE", file, &t.key, orNone("", parsePath), spellNone("", asIs),
			"private key of the certificate, in PEM"),
	}
}

// on tells whether there is a certificate.
func (t *tlsConfig) on() bool { return t.cert != "" }

// scheme is that of the address.
func (t *tlsConfig) scheme() string {
	if t.on() {
		return "https"
	}
	return "http"
}

// check refuses one file without the other.
func (t *tlsConfig) check(c *config) error {
	switch {
	case t.cert != "" && t.key == "":
		return usagef("tls-cert (%s) needs the private key of the certificate: name it with --tls-key", c.source("tls-cert"))
	case t.cert == "" && t.key != "":
		return usagef("tls-key (%s) is of a certificate: name that with --tls-cert", c.source("tls-key"))
	}
	return nil
}

// server returns what a listener needs; nil is plain HTTP.
func (t *tlsConfig) server(c *config, logger *slog.Logger) (*tls.Config, error) {
	if !t.on() {
		return nil, nil
	}
	config, err := tlsfiles.Server(t.cert, t.key, logger)
	if err != nil {
		return nil, usagef("tls-cert (%s): %v", c.source("tls-cert"), err)
	}
	return config, nil
}
