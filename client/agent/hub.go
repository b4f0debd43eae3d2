package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Files reads the files of models from an agent. It is safe for concurrent use.
type Files struct{ agent *Agent }

// Files returns who reads files from the agent.
func (a *Agent) Files() Files { return Files{a} }

// modelInfo is what is read of the description of a model.
type modelInfo struct {
	SHA      string `json:"sha"`
	Siblings []struct {
		Path   string `json:"rfilename"`
		Size   int64  `json:"size"`
		BlobID string `json:"blobId"`
		LFS    *struct {
			SHA256 string `json:"sha256"`
		} `json:"lfs"`
	} `json:"siblings"`
}

// Revision returns what a branch, tag, commit or digest names.
func (f Files) Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	r, err := f.agent.get(ctx, "/api/models/"+repo.String()+"/revision/"+url.PathEscape(revision)+"?blobs=true", "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Body.Close() }() // read to its end, or of no use
	var info modelInfo
	if err := json.NewDecoder(io.LimitReader(r.Body, maxAnswer)).Decode(&info); err != nil {
		return nil, fmt.Errorf("agent %s: description of %s: %w: %w", f.agent.address, repo, err, ErrProtocol)
	}
	rev := &catalog.Revision{Repo: repo, Commit: info.SHA}
	for _, s := range info.Siblings {
		file := catalog.File{Path: s.Path, Size: s.Size, ETag: s.BlobID}
		if s.LFS != nil {
			file.SHA256, file.ETag = s.LFS.SHA256, s.LFS.SHA256
		}
		rev.Files = append(rev.Files, file)
	}
	return rev, nil
}

// Open returns the bytes of a file, one of r.Files.
func (f Files) Open(_ context.Context, r *catalog.Revision, file *catalog.File) (stream.Content, error) {
	parts := strings.Split(file.Path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return &content{f.agent, "/" + r.Repo.String() + "/resolve/" + r.Commit + "/" + strings.Join(parts, "/"), file.Size}, nil
}

// content is a file that an agent has.
type content struct {
	agent *Agent
	path  string
	size  int64
}

// Size implements stream.Content.
func (c *content) Size() int64 { return c.size }

// Close implements stream.Content.
func (c *content) Close() error { return nil }

// Send implements stream.Content.
func (c *content) Send(ctx context.Context, w io.Writer, offset, n int64) error {
	if n == 0 {
		return nil
	}
	r, err := c.agent.get(ctx, c.path, fmt.Sprintf("bytes=%d-%d", offset, offset+n-1))
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }() // as in Revision
	if want := fmt.Sprintf("bytes %d-%d/%d", offset, offset+n-1, c.size); r.Header.Get("Content-Range") != want {
		return fmt.Errorf("agent %s: %s is %q, want %q: %w", c.agent.address, c.path, r.Header.Get("Content-Range"), want, ErrProtocol)
	}
	_, err = io.CopyN(w, r.Body, n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("agent %s: %s broke off: %w", c.agent.address, c.path, ErrLost)
	}
	return err
}

// get asks as a client of the Hugging Face Hub does; ranged is a header.
func (a *Agent) get(ctx context.Context, path, ranged string) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", a.address, err)
	}
	if ranged != "" {
		q.Header.Set("Range", ranged)
	}
	r, err := a.do(q)
	if err != nil {
		return nil, err
	}
	if r.StatusCode == http.StatusOK || r.StatusCode == http.StatusPartialContent {
		return r, nil
	}
	defer func() { _ = r.Body.Close() }() // as in Revision
	code := openapi.CodeInternal
	switch {
	case r.Header.Get("X-Error-Code") != "":
		code = openapi.CodeNotFound
	case r.StatusCode == http.StatusServiceUnavailable:
		code = openapi.CodeUnavailable
	case r.StatusCode == http.StatusUnauthorized:
		code = openapi.CodeUnauthorized
	case r.StatusCode == http.StatusForbidden:
		code = openapi.CodeForbidden
	}
	message := r.Header.Get("X-Error-Message")
	if message == "" {
		message = "it answers " + r.Status
	}
	return nil, openapi.Errorf(code, "agent %s: %.300s", a.address, message)
}
