package hubclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// Body is a part of a file that is coming.
type Body struct {
	// Offset is where in the file it begins: what was asked for, or 0 where the hub
	// knows no parts.
	Offset int64
	ctx    context.Context
	client *Client
	body   io.ReadCloser
	left   int64
	watch  *watch
}

// Open asks for the bytes of a file of a commit from offset on up to end, or from the
// start where the hub does not give parts. What it says of the file must be what its
// list said. ctx is for reading too.
func (c *Client) Open(ctx context.Context, repo name.Repo, commit string, f File, offset, end int64) (*Body, error) {
	w, ctx := newWatch(ctx, c.config.Patience)
	parts := append([]string{repo.Namespace, repo.Name, "resolve", commit}, strings.Split(f.Path, "/")...)
	header := http.Header{}
	if offset > 0 || end < f.Size {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, end-1))
	}
	a, err := c.ask(ctx, c.at(nil, parts...), header)
	if err != nil {
		w.stop()
		return nil, err
	}
	b := &Body{ctx: ctx, client: c, body: a.Body, watch: w}
	if err := c.begin(b, a, commit, f, offset, end); err != nil {
		b.Close()
		return nil, err
	}
	w.most = c.config.Stall
	return b, nil
}

// begin checks the head of an answer.
func (c *Client) begin(b *Body, a *answer, commit string, f File, offset, end int64) error {
	switch a.StatusCode {
	case http.StatusOK:
		b.Offset, b.left = 0, f.Size
		if a.ContentLength >= 0 && a.ContentLength != f.Size {
			return c.wrong("file %.120q has %d bytes, its list says %d", f.Path, a.ContentLength, f.Size)
		}
	case http.StatusPartialContent:
		b.Offset, b.left = offset, end-offset
		want := fmt.Sprintf("bytes %d-%d/%d", offset, end-1, f.Size)
		if got := a.Header.Get("Content-Range"); got != want {
			return c.wrong("file %.120q: the answer has %.80q, want %q", f.Path, got, want)
		}
	default:
		return c.refusal(a)
	}
	if got := a.first.Get("X-Repo-Commit"); got != "" && got != commit {
		return c.wrong("file %.120q is of commit %.80q, not %s", f.Path, got, commit)
	}
	return c.checkTag(a, f)
}

// checkTag compares the name that the hub gives the bytes with that in its list.
func (c *Client) checkTag(a *answer, f File) error {
	size := a.first.Get("X-Linked-Size")
	if n, err := strconv.ParseInt(size, 10, 64); size != "" && (err != nil || n != f.Size) {
		return c.wrong("file %.120q has %.80q bytes, its list says %d", f.Path, size, f.Size)
	}
	tag := a.first.Get("X-Linked-Etag")
	if tag == "" {
		tag = a.first.Get("ETag")
	}
	tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	if f.SHA256 != "" && sha256Name.MatchString(tag) && tag != f.SHA256 {
		return c.wrong("file %.120q has sha256 %s, its list says %s", f.Path, tag, f.SHA256)
	}
	if f.GitSHA1 != "" && commitName.MatchString(tag) && tag != f.GitSHA1 {
		return c.wrong("file %.120q has hash %s, its list says %s", f.Path, tag, f.GitSHA1)
	}
	return nil
}

// Read implements io.Reader. It ends after what was asked for: bytes that do not come
// are an error, and those beyond are not read.
func (b *Body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	b.watch.moved()
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		err = b.client.away(b.ctx, err)
	}
	return 0, err
}

// Close lets the connection go.
func (b *Body) Close() {
	b.watch.stop()
	_ = b.body.Close()
}

// Absent tells errors that say that something is not there, or not for us.
func Absent(err error) bool {
	return errors.Is(err, catalog.ErrNoRepo) || errors.Is(err, catalog.ErrNoRevision) ||
		errors.Is(err, catalog.ErrNoFile) || errors.Is(err, catalog.ErrGated)
}
