package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// maxDocument bounds what an issuer, or a file, says of its keys in bytes.
const maxDocument = 1 << 20

// load returns the issuer's keys, from the file or from the issuer.
func (i *issuer) load(ctx context.Context) (jose.JSONWebKeySet, error) {
	if i.KeysFile != "" {
		text, err := readFile(i.KeysFile)
		if err != nil {
			return jose.JSONWebKeySet{}, err
		}
		return parseKeys(text)
	}
	client, err := i.client()
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	defer client.CloseIdleConnections()
	return i.discover(gooidc.ClientContext(ctx, client), client)
}

// discover asks the issuer where its keys are, and for them.
func (i *issuer) discover(ctx context.Context, client *http.Client) (set jose.JSONWebKeySet, err error) {
	provider, err := gooidc.NewProvider(ctx, i.URL) // which has to call itself so
	if err != nil {
		return set, err
	}
	var says struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&says); err != nil {
		return set, err
	}
	u, err := url.Parse(says.Keys)
	if err != nil || u.Host == "" || u.Scheme != "https" && !strings.HasPrefix(i.URL, "http://") {
		return set, fmt.Errorf("its keys are at %.200q, which is not an address of https", says.Keys)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return set, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return set, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return set, fmt.Errorf("%s answers %s", u.Redacted(), resp.Status)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return set, err
	}
	return parseKeys(text)
}

// parseKeys reads a JWKS. A key of a kind that is not known does not spoil the others.
func parseKeys(text []byte) (set jose.JSONWebKeySet, err error) {
	var list struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return set, fmt.Errorf("its keys are no JWKS: %w", err)
	}
	for _, raw := range list.Keys[:min(len(list.Keys), maxKeys)] {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil {
			set.Keys = append(set.Keys, key)
		}
	}
	return set, nil
}

// client returns what asks the issuer: nobody else, whatever the issuer or the
// environment says, and for a short time.
func (i *issuer) client() (*http.Client, error) {
	trusted := &tls.Config{MinVersion: tls.VersionTLS12}
	if i.CAFile != "" {
		text, err := readFile(i.CAFile)
		if err != nil {
			return nil, err
		}
		trusted.RootCAs = x509.NewCertPool()
		if !trusted.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: no certificate in it", i.CAFile)
		}
	}
	return &http.Client{
		Transport: bounded{&http.Transport{
			TLSClientConfig: trusted, TLSHandshakeTimeout: loadTime, ResponseHeaderTimeout: loadTime,
			DialContext: (&net.Dialer{Timeout: loadTime}).DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		}},
		Timeout: loadTime + time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it sends elsewhere, which is not followed")
		},
	}, nil
}

// bounded bounds the bodies of answers.
type bounded struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxDocument)
	}
	return resp, err
}

func readFile(path string) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("%s: more than %d bytes", path, maxDocument)
	}
	return text, err
}

// loopback tells a host that is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
