package oci

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
)

// problem is a failure as OCI clients are told of it.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	status  int
}

// Error implements error.
func (p *problem) Error() string { return p.Message }

// The codes of the distribution specification.
const (
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeDenied          = "DENIED"
	codeDigestInvalid   = "DIGEST_INVALID"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeNameInvalid     = "NAME_INVALID"
	codeNameUnknown     = "NAME_UNKNOWN"
	codePagination      = "PAGINATION_NUMBER_INVALID"
	codeTooMany         = "TOOMANYREQUESTS"
	codeUnauthorized    = "UNAUTHORIZED"
	codeUnavailable     = "UNAVAILABLE"
	codeUnknown         = "UNKNOWN"
	codeUnsupported     = "UNSUPPORTED"
)

var (
	errNoPath   = &problem{codeUnsupported, "no such path here", http.StatusNotFound}
	errGuest    = &problem{codeUnauthorized, "this registry wants to know who asks: log in with any name, and a token as the password", http.StatusUnauthorized}
	errReadOnly = &problem{codeUnsupported, "OCI clients can only read here: store models with ingot push or ingot import", http.StatusMethodNotAllowed}
)

func errName(err error) error { return &problem{codeNameInvalid, err.Error(), http.StatusBadRequest} }

func noManifest(format string, args ...any) error {
	return &problem{codeManifestUnknown, fmt.Sprintf(format, args...), http.StatusNotFound}
}

// fail answers with what an error is to the caller.
func (v *View) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := v.told(r, err)
	if (p.Code == codeNameUnknown || p.Code == codeDenied) && v.guest(r) {
		p = errGuest
	}
	switch p.status {
	case http.StatusUnauthorized:
		w.Header().Set("Www-Authenticate", `Basic realm="ingot"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", "GET, HEAD")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	b, err := json.Marshal(map[string][]*problem{"errors": {p}})
	if err != nil {
		panic(err) // strings can be marshalled
	}
	send(w, r, p.status, mediaJSON, b)
}

// told finds what the caller is told. Faults go to the log, under an id that the
// message has too.
func (v *View) told(r *http.Request, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	switch {
	case errors.Is(err, catalog.ErrNoRepo):
		return &problem{codeNameUnknown, err.Error(), http.StatusNotFound}
	case errors.Is(err, catalog.ErrNoRevision):
		return &problem{codeManifestUnknown, err.Error(), http.StatusNotFound}
	case errors.Is(err, catalog.ErrNoFile):
		return &problem{codeBlobUnknown, err.Error(), http.StatusNotFound}
	case errors.Is(err, catalog.ErrGated):
		return &problem{codeDenied, err.Error(), http.StatusForbidden}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &problem{codeUnavailable, "the request was given up: try again later", http.StatusServiceUnavailable}
	}
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return translated(e)
	}
	id := strings.ToLower(rand.Text()[:10])
	v.logger.ErrorContext(r.Context(), "request failed", "id", id, "method", r.Method, "path", r.URL.Path, "error", err)
	return &problem{codeUnknown, "the server failed: its log has the cause under " + id, http.StatusInternalServerError}
}

// translated is for errors that say themselves what they are to a caller.
func translated(e *openapi.Error) *problem {
	code := codeUnknown
	switch status := e.Code.Status(); {
	case e.Code == openapi.CodeNotFound:
		code = codeNameUnknown
	case status == http.StatusUnauthorized:
		code = codeUnauthorized
	case status == http.StatusForbidden:
		code = codeDenied
	case status == http.StatusTooManyRequests:
		code = codeTooMany
	case status == http.StatusServiceUnavailable:
		code = codeUnavailable
	}
	return &problem{code, e.Message, e.Code.Status()}
}

const mediaJSON = "application/json"

// sendDocument answers with a document.
func sendDocument(w http.ResponseWriter, r *http.Request, media string, b []byte) error {
	send(w, r, http.StatusOK, media, b)
	return nil
}

func send(w http.ResponseWriter, r *http.Request, status int, media string, b []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // the caller is gone; nobody else is interested
	}
}
