package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

func (a *API) startPush(c echo.Context) error {
	repo, err := writableRepo(c)
	if err != nil {
		return err
	}
	r := c.Request()
	push, err := a.service.StartPush(r.Context(), a.principal(r), repo)
	return answer(c, http.StatusCreated, push, err)
}

func (a *API) getPush(c echo.Context) error {
	id, err := pushOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	push, err := a.service.Push(r.Context(), a.principal(r), id)
	return answer(c, http.StatusOK, push, err)
}

func (a *API) findMissing(c echo.Context) error {
	id, err := pushOf(c)
	if err != nil {
		return err
	}
	fresh, err := saysYes(c, "fresh")
	if err != nil {
		return err
	}
	body, release, err := a.document(c, openapi.MediaDigests, openapi.MaxMissing*chunker.DigestSize, 2)
	if err != nil {
		return err
	}
	defer release()
	digests, err := parseDigests(body)
	if err != nil {
		return err
	}
	r := c.Request()
	ask := a.service.Missing
	if fresh {
		ask = a.service.MissingFresh
	}
	missing, err := ask(r.Context(), a.principal(r), id, digests)
	if err != nil {
		return err
	}
	return send(c, http.StatusOK, openapi.MediaBitmap, bitmap(missing))
}

func parseDigests(body []byte) ([]chunker.Digest, error) {
	if len(body)%chunker.DigestSize != 0 {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "body of %d bytes is not digests of %d", len(body), chunker.DigestSize)
	}
	digests := make([]chunker.Digest, len(body)/chunker.DigestSize)
	for i := range digests {
		copy(digests[i][:], body[i*chunker.DigestSize:])
	}
	return digests, nil
}

// bitmap returns one bit for each, the lowest of a byte first.
func bitmap(set []bool) []byte {
	b := make([]byte, (len(set)+7)/8)
	for i, on := range set {
		if on {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// parsedShare is how many times its length a manifest takes while it is parsed
// and worked on.
const parsedShare = 4

func (a *API) commitPush(c echo.Context) error {
	id, err := pushOf(c)
	if err != nil {
		return err
	}
	tag, expect, err := commitTag(c)
	if err != nil {
		return err
	}
	orphan, err := saysYes(c, "orphan")
	if err != nil {
		return err
	}
	doc, release, err := a.document(c, openapi.MediaManifest, manifest.MaxSize, parsedShare)
	if err != nil {
		return err
	}
	defer release()
	r := c.Request()
	commit := a.service.Commit
	if orphan {
		commit = a.service.CommitOrphan
	}
	committed, err := commit(r.Context(), a.principal(r), id, doc, tag, expect)
	a.aboutCommit(c, id, doc, tag)
	return answer(c, created(committed.Created), committed, err)
}

// commitTag returns the tag that a commit sets, if any, and where it must be.
func commitTag(c echo.Context) (tag, expect string, err error) {
	tag, expect = c.QueryParam("tag"), c.QueryParam("expect")
	if tag == "" && expect != "" {
		return "", "", openapi.Errorf(openapi.CodeBadRequest, "expect without a tag")
	}
	if tag != "" {
		if err := name.CheckTag(tag); err != nil {
			return "", "", badName(err)
		}
	}
	return tag, expect, checkExpect(expect)
}

// created returns 201 for something new, 200 for something that was there.
func created(isNew bool) int {
	if isNew {
		return http.StatusCreated
	}
	return http.StatusOK
}
