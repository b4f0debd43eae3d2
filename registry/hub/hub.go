package hub

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
)

// Identity is who asks, as the Hub's clients are told.
type Identity struct {
	Name string
	// Known is false for callers who did not say who they are.
	Known bool
	// Reads is set for who may nowhere write.
	Reads bool
	// Controlled is set where it matters who asks, so that who is not known is to say so.
	Controlled bool
}

// Config is what a Hub works with.
type Config struct {
	Source catalog.Source
	// Writer takes what is pushed; nil refuses it.
	Writer Writer
	// Xet sends and takes large files by that protocol; nil has them go in other ways.
	Xet Xet
	// PartSize is the size in bytes from which a file is uploaded in parts; 0 is
	// DefaultPartSize.
	PartSize int64
	// Identify tells who asks; nil takes everybody with a token for "user".
	Identify func(*http.Request) Identity
	// Failed hears of faults, which are not the caller's; nil logs them.
	Logger *slog.Logger
}

// Hub answers the requests of clients of the Hugging Face Hub. It is safe for
// concurrent use.
type Hub struct {
	config   Config
	source   catalog.Source
	identify func(*http.Request) Identity
	logger   *slog.Logger
}

// New returns a Hub.
func New(c Config) *Hub {
	h := &Hub{config: c, source: c.Source, identify: c.Identify, logger: c.Logger}
	if h.config.PartSize <= 0 {
		h.config.PartSize = DefaultPartSize
	}
	if h.identify == nil {
		h.identify = bearer
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	return h
}

// bearer is for places without access control.
func bearer(r *http.Request) Identity {
	return Identity{Name: "user", Known: strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ")}
}

// Owns tells whether a path, escaped, is one of the Hub's. The namespaces api and v2
// have models that it cannot show, since their paths mean something else.
func Owns(path string) bool {
	if strings.HasPrefix(path, "/v2/") {
		return false
	}
	return strings.HasPrefix(path, "/api/") || strings.Contains(path, "/resolve/") || strings.Contains(path, "/raw/") ||
		strings.Contains(path, gitInfo)
}

// gitInfo is in the path of requests for large files.
const gitInfo = ".git/info/lfs/"

// Refuse answers a request whose credentials are wrong.
func (h *Hub) Refuse(w http.ResponseWriter, r *http.Request, e *openapi.Error) { h.fail(w, r, e) }

// ServeHTTP implements http.Handler.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(w, r); err != nil {
		h.fail(w, r, err)
	}
}

// call is a request under way.
type call struct {
	*Hub
	w   http.ResponseWriter
	r   *http.Request
	xet *action // where files go by Xet, once it was asked for
}

func (h *Hub) serve(w http.ResponseWriter, r *http.Request) error {
	c := &call{Hub: h, w: w, r: r}
	parts, err := split(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	switch {
	case parts[0] == "api":
		return c.api(parts[1:])
	case len(parts) > 1 && strings.HasSuffix(parts[1], ".git"):
		return c.lfs(parts)
	}
	return c.resolve(parts)
}

// api answers what lies below /api.
func (c *call) api(parts []string) error {
	if len(parts) == 0 {
		return errNoPath
	}
	switch parts[0] {
	case "whoami-v2":
		return c.whoami()
	case "models":
		return c.models(parts[1:])
	case "datasets", "spaces":
		return c.others(parts)
	}
	return c.writeAPI(parts)
}

// models answers what lies below /api/models.
func (c *call) models(parts []string) error {
	switch len(parts) {
	case 0:
		return c.reads(c.list)
	case 1: // a model without a namespace, as the Hub has some
		return catalog.ErrNoRepo
	}
	repo, err := repoOf(parts[0], parts[1])
	if err != nil {
		return err
	}
	rest := parts[2:]
	if len(rest) == 0 {
		return c.reads(func() error { return c.info(repo, "") })
	}
	revision := ""
	if len(rest) > 1 {
		revision = rest[1]
	}
	switch rest[0] {
	case "revision":
		return c.reads(func() error { return c.info(repo, revision) })
	case "tree":
		return c.reads(func() error { return c.tree(repo, revision, rest[min(2, len(rest)):]) })
	case "paths-info":
		return c.pathsInfo(repo, revision)
	case "xet-read-token", "xet-write-token":
		return c.reads(func() error { return c.xetToken(repo, rest[0] == "xet-write-token", revision) })
	case "refs":
		return c.reads(func() error { return c.refs(repo) })
	case "auth-check":
		return c.reads(func() error { return c.authCheck(repo) })
	case "commits":
		return c.reads(func() error { return c.commits(repo, revision) })
	}
	return c.writeModel(repo, rest)
}

// reads is for what is only asked with GET and HEAD.
func (c *call) reads(answer func() error) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return errMethod
	}
	return answer()
}

// others is for the kinds of repositories that are not kept here.
func (c *call) others(parts []string) error {
	if len(parts) == 1 {
		return c.reads(func() error { return c.answer(http.StatusOK, []any{}) })
	}
	return catalog.ErrNoRepo
}
