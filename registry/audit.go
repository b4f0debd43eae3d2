package registry

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/audit"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
)

// AuditStandard is the audit log that is the standard output.
const AuditStandard = audit.Standard

// openAudit opens the record of who did what, if there is to be one.
func (r *Registry) openAudit() error {
	if r.config.AuditLog == "" {
		return nil
	}
	var err error
	r.audit, err = audit.Open(r.config.AuditLog, time.Now, r.config.Logger)
	return err
}

// recordFirst records that a token was made for an admin, which nobody asked for by a
// request.
func (r *Registry) recordFirst() {
	if r.audit != nil && r.adminToken != "" {
		r.audit.Record(audit.Entry{Time: time.Now(), Who: "registry", Action: "token.create", Ref: "first admin", Result: audit.OK})
	}
}

// closeAudit closes it.
func (r *Registry) closeAudit() error {
	if r.audit == nil {
		return nil
	}
	return r.audit.Close()
}

// auditor is the record as package httpapi wants it: nothing where there is none.
func (r *Registry) auditor() httpapi.Auditor {
	if r.audit == nil {
		return nil
	}
	return r.audit
}

// parts returns the parts of a path as those take it apart who answer: what is escaped in
// it separates nothing.
func parts(r *http.Request) []string {
	list := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for i, part := range list {
		if plain, err := url.PathUnescape(part); err == nil {
			list[i] = plain
		}
	}
	return list
}

// at returns the part of that number, or nothing.
func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// hubActions are what is recorded of what lies below a model of the Hub, by method.
var hubActions = map[string]string{
	"POST commit": "hub.commit", "POST super-squash": "hub.squash", "PUT settings": "hub.settings",
	"POST branch": "hub.branch", "DELETE branch": "hub.branch.delete", "POST tag": "hub.tag", "DELETE tag": "hub.tag.delete",
}

// describeHub tells what a request to the Hub is about.
func describeHub(r *http.Request) httpapi.Deed {
	p := parts(r)
	switch {
	case at(p, 0) == "api" && at(p, 1) == "models" && len(p) >= 4:
		return describeModel(r, p[2]+"/"+p[3], p[4:])
	case at(p, 0) == "api" && at(p, 1) == "repos":
		return httpapi.Deed{Action: "hub.repo." + at(p, 2), Writes: true, Logged: true}
	case at(p, 0) == "api":
		return httpapi.Deed{Action: r.Method + " hub"}
	case strings.HasSuffix(at(p, 1), ".git"):
		d := httpapi.Deed{Action: "hub.lfs." + at(p, 5), Repo: p[0] + "/" + strings.TrimSuffix(p[1], ".git")}
		d.Writes = at(p, 5) == "upload"
		d.Logged = d.Writes
		return d
	}
	d := httpapi.Deed{Action: "hub.file", Repo: at(p, 0) + "/" + at(p, 1), Ref: strings.Join(p[min(len(p), 3):], " ")}
	d.Logged = r.Method == http.MethodGet && (r.Header.Get("Range") == "" || strings.HasPrefix(r.Header.Get("Range"), "bytes=0-"))
	return d
}

// describeModel is describeHub for what lies below a model.
func describeModel(r *http.Request, repo string, rest []string) httpapi.Deed {
	d := httpapi.Deed{Action: hubActions[r.Method+" "+at(rest, 0)], Repo: repo, Ref: at(rest, 1)}
	switch {
	case d.Action != "":
		d.Writes, d.Logged = true, true
	case r.Method == http.MethodGet && (len(rest) == 0 || rest[0] == "revision"):
		d.Action, d.Logged = "hub.version", true
	default:
		d.Action = strings.TrimSuffix("hub."+at(rest, 0), ".")
	}
	return d
}

// describeOCI tells what a request of an OCI client is about: it only reads.
func describeOCI(r *http.Request) httpapi.Deed {
	p := parts(r)
	if len(p) < 4 {
		return httpapi.Deed{Action: "oci"}
	}
	d := httpapi.Deed{Action: "oci." + p[3], Repo: p[1] + "/" + p[2], Ref: at(p, 4)}
	d.Logged = p[3] == "manifests" && r.Method == http.MethodGet
	return d
}

// describeXet tells what a request of a client of Xet is about. Xorbs and rows come and go
// like chunks.
func describeXet(r *http.Request) httpapi.Deed {
	p := parts(r)
	d := httpapi.Deed{Action: "xet." + at(p, 3), Ref: at(p, 4)}
	switch at(p, 3) {
	case "shards":
		d.Writes, d.Logged = true, true
	case "reconstructions":
		d.Logged = true
	}
	return d
}
