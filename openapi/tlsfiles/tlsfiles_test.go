package tlsfiles_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi/tlsfiles"
)

// pair makes a certificate that is its own authority.
func pair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// handshake has a client meet a server, and returns the name that is shown.
func handshake(t *testing.T, server, client *tls.Config) (string, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		there, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = there.Close() }()
		c := tls.Server(there, server)
		_ = c.Handshake() // the client tells what comes of it
	}()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = here.Close() }()
	c := tls.Client(here, client)
	if err := c.HandshakeContext(t.Context()); err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestServer(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert, key := pair(t, "one")
	write(t, certFile, cert)
	write(t, keyFile, key)
	var log bytes.Buffer
	now := time.Now()
	server, err := tlsfiles.ServerAt(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	shows := func(want string) {
		t.Helper()
		got, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil || got != want {
			t.Errorf("%q is shown, %v, want %q", got, err, want)
		}
	}
	shows("one")

	// The certificate comes before its key: until both are there the old one stays.
	cert, key = pair(t, "two")
	write(t, certFile, cert)
	shows("one") // it is not looked at each time
	now = now.Add(5 * time.Second)
	shows("one")
	now = now.Add(5 * time.Second)
	shows("one")
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), certFile) {
		t.Errorf("%d errors in the log: %s", n, &log)
	}
	write(t, keyFile, key)
	now = now.Add(5 * time.Second)
	shows("two")

	// Nothing that is not a certificate takes its place.
	write(t, certFile, []byte("not a certificate"))
	now = now.Add(5 * time.Second)
	shows("two")
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * time.Second)
	shows("two")

	// Both in one file, put there at once, and a clock that was set back.
	cert, key = pair(t, "three")
	for _, path := range []string{certFile, keyFile} {
		write(t, path+".new", append(cert, key...))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(-time.Hour)
	shows("three")
}

func TestServerSpeaks(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(t, "one")
	file := filepath.Join(dir, "both.pem")
	write(t, file, append(cert, key...))
	server, err := tlsfiles.Server(file, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		_, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != (version >= tls.VersionTLS12) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	if _, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}); err == nil {
		t.Error("it speaks HTTP/2")
	}
}

func TestServerWithoutCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(t, "one")
	_, other := pair(t, "two")
	good := filepath.Join(dir, "good.pem")
	write(t, good, append(cert, key...))
	for name, content := range map[string][]byte{"empty": nil, "garbage": []byte("x"), "no key": cert, "another key": append(cert, other...)} {
		path := filepath.Join(dir, name)
		write(t, path, content)
		if _, err := tlsfiles.Server(path, path, nil); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tlsfiles.Server(good, filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("no such file: %v", err)
	}
}

func TestClient(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(t, "registry.example")
	both, authority := filepath.Join(dir, "both.pem"), filepath.Join(dir, "ca.pem")
	write(t, both, append(cert, key...))
	write(t, authority, cert)
	server, err := tlsfiles.Server(both, both, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := tlsfiles.Client(authority)
	if err != nil {
		t.Fatal(err)
	}
	client.ServerName = "registry.example"
	if _, err := handshake(t, server, client); err != nil {
		t.Errorf("an authority of its file: %v", err)
	}
	client.ServerName = "other.example"
	if _, err := handshake(t, server, client); err == nil {
		t.Error("another name is believed")
	}
	if _, err := handshake(t, server, &tls.Config{ServerName: "registry.example"}); err == nil {
		t.Error("without the file it is believed too")
	}
	for name, content := range map[string][]byte{"empty": nil, "key": key, "long": bytes.Repeat([]byte("x"), 5<<20)} {
		path := filepath.Join(dir, name)
		write(t, path, content)
		if _, err := tlsfiles.Client(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tlsfiles.Client(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}
