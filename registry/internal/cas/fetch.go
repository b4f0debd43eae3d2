package cas

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/xet"
	"github.com/ingot-ml/ingot/registry/stream"
)

// rowPurpose is what addresses of rows are signed for.
const rowPurpose = "xet row"

// rowClaims are what the address of a row says.
type rowClaims struct {
	Who    access.Principal `json:"p"`
	Repo   string           `json:"r"`
	Commit string           `json:"c"`
	SHA256 string           `json:"f"`
}

// The answer to the question of which chunks a file is made. Ranges of chunks have an
// end that is not in them, ranges of bytes one that is.
type (
	plan struct {
		Offset int64              `json:"offset_into_first_range"`
		Terms  []planTerm         `json:"terms"`
		Xorbs  map[string][]fetch `json:"xorbs,omitempty"`      // version 2
		Infos  map[string][]info  `json:"fetch_info,omitempty"` // version 1
	}
	planTerm struct {
		Hash  string `json:"hash"`
		Size  int64  `json:"unpacked_length"`
		Range pair   `json:"range"`
	}
	fetch struct {
		URL    string       `json:"url"`
		Ranges []fetchRange `json:"ranges"`
	}
	fetchRange struct {
		Chunks pair `json:"chunks"`
		Bytes  pair `json:"bytes"`
	}
	info struct {
		Range pair   `json:"range"`
		URL   string `json:"url"`
		Bytes pair   `json:"url_range"`
	}
	pair struct {
		Start int64 `json:"start"`
		End   int64 `json:"end"`
	}
)

// fileOf finds the file with that sha256 in a commit.
func (c *call) fileOf(commit, sha string) (*catalog.Revision, *catalog.File, error) {
	if c.WriteOnly || commit == "" {
		return nil, nil, &failure{http.StatusNotFound, "files are fetched in other ways here"}
	}
	rev, err := c.Source.Revision(c.r.Context(), c.repo, commit)
	if err != nil {
		return nil, nil, err
	}
	for i := range rev.Files {
		if rev.Files[i].SHA256 == sha && rev.Files[i].Size > 0 {
			return rev, &rev.Files[i], nil
		}
	}
	return nil, nil, fmt.Errorf("%s at %.12s has no file %.12s: %w", c.repo, commit, sha, catalog.ErrNoFile)
}

// reconstruction tells of which rows a file, or a range of it, is made.
func (c *call) reconstruction(sha, version string) error {
	if _, err := xet.ParseHash(sha); err != nil {
		return err
	}
	_, f, err := c.fileOf(c.claims.Commit, sha)
	if err != nil {
		return err
	}
	from, to, err := c.wanted(f.Size)
	if err != nil {
		return err
	}
	grant, err := c.Grants.Sign(c.r.Context(), rowPurpose,
		rowClaims{c.claims.Who, c.claims.Repo, c.claims.Commit, sha}, tokenLife)
	if err != nil {
		return err
	}
	p, err := planOf(f, from, to, c.origin()+prefix+c.realm+"/v1/rows/", "?grant="+grant, version == "v2")
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, p)
}

// origin is where the caller reached this process.
func (c *call) origin() string {
	if c.Address != "" {
		return c.Address
	}
	scheme := "http"
	if c.r.TLS != nil || c.r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}

// wanted reads which bytes are asked for: from the first to before the second.
func (c *call) wanted(size int64) (from, to int64, err error) {
	text := c.r.Header.Get("Range")
	if text == "" {
		return 0, size, nil
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	from, err = strconv.ParseInt(first, 10, 64)
	if err == nil {
		to, err = endOf(last)
	}
	if !ok || err != nil || from < 0 || to < from {
		return 0, 0, &failure{http.StatusBadRequest, "a range is bytes=FIRST-LAST"}
	}
	if from >= size {
		return 0, 0, &failure{http.StatusRequestedRangeNotSatisfiable, fmt.Sprintf("the file has %d bytes", size)}
	}
	return from, min(to, size-1) + 1, nil
}

// endOf reads the last byte of a range. Clients ask up to 2⁶⁴-2 for all.
func endOf(text string) (int64, error) {
	last, err := strconv.ParseUint(text, 10, 64)
	return int64(min(last, 1<<62)), err
}

// planOf says which chunks make the bytes of a file from from to before to.
func planOf(f *catalog.File, from, to int64, rows, query string, second bool) (*plan, error) {
	sum, err := digest(f.SHA256)
	if err != nil {
		return nil, err
	}
	p := &plan{Offset: from % xet.MaxChunk, Terms: []planTerm{}}
	if second {
		p.Xorbs = map[string][]fetch{}
	} else {
		p.Infos = map[string][]info{}
	}
	for i := from / xet.RowPlain; ; i++ {
		row, ok := xet.RowAt(f.Size, i)
		if !ok || row.Offset() >= to {
			return p, nil
		}
		first := max(0, from-row.Offset()) / xet.MaxChunk
		end := (min(row.Plain, to-row.Offset()) + xet.MaxChunk - 1) / xet.MaxChunk
		hash, url := row.Name(sum).String(), rows+strconv.FormatInt(i, 10)+query
		chunks, bytes := pair{first, end}, pair{row.Len(first), row.Len(end) - 1}
		p.Terms = append(p.Terms, planTerm{hash, min(end*xet.MaxChunk, row.Plain) - first*xet.MaxChunk, chunks})
		if second {
			p.Xorbs[hash] = []fetch{{url, []fetchRange{{chunks, bytes}}}}
		} else {
			p.Infos[hash] = []info{{chunks, url, bytes}}
		}
	}
}

func digest(text string) (sum [32]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(sum) {
		return sum, fmt.Errorf("sha256 %.80q: not 64 hex digits", text)
	}
	return [32]byte(raw), nil
}

// row answers with the bytes of a row, or a range of them. The grant is in the query,
// which is not logged.
func (c *call) row(index string) error {
	var claims rowClaims
	err := c.Grants.Check(c.r.Context(), rowPurpose, c.r.URL.Query().Get("grant"), &claims)
	if err != nil {
		return err // openapi.CodeForbidden has clients ask for another
	}
	if err := c.be(claims.Who, claims.Repo); err != nil {
		return err
	}
	rev, f, err := c.fileOf(claims.Commit, claims.SHA256)
	if err != nil {
		return err
	}
	i, err := strconv.ParseInt(index, 10, 64)
	row, ok := xet.RowAt(f.Size, i)
	if err != nil || !ok {
		return openapi.Errorf(openapi.CodeNotFound, "the file has no row %.20q", index)
	}
	content, err := c.Source.Open(c.r.Context(), rev, f)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }() // it was only read
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", `"`+f.SHA256+"-"+index+`"`)
	h.Set("Cache-Control", "private, max-age=3600")
	stream.Serve(c.w, c.r, &rowContent{content, row}, func(err error) {
		c.Logger.ErrorContext(c.r.Context(), "row was cut off", "repo", c.repo.String(), "file", f.Path, "row", i, "error", err)
	})
	return nil
}

// rowContent is a row of a file.
type rowContent struct {
	file stream.Content
	row  xet.Row
}

// Size implements stream.Content.
func (r *rowContent) Size() int64 { return r.row.Len(r.row.Chunks()) }

// Close implements stream.Content.
func (r *rowContent) Close() error { return nil }

// Send implements stream.Content.
func (r *rowContent) Send(ctx context.Context, w io.Writer, offset, n int64) error {
	begin, count := r.row.Within(offset, n)
	framed, finish := r.row.Frame(w, offset, n)
	if count > 0 {
		if err := r.file.Send(ctx, framed, r.row.Offset()+begin, count); err != nil {
			return err
		}
	}
	return finish()
}
