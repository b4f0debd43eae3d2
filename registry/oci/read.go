package oci

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func checkDigest(s string) error {
	if !digestForm.MatchString(s) {
		return &problem{codeDigestInvalid, "want a digest such as sha256: and 64 hex digits", http.StatusBadRequest}
	}
	return nil
}

// manifest answers /v2/{namespace}/{model}/manifests/{tag or digest}.
func (c *call) manifest(reference string) error {
	var a *artifact
	var err error
	switch {
	case strings.Contains(reference, ":"):
		a, err = c.pinned(reference)
	case name.CheckTag(reference) != nil && !commitForm.MatchString(reference):
		return noManifest("%.128q cannot be a tag", reference)
	case wantsOllama(c.r):
		a, err = c.quantised(reference)
	default:
		a, err = c.tagged(reference)
	}
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Docker-Content-Digest", a.digest)
	h.Set("ETag", `"`+a.digest+`"`)
	h.Set("Vary", "Accept, Authorization, User-Agent")
	return sendDocument(c.w, c.r, a.media, a.doc)
}

// commitForm is a commit, which may stand for a tag.
var commitForm = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// pinned returns the artifact whose manifest has that digest.
func (c *call) pinned(digest string) (*artifact, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	rev, err := c.having(digest)
	if err != nil {
		return nil, err
	}
	if rev != nil {
		list, err := c.artifacts(rev)
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			if a.digest == digest {
				return a, nil
			}
		}
	}
	return nil, noManifest("%s has no manifest %s", c.repo, digest)
}

// tagged returns the artifact of what a tag names.
func (c *call) tagged(tag string) (*artifact, error) {
	rev, err := c.revision(tag)
	if err != nil {
		return nil, err
	}
	a, err := model(rev)
	if err != nil {
		return nil, err
	}
	return a, c.remember(rev)
}

// remember learns a revision unless that was done, so that what its manifest names is
// found when it is asked for next.
func (c *call) remember(rev *catalog.Revision) error {
	if c.index.knows(c.repo, rev.Commit) {
		return nil
	}
	return c.learn(rev)
}

// blob answers /v2/{namespace}/{model}/blobs/{digest}.
func (c *call) blob(digest string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	rev, err := c.having(digest)
	if err != nil {
		return err
	}
	if rev == nil {
		return c.noBlob(digest)
	}
	for i := range rev.Files {
		if f := &rev.Files[i]; sha256Prefix+f.SHA256 == digest {
			return c.file(rev, f, digest)
		}
	}
	list, err := c.artifacts(rev)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.about.Digest == digest {
			return c.send(small(a.config), digest)
		}
	}
	return c.noBlob(digest)
}

func (c *call) noBlob(digest string) error {
	return &problem{codeBlobUnknown, c.repo.String() + " has no blob " + digest, http.StatusNotFound}
}

func (c *call) file(rev *catalog.Revision, f *catalog.File, digest string) error {
	content, err := c.source.Open(c.r.Context(), rev, f)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }() // it was only read
	return c.send(content, digest)
}

func (c *call) send(content stream.Content, digest string) error {
	h := c.w.Header()
	h.Set("Docker-Content-Digest", digest)
	h.Set("ETag", `"`+digest+`"`)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Vary", "Authorization")
	// Some clients ask once, and then for parts of what this says.
	h.Set("Location", c.location(c.r))
	stream.Serve(c.w, c.r, content, func(err error) {
		c.logger.ErrorContext(c.r.Context(), "blob was cut off", "path", c.r.URL.Path, "error", err)
	})
	return nil
}

// small is the content of a blob that is made here.
type small []byte

// Size implements stream.Content.
func (s small) Size() int64 { return int64(len(s)) }

// Send implements stream.Content.
func (s small) Send(_ context.Context, w io.Writer, offset, n int64) error {
	_, err := w.Write(s[offset : offset+n])
	return err
}

// Close implements stream.Content.
func (s small) Close() error { return nil }

// referrers answers /v2/{namespace}/{model}/referrers/{digest}: nothing refers to
// anything here.
func (c *call) referrers(digest string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	if _, err := c.source.Refs(c.r.Context(), c.repo); err != nil {
		return err
	}
	if c.r.URL.Query().Get("artifactType") != "" {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	b, err := json.Marshal(struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}{2, mediaIndex, []descriptor{}})
	return errors.Join(err, sendDocument(c.w, c.r, mediaIndex, b))
}
