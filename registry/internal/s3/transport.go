package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Limits of a connection.
const (
	dialTime   = 5 * time.Second
	probeEvery = 15 * time.Second // of a connection on which nothing moves
	silence    = 60 * time.Second // after which a peer that should send or take bytes is dead
	idleTime   = 30 * time.Second // less than silence, so that no deadline meets a new request
	idleConns  = 256
	connBuffer = 64 << 10 // bytes
	// maxDocument bounds what is read of an answer that is no object. It holds a page of
	// a thousand keys of 1024 bytes, each byte escaped.
	maxDocument = 4 << 20
)

// NewTransport returns what requests go through unless Options say otherwise:
// HTTP/1.1, many idle connections, and an end to connections whose peer is silent.
func NewTransport() (*http.Transport, error) {
	roots, err := caBundle(os.Getenv("AWS_CA_BUNDLE"))
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTime, KeepAlive: probeEvery}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &impatient{Conn: c}, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
		TLSHandshakeTimeout:    2 * dialTime,
		MaxIdleConns:           0, // bounded per host
		MaxIdleConnsPerHost:    idleConns,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: 64 << 10,
		WriteBufferSize:        connBuffer,
		ReadBufferSize:         connBuffer,
		DisableCompression:     true, // bytes as they are stored
	}, nil
}

// caBundle reads the certificates that are trusted beside those of the system.
func caBundle(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil // no pool means that of the system
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read AWS_CA_BUNDLE: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read AWS_CA_BUNDLE: %s holds no certificate", path)
	}
	return roots, nil
}

// impatient is a connection that fails when its peer neither sends nor takes bytes
// for a while. A process that was stopped, or a machine that is gone, still looks
// connected.
type impatient struct{ net.Conn }

func (c *impatient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write also moves the deadline of a Read that waits: it waits for the answer.
func (c *impatient) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// guarded bounds what minio-go reads into memory: answers that are no objects.
type guarded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	object := req.Method == http.MethodGet && req.URL.RawQuery == ""
	if !object || resp.StatusCode/100 != 2 {
		resp.Body = &document{resp.Body, maxDocument}
	}
	return resp, nil
}

// document is the body of an answer that may not be longer than left bytes.
type document struct {
	io.ReadCloser
	left int64
}

var errLongDocument = fmt.Errorf("more than %d bytes: %w", maxDocument, ErrAnswer)

func (d *document) Read(b []byte) (int, error) {
	if d.left <= 0 {
		return 0, errLongDocument
	}
	n, err := d.ReadCloser.Read(b[:min(int64(len(b)), d.left)])
	d.left -= int64(n)
	return n, err
}
