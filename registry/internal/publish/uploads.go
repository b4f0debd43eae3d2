package publish

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/name"
)

// looking is how many files are looked for at a time.
const looking = 8

// Sizes implements hub.Uploads.
func (w *Publisher) Sizes(ctx context.Context, repo name.Repo, sha256 []string) ([]int64, error) {
	p := access.FromContext(ctx)
	sizes := make([]int64, len(sha256))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(looking)
	for i, sum := range sha256 {
		sizes[i] = -1
		if sum == "" {
			continue
		}
		group.Go(func() error {
			o, ok, err := w.Ingest.Find(ctx, p, repo, sum)
			if ok {
				sizes[i] = o.Size
			}
			return err
		})
	}
	return sizes, group.Wait()
}

// purpose of a grant for an upload.
const purpose = "upload"

// claims are what a grant for an upload says.
type claims struct {
	hub.Upload
	Who access.Principal `json:"who"`
}

// Permit implements hub.Uploads.
func (w *Publisher) Permit(ctx context.Context, u hub.Upload) (string, error) {
	p := access.FromContext(ctx)
	if w.Policy.Allow(p, u.Repo, access.Push) != nil {
		return "", openapi.Errorf(openapi.CodeForbidden, "%s: %s may not push here", u.Repo, p.Subject)
	}
	return w.Grants.Sign(ctx, purpose, claims{u, p}, w.Good)
}

// Permitted implements hub.Uploads.
func (w *Publisher) Permitted(ctx context.Context, token string) (context.Context, hub.Upload, error) {
	var c claims
	if err := w.Grants.Check(ctx, purpose, token, &c); err != nil {
		return ctx, hub.Upload{}, err
	}
	if w.Valid != nil {
		if err := w.Valid(ctx, c.Who); err != nil {
			return ctx, hub.Upload{}, err
		}
	}
	return access.NewContext(ctx, c.Who), c.Upload, nil
}

// Put implements hub.Uploads. A part is an object of the same repository, whose tag is
// its sha256.
func (w *Publisher) Put(ctx context.Context, u hub.Upload, body io.Reader) (string, error) {
	want := ingest.Want{SHA256: u.SHA256, Size: u.Length}
	if u.Part != 0 {
		want.SHA256 = ""
	}
	o, err := w.Ingest.Receive(ctx, access.FromContext(ctx), u.Repo, body, "", want)
	return o.SHA256, err
}

// Join implements hub.Uploads. What the parts were is of no use afterwards.
func (w *Publisher) Join(ctx context.Context, u hub.Upload, etags []string) error {
	p := access.FromContext(ctx)
	if _, ok, err := w.Ingest.Find(ctx, p, u.Repo, u.SHA256); ok || err != nil {
		return err
	}
	parts := make([]ingest.Object, len(etags))
	var size int64
	for i, etag := range etags {
		o, ok, err := w.Ingest.Find(ctx, p, u.Repo, etag)
		if err != nil {
			return err
		}
		if !ok {
			return openapi.Errorf(openapi.CodeBadRequest, "part %d was not uploaded: upload it, then complete the file again", i+1)
		}
		parts[i] = o
		size += o.Size
	}
	if size != u.Size {
		return openapi.Errorf(openapi.CodeBadRequest, "the parts have %d bytes, the file %d: nothing is kept", size, u.Size)
	}
	if err := w.join(ctx, p, u, parts); err != nil {
		return err
	}
	for _, etag := range etags {
		if err := w.Ingest.Forget(ctx, u.Repo, etag); err != nil && ctx.Err() == nil {
			w.Logger.WarnContext(ctx, "a part of a file stays until it expires", "repo", u.Repo.String(), "part", etag, "error", err)
		}
	}
	return nil
}

func (w *Publisher) join(ctx context.Context, p access.Principal, u hub.Upload, parts []ingest.Object) error {
	f, err := w.Ingest.Spool(u.Size)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	out := io.NewOffsetWriter(f, 0)
	for _, o := range parts {
		if err := w.Ingest.Copy(ctx, p, out, o); err != nil {
			return err
		}
	}
	_, err = w.Ingest.Keep(ctx, p, u.Repo, f, "", ingest.Want{SHA256: u.SHA256, Size: u.Size})
	return err
}
