package hub

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// DefaultPartSize lets the largest shards that tools write be sent at once.
	DefaultPartSize = 5 << 30
	// maxParts bounds the parts of a file, whose addresses are told all at once.
	maxParts = 10_000
	// maxObjects bounds the files of one question; clients stop at 256.
	maxObjects = 10_000
	// maxObject bounds the size of a file in bytes: more no version holds.
	maxObject = 4 << 40
	mediaLFS  = "application/vnd.git-lfs+json"
)

// lfs answers /{namespace}/{model}.git/info/lfs/objects/….
func (c *call) lfs(parts []string) error {
	if parts[0] == "datasets" || parts[0] == "spaces" {
		return catalog.ErrNoRepo
	}
	repo, err := repoOf(parts[0], strings.TrimSuffix(parts[1], ".git"))
	if err != nil {
		return err
	}
	rest := parts[2:]
	if len(rest) != 4 || rest[0] != "info" || rest[1] != "lfs" || rest[2] != "objects" {
		return errNoPath
	}
	if c.config.Writer == nil {
		return errReadOnly
	}
	switch rest[3] {
	case "batch":
		return c.posts(func() error { return c.batch(repo) })
	case "verify":
		return c.posts(func() error { return c.verify(repo) })
	case "upload":
		return c.upload(repo)
	}
	return errNoPath
}

// object is a large file as LFS speaks of it.
type object struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

// described is an object with what is to be done with it: nothing for one that is
// there.
type described struct {
	object
	Authenticated bool              `json:"authenticated,omitempty"`
	Actions       map[string]action `json:"actions,omitempty"`
	Error         *objectError      `json:"error,omitempty"`
}

type action struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header,omitempty"`
}

type objectError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// batch tells where to upload the files that are not here yet.
func (c *call) batch(repo name.Repo) error {
	var q struct {
		Operation string   `json:"operation"`
		Transfers []string `json:"transfers"`
		Objects   []object `json:"objects"`
		HashAlgo  string   `json:"hash_algo"`
	}
	if err := c.document(&q); err != nil {
		return err
	}
	switch {
	case q.Operation != "upload":
		return badRequest("operation %.20q: files are downloaded at /{model}/resolve/{revision}/{path}", q.Operation)
	case q.HashAlgo != "" && q.HashAlgo != "sha256" && q.HashAlgo != "sha_256": // as two clients spell it
		return badRequest("hash %.20q: files are known by their sha256", q.HashAlgo)
	case len(q.Objects) > maxObjects:
		return badRequest("%d files in one question, at most %d", len(q.Objects), maxObjects)
	}
	if err := c.known(repo); err != nil {
		return err
	}
	transfer := c.transfer(q.Transfers, q.Objects)
	list, err := c.describeObjects(repo, q.Objects, transfer)
	if err != nil {
		return err
	}
	sendAs(c.w, c.r, http.StatusOK, mediaLFS, map[string]any{"transfer": transfer, "objects": list, "hash_algo": "sha256"})
	return nil
}

// offersXet reports whether files are taken by Xet too.
func (c *call) offersXet() bool { return c.config.Xet != nil }

// transfer chooses how files are sent. One batch has one way for all.
func (c *call) transfer(offered []string, objects []object) string {
	if slices.Contains(offered, "xet") && c.offersXet() {
		return "xet"
	}
	long := slices.ContainsFunc(objects, func(o object) bool { return o.Size > c.config.PartSize })
	if long && slices.Contains(offered, "multipart") {
		return "multipart"
	}
	return "basic"
}

func (c *call) describeObjects(repo name.Repo, objects []object, transfer string) ([]described, error) {
	list := make([]described, len(objects))
	sums := make([]string, len(objects))
	for i, o := range objects {
		list[i] = described{object: o, Authenticated: true}
		switch {
		case !isSHA256(o.OID):
			list[i].Error = &objectError{http.StatusUnprocessableEntity, "the oid is not the 64 hex digits of a sha256"}
		case o.Size < 0 || o.Size > maxObject || o.Size > maxParts*c.config.PartSize:
			list[i].Error = &objectError{http.StatusUnprocessableEntity, fmt.Sprintf("a file of %d bytes: at most %d", o.Size, min(maxObject, maxParts*c.config.PartSize))}
		default:
			sums[i] = o.OID
		}
	}
	sizes, err := c.config.Writer.Sizes(c.r.Context(), repo, sums)
	if err != nil {
		return nil, err
	}
	for i := range list {
		o := &list[i]
		switch {
		case o.Error != nil || sizes[i] == o.Size:
		case sizes[i] >= 0:
			o.Error = &objectError{http.StatusUnprocessableEntity, fmt.Sprintf("the file with that sha256 has %d bytes, not %d", sizes[i], o.Size)}
		default:
			if o.Actions, err = c.actions(repo, o.object, transfer); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// actions says where a file goes.
func (c *call) actions(repo name.Repo, o object, transfer string) (map[string]action, error) {
	if transfer == "xet" {
		if c.xet == nil {
			var err error
			if c.xet, err = c.xetAction(repo); err != nil {
				return nil, err
			}
		}
		return map[string]action{"upload": *c.xet}, nil
	}
	u := Upload{Repo: repo, SHA256: o.OID, Size: o.Size, Length: o.Size}
	up := action{}
	var err error
	if up.Href, err = c.address(u); err != nil {
		return nil, err
	}
	if transfer == "multipart" && o.Size > c.config.PartSize {
		if up.Header, err = c.partAddresses(u); err != nil {
			return nil, err
		}
	}
	return map[string]action{
		"upload": up,
		"verify": {Href: base(c.r) + "/" + repo.String() + ".git/info/lfs/objects/verify"},
	}, nil
}

// address is where an upload goes. Clients send it no credentials.
func (c *call) address(u Upload) (string, error) {
	token, err := c.config.Writer.Permit(c.r.Context(), u)
	return base(c.r) + "/" + u.Repo.String() + ".git/info/lfs/objects/upload?token=" + token, err
}

// partAddresses lists where the parts of a file go, by their numbers.
func (c *call) partAddresses(u Upload) (map[string]string, error) {
	size := c.config.PartSize
	header := map[string]string{"chunk_size": strconv.FormatInt(size, 10)}
	for n, at := 1, int64(0); at < u.Size; n, at = n+1, at+size {
		u.Part, u.Length = n, min(size, u.Size-at)
		href, err := c.address(u)
		if err != nil {
			return nil, err
		}
		header[fmt.Sprintf("%05d", n)] = href
	}
	return header, nil
}

// verify tells a client that what it uploaded is here.
func (c *call) verify(repo name.Repo) error {
	var o object
	if err := c.document(&o); err != nil {
		return err
	}
	if !isSHA256(o.OID) {
		return badRequest("the oid is not the 64 hex digits of a sha256")
	}
	sizes, err := c.config.Writer.Sizes(c.r.Context(), repo, []string{o.OID})
	if err != nil {
		return err
	}
	if sizes[0] >= 0 && sizes[0] != o.Size {
		return badRequest("the file with sha256 %s has %d bytes, not %d", o.OID, sizes[0], o.Size)
	}
	if sizes[0] < 0 {
		if err := c.known(repo); err != nil {
			return err
		}
		return &problem{http.StatusNotFound, "EntryNotFound", "nothing with sha256 " + o.OID + " was uploaded to " + repo.String()}
	}
	return c.done()
}
