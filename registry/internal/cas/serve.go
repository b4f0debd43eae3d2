package cas

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/xet"
	"github.com/ingot-ml/ingot/registry/name"
)

// prefix is what paths of the service begin with; the realm follows.
const prefix = "/xet/"

// own is what paths of the service look like: no path of a model called xet/… does.
var own = regexp.MustCompile(`^` + prefix + `[0-9a-f]{16}/v[12]/`)

// Owns tells whether a path, escaped, is one of the service's.
func Owns(path string) bool { return own.MatchString(path) }

// failure is what a client is told.
type failure struct {
	status  int
	message string
}

// Error implements error.
func (f *failure) Error() string { return f.message }

var (
	errNoPath = &failure{http.StatusNotFound, "no such path"}
	errMethod = &failure{http.StatusMethodNotAllowed, "no such method for this path"}
)

// call is a request under way.
type call struct {
	*Service
	w http.ResponseWriter
	r *http.Request

	realm  string
	claims claims
	repo   name.Repo
	asks   access.Principal
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Service: s, w: w, r: r}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

// serve finds what a path means: /xet/{realm}/{version}/{what}/…
func (c *call) serve() error {
	parts := strings.Split(strings.TrimPrefix(c.r.URL.EscapedPath(), prefix), "/")
	if len(parts) < 3 {
		return errNoPath
	}
	c.realm = parts[0]
	version, what, rest := parts[1], parts[2], parts[3:]
	if what == "rows" && version == "v1" && len(rest) == 1 {
		return c.on(http.MethodGet, func() error { return c.row(rest[0]) })
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	switch {
	case what == "reconstructions" && len(rest) == 1 && (version == "v1" || version == "v2"):
		return c.on(http.MethodGet, func() error { return c.reconstruction(rest[0], version) })
	case what == "shards" && len(rest) == 0 && (version == "v1" || version == "v2"):
		return c.on(http.MethodPost, func() error { return c.postShard(version) })
	case what == "xorbs" && len(rest) == 2 && version == "v1":
		return c.on(http.MethodPost, func() error { return c.postXorb(rest[1]) })
	case what == "chunks" && len(rest) == 2 && version == "v1":
		// Chunks of others are not told of: that would tell what others have.
		return &failure{http.StatusNotFound, "this chunk is not known: send it"}
	case what == "telemetry" && version == "v1":
		return c.on(http.MethodPost, func() error { return c.answer(http.StatusOK, struct{}{}) })
	}
	return errNoPath
}

func (c *call) on(method string, answer func() error) error {
	if c.r.Method != method && (method != http.MethodGet || c.r.Method != http.MethodHead) {
		return errMethod
	}
	return answer()
}

// authenticate finds out who asks from the token.
func (c *call) authenticate() error {
	token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return &failure{http.StatusUnauthorized, "a token is needed: ask the registry for one"}
	}
	err := c.Grants.Check(c.r.Context(), purpose, token, &c.claims)
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return &failure{http.StatusUnauthorized, e.Message}
	}
	if err != nil {
		return err
	}
	return c.be(c.claims.Who, c.claims.Repo)
}

// be has the request be one of somebody who may still ask, for a repository.
func (c *call) be(who access.Principal, repo string) (err error) {
	if c.Valid != nil {
		if err := c.Valid(c.r.Context(), who); err != nil {
			return err
		}
	}
	c.asks = who
	c.r = c.r.WithContext(access.NewContext(c.r.Context(), c.asks))
	c.repo, err = name.ParseRepo(repo)
	return err
}

// writes returns nil if the token lets the caller send files.
func (c *call) writes() error {
	if !c.claims.Write {
		return &failure{http.StatusForbidden, "this token is for reading only"}
	}
	return c.allow(c.asks, c.repo, access.Push)
}

// fail answers with what an error is to the caller.
func (c *call) fail(err error) {
	f := c.told(c.r.Context(), err)
	if f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable {
		c.w.Header().Set("Retry-After", "5")
	}
	_ = c.answer(f.status, map[string]string{"error": f.message}) // the caller is gone
}

// told finds what the caller is told. Faults go to the log, under an id that the
// message has too.
func (s *Service) told(ctx context.Context, err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*openapi.Error](err); ok {
		return &failure{e.Code.Status(), e.Message}
	}
	switch {
	case errors.Is(err, xet.ErrXorb), errors.Is(err, xet.ErrShard), errors.Is(err, xet.ErrHash):
		return &failure{http.StatusBadRequest, err.Error()}
	case errors.Is(err, catalog.ErrNoRepo), errors.Is(err, catalog.ErrNoRevision), errors.Is(err, catalog.ErrNoFile):
		return &failure{http.StatusNotFound, err.Error()}
	case errors.Is(err, catalog.ErrGated):
		return &failure{http.StatusForbidden, err.Error()}
	case ctx.Err() != nil:
		return &failure{http.StatusServiceUnavailable, "the request was given up: try again later"}
	}
	id := strings.ToLower(rand.Text()[:10])
	s.Logger.ErrorContext(ctx, "xet request failed", "id", id, "error", err)
	return &failure{http.StatusInternalServerError, "the server failed: its log has the cause under " + id}
}

// answer writes v.
func (c *call) answer(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, err = c.w.Write(b)
	return err
}
