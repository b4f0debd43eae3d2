package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// Scheme begins the addresses of artifacts.
const Scheme = "oci://"

// maxManifest bounds a manifest in bytes, as registries do.
const maxManifest = 4 << 20

// Options say how to talk to an OCI registry.
type Options struct {
	// PlainHTTP does without TLS. Registries on this machine are talked to so anyway.
	PlainHTTP bool
	// Credentials is the path of a config.json of Docker; empty for none.
	Credentials string
	// UserAgent is sent with every request.
	UserAgent string
	// Progress may be nil.
	Progress client.Progress
	// Stall is how long a registry may send nothing; 0 is a minute.
	Stall time.Duration
}

// Artifact is a model in an OCI registry.
type Artifact struct {
	// Digest is that of the manifest, sha256:…
	Digest string
	// Size is how many bytes the layers have.
	Size int64

	repo     *remote.Repository
	layers   []layer
	progress client.Progress
	stall    time.Duration
}

// Open finds the artifact at an address, oci://HOST/REPOSITORY with :TAG or @DIGEST, and
// reads its manifest. Errors are *openapi.Error for what the registry refuses,
// client.ErrInput for an artifact or address that no files can be made of,
// client.ErrCorrupt, or client.ErrUnreachable.
func Open(ctx context.Context, address string, o Options) (*Artifact, error) {
	repo, err := open(address, o)
	if err != nil {
		return nil, err
	}
	a := &Artifact{repo: repo, progress: o.Progress, stall: o.Stall}
	if a.stall <= 0 {
		a.stall = time.Minute
	}
	at, m, err := a.manifest(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, a.judge(ctx, err))
	}
	a.Digest = at.Digest.String()
	if a.layers, err = plan(m, repo.Reference); err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	for _, l := range a.layers {
		a.Size += l.Size
	}
	return a, nil
}

// open returns a client of the repository at an address.
func open(address string, o Options) (*remote.Repository, error) {
	words, ok := strings.CutPrefix(address, Scheme)
	if !ok {
		return nil, fmt.Errorf("%.200q: want %sHOST/REPOSITORY:TAG: %w", address, Scheme, client.ErrInput)
	}
	ref, err := registry.ParseReference(words)
	if err != nil {
		return nil, fmt.Errorf("%.200q: %w: %w", address, err, client.ErrInput)
	}
	if ref.Reference == "" {
		ref.Reference = "latest"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	c := &auth.Client{Client: &http.Client{Transport: retry.NewTransport(transport)}, Cache: auth.NewCache()}
	c.SetUserAgent(o.UserAgent)
	if o.Credentials != "" {
		store, err := credentials.NewStore(o.Credentials, credentials.StoreOptions{})
		if err != nil {
			return nil, fmt.Errorf("credentials in %s: %w: %w", o.Credentials, err, client.ErrInput)
		}
		c.Credential = credentials.Credential(store)
	}
	return &remote.Repository{
		Reference: ref, Client: c, PlainHTTP: o.PlainHTTP || isLocal(ref.Registry), MaxMetadataBytes: maxManifest,
	}, nil
}

// isLocal tells registries on this machine, which rarely have a certificate.
func isLocal(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// manifest reads the manifest that the address names. An index of one manifest stands
// for that.
func (a *Artifact) manifest(ctx context.Context) (at ocispec.Descriptor, m ocispec.Manifest, err error) {
	at, b, err := a.document(ctx, a.repo.Reference.Reference)
	if err != nil {
		return at, m, err
	}
	var kind struct {
		MediaType string               `json:"mediaType"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return at, m, fmt.Errorf("its manifest is no JSON: %w", client.ErrInput)
	}
	if len(kind.Manifests) > 1 {
		return at, m, fmt.Errorf("it is an index of %d manifests: name one of them by @DIGEST, such as %s: %w",
			len(kind.Manifests), kind.Manifests[0].Digest, client.ErrInput)
	}
	if len(kind.Manifests) == 1 {
		if at, b, err = a.document(ctx, kind.Manifests[0].Digest.String()); err != nil {
			return at, m, err
		}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return at, m, fmt.Errorf("its manifest is not one of OCI: %w: %w", err, client.ErrInput)
	}
	return at, m, nil
}

// document reads a manifest and compares it with its digest.
func (a *Artifact) document(ctx context.Context, reference string) (at ocispec.Descriptor, b []byte, err error) {
	at, body, err := a.repo.Manifests().FetchReference(ctx, reference)
	if err != nil {
		return at, nil, err
	}
	defer func() { _ = body.Close() }() // it was only read
	if at.Size > maxManifest {
		return at, nil, fmt.Errorf("a manifest of %d bytes, at most %d are read: %w", at.Size, maxManifest, client.ErrInput)
	}
	b, err = content.ReadAll(body, at)
	return at, b, err
}

// judge says of an error of the registry what it is to callers.
func (a *Artifact) judge(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	host := a.repo.Reference.Registry
	var refused *errcode.ErrorResponse
	switch {
	case errors.Is(err, client.ErrInput), errors.Is(err, client.ErrCorrupt):
		return err
	case errors.Is(err, errdef.ErrNotFound):
		return openapi.Errorf(openapi.CodeNotFound, "%s has no such artifact, or hides it: %v", host, err)
	case errors.As(err, &refused):
		return openapi.Errorf(codeOf(refused.StatusCode), "%s refuses: %v", host, err)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return openapi.Errorf(openapi.CodeUnauthorized, "%s wants credentials: log in with docker or oras", host)
	case errors.Is(err, content.ErrMismatchedDigest), errors.Is(err, content.ErrTrailingData):
		return fmt.Errorf("%w: %w", err, client.ErrCorrupt)
	case errors.Is(err, errdef.ErrSizeExceedsLimit), errors.Is(err, errdef.ErrInvalidReference):
		return fmt.Errorf("%w: %w", err, client.ErrInput)
	}
	var nerr net.Error
	if errors.As(err, &nerr) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errStalled) {
		return fmt.Errorf("%w: %w", err, client.ErrUnreachable)
	}
	return err
}

// codeOf returns what a status of HTTP means.
func codeOf(status int) openapi.Code {
	switch {
	case status == http.StatusUnauthorized:
		return openapi.CodeUnauthorized
	case status == http.StatusForbidden:
		return openapi.CodeForbidden
	case status == http.StatusNotFound:
		return openapi.CodeNotFound
	case status == http.StatusTooManyRequests:
		return openapi.CodeBusy
	case status >= http.StatusInternalServerError:
		return openapi.CodeUnavailable
	}
	return openapi.CodeBadRequest
}
