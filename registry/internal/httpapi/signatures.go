package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// signatureOf returns a version and one of its signatures.
func signatureOf(c echo.Context) (name.Repo, chunker.Digest, chunker.Digest, error) {
	repo, digest, err := versionOf(c)
	if err != nil {
		return repo, digest, chunker.Digest{}, err
	}
	id, err := chunker.ParseDigest(c.Param("signature"))
	return repo, digest, id, badName(err)
}

func (a *API) listSignatures(c echo.Context) error {
	repo, digest, err := versionOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	list, err := a.signatures.List(r.Context(), a.principal(r), repo, digest)
	return answer(c, http.StatusOK, list, err)
}

// getSignature answers with the bytes as they came.
func (a *API) getSignature(c echo.Context) error {
	repo, digest, id, err := signatureOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	bundle, err := a.signatures.Signature(r.Context(), a.principal(r), repo, digest, id)
	if err != nil {
		return err
	}
	return send(c, http.StatusOK, openapi.MediaSignature, bundle)
}

func (a *API) putSignature(c echo.Context) error {
	repo, digest, id, err := signatureOf(c)
	if err == nil {
		_, err = writableRepo(c)
	}
	if err != nil {
		return err
	}
	doc, release, err := a.document(c, openapi.MediaSignature, openapi.MaxSignature, 2)
	if err != nil {
		return err
	}
	defer release()
	r := c.Request()
	one, err := a.signatures.Put(r.Context(), a.principal(r), repo, digest, id, doc)
	return answer(c, http.StatusOK, one, err)
}

func (a *API) deleteSignature(c echo.Context) error {
	repo, digest, id, err := signatureOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	return done(c, a.signatures.Delete(r.Context(), a.principal(r), repo, digest, id))
}
