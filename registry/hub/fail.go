package hub

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

// problem is a failure as a client of the Hub is told of it.
type problem struct {
	status  int
	code    string // X-Error-Code, by which clients choose a class of error
	message string
}

// Error implements error.
func (p *problem) Error() string { return p.message }

var (
	errNoPath = &problem{http.StatusNotFound, "", "no such path on this hub"}
	errMethod = &problem{http.StatusMethodNotAllowed, "", "no such method for this path"}
)

func badRequest(format string, args ...any) error {
	return &problem{http.StatusBadRequest, "", fmt.Sprintf(format, args...)}
}

// fail answers with what an error is to the caller.
func (h *Hub) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := h.told(r, err)
	header := w.Header()
	if p.code != "" {
		header.Set("X-Error-Code", p.code)
	}
	header.Set("X-Error-Message", oneLine(p.message))
	if p.status == http.StatusTooManyRequests || p.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	sendJSON(w, r, p.status, map[string]string{"error": p.message})
}

// oneLine makes a text fit for a header.
func oneLine(s string) string {
	quoted := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// told finds what the caller is told. Faults go to the log, under an id that the
// message has too.
func (h *Hub) told(r *http.Request, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	switch {
	case errors.Is(err, catalog.ErrNoRepo):
		return h.noRepo(r)
	case errors.Is(err, catalog.ErrNoRevision):
		return &problem{http.StatusNotFound, "RevisionNotFound", err.Error()}
	case errors.Is(err, catalog.ErrNoFile):
		return &problem{http.StatusNotFound, "EntryNotFound", err.Error()}
	case errors.Is(err, catalog.ErrUpstream):
		return &problem{http.StatusBadGateway, "", err.Error()}
	case errors.Is(err, catalog.ErrGated):
		status := http.StatusForbidden
		if !h.identify(r).Known {
			status = http.StatusUnauthorized
		}
		return &problem{status, "GatedRepo", err.Error()}
	}
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return h.translated(r, e)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &problem{http.StatusServiceUnavailable, "", "the request was given up: try again later"}
	}
	id := strings.ToLower(rand.Text()[:10])
	h.logger.ErrorContext(r.Context(), "request failed", "id", id, "method", r.Method, "path", r.URL.Path, "error", err)
	return &problem{http.StatusInternalServerError, "", "the server failed: its log has the cause under " + id}
}

// translated is for errors that say themselves what they are to a caller.
func (h *Hub) translated(r *http.Request, e *openapi.Error) *problem {
	switch e.Code {
	case openapi.CodeNotFound:
		return h.noRepo(r)
	case openapi.CodeUnauthorized:
		return &problem{http.StatusUnauthorized, "", "Invalid credentials in Authorization header"}
	case openapi.CodeForbidden:
		if who := h.identify(r); who.Controlled && !who.Known && !isUpload(r.URL.EscapedPath()) {
			return unknown
		}
	}
	return &problem{e.Code.Status(), "", e.Message}
}

// unknown is for who has to say who they are.
var unknown = &problem{http.StatusUnauthorized, "", "Invalid username or password."}

// noRepo tells that a repository is not there. As on the Hub, callers who did not say
// who they are may find it once they do.
func (h *Hub) noRepo(r *http.Request) *problem {
	if h.identify(r).Known {
		return &problem{http.StatusNotFound, "RepoNotFound", "Repository not found"}
	}
	return &problem{http.StatusUnauthorized, "RepoNotFound", "Repository not found"}
}

// answer writes v.
func (c *call) answer(status int, v any) error {
	sendJSON(c.w, c.r, status, v)
	return nil
}

// sendJSON writes v, which can be marshalled.
func sendJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	sendAs(w, r, status, "application/json; charset=utf-8", v)
}

// sendAs writes v as JSON under that name of its type.
func sendAs(w http.ResponseWriter, r *http.Request, status int, media string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // the caller is gone; nobody else is interested
	}
}
