package hub

import (
	"bytes"
	"context"
	"crypto/sha1" // git's name of a file, by which clients know what is there already
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// inlineFile is the size in bytes up to which a file comes inside its commit: one
	// request less. Clients hold such files in memory.
	inlineFile = 5 << 20
	// maxAnnounced is how many files one question may announce; clients stop at 256.
	maxAnnounced = 10_000
)

// announced is a file that a client is about to upload.
type announced struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// mode is how it is to upload it.
type mode struct {
	Path         string `json:"path"`
	UploadMode   string `json:"uploadMode"`
	ShouldIgnore bool   `json:"shouldIgnore"`
	// OID is what is at the path now: git's name of an inline file, else the sha256.
	// Clients leave out what is the same.
	OID string `json:"oid,omitempty"`
}

// preupload tells a client how to upload each file of a commit.
func (c *call) preupload(repo name.Repo, revision string) error {
	var q struct {
		Files []announced `json:"files"`
	}
	if err := c.document(&q); err != nil {
		return err
	}
	if len(q.Files) > maxAnnounced {
		return badRequest("%d files in one question, at most %d", len(q.Files), maxAnnounced)
	}
	rev, err := c.revision(repo, revision)
	if err != nil {
		return err
	}
	// Clients prepare for long after this, so that they had better be refused now.
	if err := c.config.Writer.Writable(c.r.Context(), repo); err != nil {
		return err
	}
	modes := make([]mode, len(q.Files))
	for i, f := range q.Files {
		if modes[i], err = c.mode(rev, f); err != nil {
			return err
		}
	}
	return c.answer(http.StatusOK, map[string]any{"files": modes, "commitOid": rev.Commit})
}

func (c *call) mode(rev *catalog.Revision, f announced) (m mode, err error) {
	m = mode{Path: f.Path, UploadMode: "regular"}
	if f.Size > inlineFile {
		m.UploadMode = "lfs"
	}
	old := rev.File(f.Path)
	if old == nil || old.Size != f.Size {
		return m, nil
	}
	if m.OID = old.SHA256; m.UploadMode == "regular" {
		m.OID, err = c.gitBlob(c.r.Context(), rev, old)
	}
	return m, err
}

// gitBlob returns git's name of a small file.
func (c *call) gitBlob(ctx context.Context, rev *catalog.Revision, f *catalog.File) (string, error) {
	content, err := c.source.Open(ctx, rev, f)
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }() // it was only read
	var b bytes.Buffer
	fmt.Fprintf(&b, "blob %d\x00", f.Size)
	if err := content.Send(ctx, &b, 0, f.Size); err != nil {
		return "", err
	}
	sum := sha1.Sum(b.Bytes())
	return hex.EncodeToString(sum[:]), nil
}
