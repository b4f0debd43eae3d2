package httpapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/audit"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Auditor keeps the record of who did what; *audit.Log is one.
type Auditor interface {
	// Ready returns nil if what is done now can be recorded.
	Ready() error
	Record(e audit.Entry)
}

// Deed is what a request is about, as the record of who did what has it.
type Deed struct {
	Action string
	Repo   string // or namespace
	Ref    string // a tag, a version, or what else it is about
	Writes bool   // it may change something
	// Logged is set where it is recorded that it was done. That it was denied is always
	// recorded.
	Logged bool
}

// actions are the names of what is recorded, by method and route.
var actions = map[string]string{
	"GET " + versionPath:             "version.read",
	"DELETE " + versionPath:          "version.delete",
	"PUT " + repoPath + "/tags/:tag": "tag.set", "DELETE " + repoPath + "/tags/:tag": "tag.delete",
	"POST " + repoPath + "/pushes": "push.start", "POST " + pushPath + "/commit": "push.commit",
	"PUT " + signaturePath: "signature.put", "DELETE " + signaturePath: "signature.delete",
	"PUT " + retentionPath: "retention.set", "DELETE " + retentionPath: "retention.clear",
	"POST " + retentionPath + "/apply": "retention.apply",
	"PUT " + quotaPath:                 "quota.set", "DELETE " + quotaPath: "quota.clear",
	"PUT " + protectionsPath: "protection.set", "DELETE " + protectionsPath: "protection.remove",
	"POST " + tokensPath: "token.create", "DELETE " + tokensPath + "/:token": "token.revoke",
	"POST " + tokensPath + "/exchange": "token.exchange",
	"POST /v1/session":                 "session.open", "DELETE /v1/session": "session.close",
	"PUT " + upstreamPath: "upstream.register", "DELETE " + upstreamPath: "upstream.forget",
	"DELETE " + nodePath: "node.forget",
	"POST /v1/gc":        "registry.gc", "POST /v1/verify": "registry.verify", "POST /v1/compact": "registry.compact",
}

// unrecorded are the routes that change what nobody asks about later: a push or a node
// calls them all the time.
var unrecorded = map[string]bool{
	"PUT " + pushPath + "/chunks/:digest": true, "POST " + pushPath + "/chunks": true, "POST " + pushPath + "/missing": true,
	"PUT " + nodePath: true,
}

// deedOf tells what a request is about.
func (a *API) deedOf(c echo.Context) Deed {
	r, route := c.Request(), a.routeOf(c)
	if v := a.viewOf(r); v != nil && route == v.Name {
		if v.Describe == nil {
			return Deed{Action: r.Method + " " + v.Name, Writes: changes(r.Method), Logged: changes(r.Method)}
		}
		return v.Describe(r)
	}
	key := r.Method + " " + route
	d := Deed{Action: actions[key], Repo: repoText(c), Ref: refText(c)}
	switch {
	case d.Action != "":
		d.Writes, d.Logged = changes(r.Method), true
	default:
		d.Action = key
		d.Logged = changes(r.Method) && !unrecorded[key] && route != "none"
		d.Writes = d.Logged
	}
	if about, ok := c.Get(aboutKey).(Deed); ok {
		d.Repo, d.Ref = about.Repo, about.Ref
	}
	return d
}

func changes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// aboutKey is of what a handler knows better than the path.
const aboutKey = "ingot.about"

// about notes what a request is about.
func (a *API) about(c echo.Context, repo, ref string) {
	if a.auditor != nil {
		c.Set(aboutKey, Deed{Repo: repo, Ref: ref})
	}
}

// repoText is the repository of a path, or the namespace.
func repoText(c echo.Context) string {
	namespace, model := c.Param("namespace"), c.Param("model")
	if model == "" {
		return namespace
	}
	return namespace + "/" + model
}

// refText is what else a path names.
func refText(c echo.Context) string {
	var parts []string
	for _, param := range []string{"tag", "digest", "signature", "push", "token", "node"} {
		if text := c.Param(param); text != "" {
			parts = append(parts, text)
		}
	}
	if pattern := c.QueryParam("pattern"); pattern != "" {
		parts = append(parts, pattern)
	}
	return strings.Join(parts, " ")
}

// recordable refuses what changes something as long as that cannot be recorded.
func (a *API) recordable(c echo.Context) error {
	if a.auditor == nil || !a.deedOf(c).Writes {
		return nil
	}
	if err := a.auditor.Ready(); err != nil {
		a.logger.ErrorContext(c.Request().Context(), "a request is refused because it cannot be recorded", "error", err)
		return openapi.Errorf(openapi.CodeUnavailable, "the registry cannot write its audit log, and changes nothing until it can: ask its operator to make room")
	}
	return nil
}

// watch begins to look at a request; the function records it.
func (a *API) watch(c echo.Context) (record func(aborted bool)) {
	if a.auditor == nil {
		return func(bool) {}
	}
	begun := time.Now()
	ctx, asker := access.Watch(c.Request().Context())
	c.SetRequest(c.Request().WithContext(ctx))
	return func(aborted bool) {
		p, known := asker()
		if !known {
			p = access.Anonymous
		}
		d, status := a.deedOf(c), statusOf(c, aborted)
		result := a.resultOf(c, p, d, status)
		if status == http.StatusTooManyRequests || !d.Logged && result != audit.Denied {
			return
		}
		a.auditor.Record(audit.Entry{
			Time: begun, Request: trace.Request(ctx), Who: p.Subject, Token: p.Token, From: originText(c),
			Action: d.Action, Repo: d.Repo, Ref: d.Ref, Result: result, Status: status,
		})
	}
}

func originText(c echo.Context) string {
	r := c.Request()
	if from := originOf(r.Context()); from.IsValid() {
		return from.String()
	}
	return r.RemoteAddr
}

// resultOf says what came of a request. Who may not read what it has named was denied
// it, though it was told that nothing is there.
func (a *API) resultOf(c echo.Context, p access.Principal, d Deed, status int) audit.Result {
	switch {
	case status == 0 || status >= http.StatusInternalServerError:
		return audit.Failed
	case status < http.StatusBadRequest:
		return audit.OK
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return audit.Denied
	case status == http.StatusNotFound && a.hides(c, p, d):
		return audit.Denied
	}
	return audit.Refused
}

// hides reports whether a request names a repository that p may not read.
func (a *API) hides(c echo.Context, p access.Principal, d Deed) bool {
	if namespace, model, ok := strings.Cut(d.Repo, "/"); ok || d.Repo != "" {
		return a.policy.Allow(p, name.Repo{Namespace: namespace, Name: model}, access.Read) != nil
	}
	for _, param := range []string{"a", "b"} {
		if ref, err := refOf(c, param); err == nil && a.policy.Allow(p, ref.Repo, access.Read) != nil {
			return true
		}
	}
	return false
}

// aboutCommit notes what a push wanted to make readable. Where nothing is recorded it
// costs nothing.
func (a *API) aboutCommit(c echo.Context, id string, doc []byte, tag string) {
	if a.auditor == nil {
		return
	}
	r := c.Request()
	repo := ""
	if push, err := a.service.Push(r.Context(), a.principal(r), id); err == nil {
		repo = push.Repo
	}
	ref := manifest.Name(doc).String()
	if tag != "" {
		ref = tag + " " + ref
	}
	a.about(c, repo, ref)
}
