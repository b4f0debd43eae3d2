package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Writer takes what is pushed. Who asks is in the context. Errors that a caller can
// act on are those that a catalog.Source has, or *openapi.Error. It is safe for
// concurrent use.
type Writer interface {
	Repos
	Refs
	Uploads
	// Writable returns nil if who asks may push to a repository.
	Writable(ctx context.Context, repo name.Repo) error
	// Begin begins a commit to a branch, which exists. Contents of its files take at
	// most room bytes.
	Begin(ctx context.Context, repo name.Repo, branch string, room int64) (Draft, error)
}

// Repos makes and deletes repositories.
type Repos interface {
	// Create makes a repository with a first version that has no files; made is false
	// for one that is there.
	Create(ctx context.Context, repo name.Repo) (made bool, err error)
	Delete(ctx context.Context, repo name.Repo) error
	// Move gives a repository another name, which is free.
	Move(ctx context.Context, from, to name.Repo) error
}

// Refs makes and deletes names of versions. Those that are there are
// *openapi.Error with CodeTagMoved.
type Refs interface {
	CreateRef(ctx context.Context, repo name.Repo, ref string, branch bool, at chunker.Digest) error
	DeleteRef(ctx context.Context, repo name.Repo, ref string, branch bool) error
	// Squash makes the files of a branch one version without a past.
	Squash(ctx context.Context, repo name.Repo, branch, title string) error
}

// Upload is a large file that is uploaded, or a part of one.
type Upload struct {
	Repo   name.Repo `json:"repo"`
	SHA256 string    `json:"sha256"` // of the whole file
	Size   int64     `json:"size"`   // of the whole file, in bytes
	Part   int       `json:"part"`   // from 1 on; 0 for the whole file at once
	Length int64     `json:"length"` // bytes of the part
}

// Uploads takes large files.
type Uploads interface {
	// Sizes returns the sizes of the files with those sha256 that the repository has; a
	// negative one for each that it has not, or whose sha256 is empty.
	Sizes(ctx context.Context, repo name.Repo, sha256 []string) ([]int64, error)
	// Permit returns a text by which whoever has it may make the upload for a time.
	Permit(ctx context.Context, u Upload) (token string, err error)
	// Permitted returns what such a text permits, and a context in which the one asks
	// who was permitted it.
	Permitted(ctx context.Context, token string) (context.Context, Upload, error)
	// Put takes the bytes of an upload: body has Length of them, or fails. The tag
	// stands for a part later; that of a whole file nobody needs.
	Put(ctx context.Context, u Upload, body io.Reader) (etag string, err error)
	// Join makes the file of its parts, which are named by their tags.
	Join(ctx context.Context, u Upload, etags []string) error
}

// Draft is a commit in the making. It is for one goroutine. The caller closes it.
type Draft interface {
	// Stage takes the content of a file, of which the change speaks by the number.
	Stage(r io.Reader) (content int, err error)
	// Commit makes the commit and returns its name.
	Commit(ctx context.Context, c Change) (commit string, err error)
	Close() error
}

// Change is what a commit does.
type Change struct {
	Title, Message string
	// Parent is the commit that the branch has to be at; empty for any.
	Parent string
	Ops    []Op // in this order
}

// OpKind is what an Op does.
type OpKind string

// The kinds, as clients call them.
const (
	OpFile         OpKind = "file"    // Content becomes the file at Path
	OpLFSFile      OpKind = "lfsFile" // the file with SHA256 and Size becomes the one at Path
	OpDeleteFile   OpKind = "deletedFile"
	OpDeleteFolder OpKind = "deletedFolder"
	OpCopy         OpKind = "copyFile" // the file at FromPath of FromRevision becomes the one at Path
)

// Op is a step of a change.
type Op struct {
	Kind         OpKind
	Path         string
	Content      int
	SHA256       string
	Size         int64
	FromPath     string
	FromRevision string // empty for the head of the branch
}

// errReadOnly is for what would change something, where nothing is taken.
var errReadOnly = &problem{http.StatusForbidden, "", "this endpoint only reads: set HF_ENDPOINT to the registry to publish"}

// writeAPI answers what lies below /api and is of no model.
func (c *call) writeAPI(parts []string) error {
	if parts[0] == "validate-yaml" {
		return c.posts(c.validateCard)
	}
	if len(parts) != 2 || parts[0] != "repos" {
		return errNoPath
	}
	if c.config.Writer == nil {
		return errReadOnly
	}
	switch parts[1] {
	case "create":
		return c.posts(c.createRepo)
	case "delete":
		return c.method(http.MethodDelete, c.deleteRepo)
	case "move":
		return c.posts(c.moveRepo)
	}
	return errNoPath
}

// writeModel answers what lies below a model and is not read.
func (c *call) writeModel(repo name.Repo, rest []string) error {
	if rest[0] == "lfs-files" {
		return c.lfsFiles(repo, rest[1:])
	}
	if c.config.Writer == nil {
		return errReadOnly
	}
	if rest[0] == "settings" && len(rest) == 1 {
		return c.method(http.MethodPut, func() error { return c.settings(repo) })
	}
	if len(rest) != 2 {
		return errNoPath
	}
	what, revision := rest[0], rest[1]
	switch what {
	case "preupload":
		return c.posts(func() error { return c.preupload(repo, revision) })
	case "commit":
		return c.posts(func() error { return c.commit(repo, revision) })
	case "branch", "tag":
		return c.ref(repo, revision, what == "branch")
	case "super-squash":
		return c.posts(func() error { return c.squash(repo, revision) })
	}
	return errNoPath
}

// posts is for what is only asked with POST.
func (c *call) posts(answer func() error) error { return c.method(http.MethodPost, answer) }

func (c *call) method(method string, answer func() error) error {
	if c.r.Method != method {
		return errMethod
	}
	return answer()
}

// maxDocument bounds the JSON of a request in bytes: a question for the most files
// that clients ask of at once, with a sample of each.
const maxDocument = 8 << 20

// written are the types of bodies that change something. A page in somebody's browser
// may send other types, but not these, to a server that has not allowed it.
var written = map[string]bool{"application/json": true, "application/x-ndjson": true, mediaLFS: true}

// writes makes sure that a request was meant for this server.
func (c *call) writes() error {
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if c.r.Method == http.MethodPost && (err != nil || !written[media]) {
		return &problem{http.StatusUnsupportedMediaType, "", "the body has to be of the type application/json, or for a commit application/x-ndjson"}
	}
	return nil
}

// document reads the JSON body of a request into v. No body leaves it as it is.
func (c *call) document(v any) error {
	if err := c.writes(); err != nil {
		return err
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxDocument))
	if err != nil {
		return badRequest("body: %v", err)
	}
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return badRequest("body: %v", err)
	}
	return nil
}

// body returns the bytes that a request brings, of which n are expected. What keeps
// them from coming is not this server's fault.
func (c *call) body(n int64) io.Reader { return &body{stream.Body(c.w, c.r, n)} }

type body struct{ r io.Reader }

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	switch {
	case err == nil || errors.Is(err, io.EOF):
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &problem{http.StatusRequestTimeout, "", "the body came too slowly: nothing is kept, send it again"}
	default:
		err = badRequest("the body did not come to its end: nothing is kept, send it again")
	}
	return n, err
}

// known fails unless the caller can read the repository.
func (c *call) known(repo name.Repo) error {
	_, err := c.source.Refs(c.r.Context(), repo)
	return err
}

// digestOf returns the version that a revision names.
func (c *call) digestOf(repo name.Repo, revision string) (chunker.Digest, error) {
	rev, err := c.revision(repo, revision)
	if err != nil {
		return chunker.Digest{}, err
	}
	if rev.Digest.IsZero() {
		return rev.Digest, catalog.ErrNoRevision
	}
	return rev.Digest, nil
}
