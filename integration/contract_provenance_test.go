package integration_test

import (
	"bytes"
	"net/http"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/signature"
)

// signed returns a signature of a version, and where it lies.
func (s *session) signed(v version) (path string, bundle []byte) {
	s.t.Helper()
	key, err := signature.Generate()
	if err != nil {
		s.t.Fatal(err)
	}
	if bundle, err = signature.Sign(key, v.doc, signature.Claim{}); err != nil {
		s.t.Fatal(err)
	}
	return v.url() + "/signatures/" + signature.ID(bundle).String(), bundle
}

// testSignatures signs a version.
func (s *session) testSignatures(v, other version) {
	s.t.Helper()
	path, bundle := s.signed(v)
	var one openapi.Signature
	for range 2 {
		s.get(http.StatusOK, "PUT", path, openapi.MediaSignature, bundle, &one)
		if one.ID != signature.ID(bundle) || !bytes.Equal(one.Bundle, bundle) || one.By != "anonymous" || one.Key == "" {
			s.t.Errorf("kept as %+v", one)
		}
	}
	var list openapi.SignatureList
	if s.get(http.StatusOK, "GET", v.url()+"/signatures", "", nil, &list); len(list.Signatures) != 1 || list.Signatures[0].ID != one.ID {
		s.t.Errorf("listed as %+v", list)
	}
	if got := s.send(http.StatusOK, "GET", path, "", nil); !bytes.Equal(got.body, bundle) {
		s.t.Errorf("read as %s", got.body)
	}
	nothing := chunker.Sum([]byte("nothing")).String()
	absent := "/v1/repos/acme/llama/versions/" + nothing + "/signatures"
	elsewhere, _ := s.signed(other)
	for _, m := range []mistake{
		{openapi.CodeNotFound, "GET", absent, "", nil},
		{openapi.CodeBadName, "GET", "/v1/repos/acme/llama/versions/x/signatures", "", nil},
		{openapi.CodeNotFound, "GET", v.url() + "/signatures/" + nothing, "", nil},
		{openapi.CodeBadName, "GET", v.url() + "/signatures/x", "", nil},
		{openapi.CodeNotFound, "DELETE", v.url() + "/signatures/" + nothing, "", nil},
		{openapi.CodeBadName, "DELETE", v.url() + "/signatures/x", "", nil},
		{openapi.CodeBadName, "PUT", v.url() + "/signatures/x", openapi.MediaSignature, bundle},
		{openapi.CodeNotFound, "PUT", absent + "/" + one.ID.String(), openapi.MediaSignature, bundle},
		{openapi.CodeBadRequest, "PUT", elsewhere, openapi.MediaSignature, bundle}, // not its name
		{openapi.CodeBadRequest, "PUT", other.url() + "/signatures/" + one.ID.String(), openapi.MediaSignature, bundle},
		{openapi.CodeBadRequest, "PUT", path, mediaJSON, bundle},
		{openapi.CodeTooLarge, "PUT", path, openapi.MediaSignature, make([]byte, openapi.MaxSignature+1)},
	} {
		s.fails(m.want, m.method, m.path, m.media, m.body)
	}
	s.send(http.StatusNoContent, "DELETE", path, "", nil)
	s.fails(openapi.CodeNotFound, "GET", path, "", nil)
}

// testExchange gives JWTs to a registry that takes them from nobody, and to one that
// does.
func (s *session) testExchange() {
	s.t.Helper()
	const path = "/v1/tokens/exchange"
	s.fails(openapi.CodeForbidden, "POST", path, mediaJSON, []byte(`{"token":"a.b.c"}`))
	s.fails(openapi.CodeBadRequest, "POST", path, mediaJSON, []byte(`{}`))
	s.fails(openapi.CodeTooLarge, "POST", path, mediaJSON, make([]byte, openapi.MaxJSON+1))
	c := newIssuer(s.t)
	other := &session{t: s.t, base: "http://" + serveFor(s.t, c).addr, http: s.http}
	body := []byte(`{"token":"` + c.jwt("ml:node", nil) + `"}`)
	var got openapi.Exchanged
	if other.get(http.StatusOK, "POST", path, mediaJSON, body, &got); got.Subject != "nodes" || len(got.Scopes) != 1 {
		s.t.Errorf("exchanged for %+v", got)
	}
	other.fails(openapi.CodeUnauthorized, "POST", path, mediaJSON, body)
}

// provenanceWrites are what a read-only registry refuses.
func (s *session) provenanceWrites(v version) []mistake {
	path, bundle := s.signed(v)
	return []mistake{
		{openapi.CodeReadOnly, "PUT", path, openapi.MediaSignature, bundle},
		{openapi.CodeReadOnly, "DELETE", path, "", nil},
		{openapi.CodeReadOnly, "POST", "/v1/tokens/exchange", mediaJSON, []byte(`{"token":"a.b.c"}`)},
	}
}
