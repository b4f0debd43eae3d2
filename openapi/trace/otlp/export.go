package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// defaultEndpoint is where a collector of this machine is.
const defaultEndpoint = "http://localhost:4318"

// defaultTimeout is for one request to a collector.
const defaultTimeout = 10 * time.Second

// exporter sends spans to a collector as documents of JSON. The library's own sender
// brings a second framework of servers into the program, for one kind of request.
type exporter struct {
	url     string
	headers map[string]string
	client  *http.Client
}

// newExporter returns what the environment asks for.
func newExporter(env Environment) (*exporter, error) {
	e := &exporter{headers: map[string]string{}}
	var err error
	if e.url, err = endpointOf(env); err != nil {
		return nil, err
	}
	if err := e.readHeaders(first(env, "HEADERS")); err != nil {
		return nil, err
	}
	timeout := defaultTimeout
	if text := first(env, "TIMEOUT"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT=%.80q: want milliseconds", text)
		}
		timeout = time.Duration(n) * time.Millisecond
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}
	if transport.TLSClientConfig, err = trust(first(env, "CERTIFICATE")); err != nil {
		return nil, err
	}
	e.client = &http.Client{Transport: transport, Timeout: timeout}
	return e, nil
}

// first returns a variable of traces, or that of everything.
func first(env Environment, name string) string {
	if v := env("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
		return v
	}
	return env("OTEL_EXPORTER_OTLP_" + name)
}

// endpointOf returns where the spans go.
func endpointOf(env Environment) (string, error) {
	name, path := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""
	text := env(name)
	if text == "" {
		name, path = "OTEL_EXPORTER_OTLP_ENDPOINT", "v1/traces"
		text = env(name)
	}
	if text == "" {
		text = defaultEndpoint
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%s=%.80q: want a URL such as %s", name, text, defaultEndpoint)
	}
	if path != "" {
		u = u.JoinPath(path)
	}
	return u.String(), nil
}

// readHeaders reads NAME=VALUE with commas between them, the values escaped as in URLs.
// What is wrong is not told: it may be a secret.
func (e *exporter) readHeaders(text string) error {
	if text == "" {
		return nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, escaped, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(escaped))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil || strings.ContainsAny(name+value, "\r\n") {
			return errors.New("OTEL_EXPORTER_OTLP_HEADERS: want NAME=VALUE,NAME=VALUE")
		}
		e.headers[name] = value
	}
	return nil
}

// trust returns whom to believe that it is the collector; nil is whom the system does.
func trust(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s holds no certificate in PEM", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// ExportSpans implements the library's SpanExporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	body, err := json.Marshal(documentOf(spans))
	if err != nil {
		return fmt.Errorf("encode %d spans: %w", len(spans), err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("send %d spans: %w", len(spans), err)
	}
	for name, value := range e.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("send %d spans: %w", len(spans), err)
	}
	defer func() { _ = resp.Body.Close() }()                      // of no more use
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection stays
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("send %d spans to %s: status %d", len(spans), e.url, resp.StatusCode)
	}
	return nil
}

// Shutdown implements the library's SpanExporter.
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}
