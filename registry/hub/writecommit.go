package hub

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// maxOps is how many steps a commit may have: one for every file of the largest
	// version, and one for every file that it replaces.
	maxOps = 200_000
	// maxUnannounced is the room for the contents of a commit whose length nobody said.
	maxUnannounced = 256 << 20
)

// line is one line of a commit, but for the content of a file.
type line struct {
	Key   OpKind `json:"key"`
	Value struct {
		Summary      string `json:"summary"`
		Description  string `json:"description"`
		ParentCommit string `json:"parentCommit"`

		Path        string `json:"path"`
		Encoding    string `json:"encoding"`
		Algo        string `json:"algo"`
		OID         string `json:"oid"`
		Size        int64  `json:"size"`
		SrcPath     string `json:"srcPath"`
		SrcRevision string `json:"srcRevision"`
	} `json:"value"`
}

// commit makes a commit of the lines of the body. Contents of files go to the draft
// as they come; what is held in memory is the rest of the lines.
func (c *call) commit(repo name.Repo, branch string) error {
	if on := c.r.URL.Query().Get("create_pr"); on != "" && on != "0" && on != "false" {
		return badRequest("pull requests are not kept here: commit to a branch")
	}
	if err := c.writes(); err != nil {
		return err
	}
	if err := c.known(repo); err != nil {
		return err
	}
	room := c.r.ContentLength
	if room < 0 {
		room = maxUnannounced
	}
	draft, err := c.config.Writer.Begin(c.r.Context(), repo, plainRef(branch), room)
	if err != nil {
		return err
	}
	defer func() { _ = draft.Close() }() // what was staged is committed or given up
	change, err := readChange(c.body(room), draft)
	if err != nil {
		return err
	}
	made, err := draft.Commit(c.r.Context(), change)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]any{
		"success": true, "commitOid": made, "commitUrl": base(c.r) + "/" + repo.String() + "/commit/" + made, "hookOutput": "",
	})
}

// opHeader is the key of the line that says what the commit is.
const opHeader OpKind = "header"

var errNoHeader = badRequest("a commit begins with a line that has the key header")

// readChange reads the lines of a commit.
func readChange(body io.Reader, draft Draft) (change Change, err error) {
	lines := newLines(body)
	for begun := false; ; begun = true {
		content := -1
		raw, err := lines.next(func(text io.Reader) (err error) {
			content, err = draft.Stage(base64.NewDecoder(base64.StdEncoding, text))
			return notBase64(err)
		})
		if errors.Is(err, io.EOF) && begun {
			return change, nil
		}
		if errors.Is(err, io.EOF) {
			return change, errNoHeader
		}
		if err != nil {
			return change, err
		}
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			return change, badRequest("line %d of the commit: %v", lines.count, err)
		}
		if !begun && l.Key != opHeader {
			return change, errNoHeader
		}
		if err := change.take(&l, content, lines.count); err != nil {
			return change, err
		}
	}
}

// notBase64 makes what is wrong with a content the caller's fault.
func notBase64(err error) error {
	if e, ok := errors.AsType[base64.CorruptInputError](err); ok {
		return badRequest("content of a file: %v", e)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return badRequest("content of a file: it ends too early")
	}
	return err
}

// take adds what a line says.
func (c *Change) take(l *line, content, number int) error {
	op := Op{Kind: l.Key, Path: l.Value.Path, Content: content, SHA256: l.Value.OID, Size: l.Value.Size,
		FromPath: l.Value.SrcPath, FromRevision: l.Value.SrcRevision}
	switch l.Key {
	case opHeader:
		c.Title, c.Message, c.Parent = l.Value.Summary, l.Value.Description, l.Value.ParentCommit
		return nil
	case OpFile:
		if l.Value.Encoding != "" && l.Value.Encoding != "base64" || content < 0 {
			return badRequest("line %d of the commit: a file has its content in base64", number)
		}
	case OpLFSFile:
		if l.Value.Algo != "" && l.Value.Algo != "sha256" || !isSHA256(l.Value.OID) || l.Value.Size < 0 {
			return badRequest("line %d of the commit: a large file has algo sha256, an oid of 64 hex digits and a size", number)
		}
	case OpDeleteFile, OpDeleteFolder, OpCopy:
	default:
		return badRequest("line %d of the commit: unknown key %.40q", number, string(l.Key))
	}
	if len(c.Ops) == maxOps {
		return badRequest("a commit of more than %d steps: make several", maxOps)
	}
	c.Ops = append(c.Ops, op)
	return nil
}

// isSHA256 tells 64 lower-case hex digits.
func isSHA256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
