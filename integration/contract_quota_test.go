package integration_test

import (
	"net/http"

	"github.com/ingot-ml/ingot/openapi"
)

const quotaURL = "/v1/quotas/acme"

// testQuotas says how much a namespace may hold, and pushes beyond it.
func (s *session) testQuotas(v version) {
	s.t.Helper()
	var q openapi.Quota
	s.get(http.StatusOK, "PUT", quotaURL, mediaJSON, []byte(`{"max_bytes":0,"max_stored_bytes":0}`), &q)
	s.get(http.StatusOK, "GET", quotaURL, "", nil, &q)
	if q.Usage == nil || q.Usage.Bytes == 0 || *q.Bytes != 0 || *q.Stored != 0 || q.By != "anonymous" {
		s.t.Errorf("quota: %+v", q)
	}
	var list openapi.QuotaList
	if s.get(http.StatusOK, "GET", "/v1/quotas", "", nil, &list); len(list.Quotas) != 1 || list.Quotas[0].Namespace != "acme" {
		s.t.Errorf("quotas: %+v", list)
	}
	var push openapi.Push
	s.get(http.StatusCreated, "POST", repoURL+"/pushes", "", nil, &push)
	at := "/v1/pushes/" + push.ID
	for _, m := range []mistake{
		{openapi.CodeQuotaExceeded, "PUT", at + "/chunks/" + v.chunks[0].Digest.String(), openapi.MediaChunk, v.encoded[v.chunks[0].Digest]},
		{openapi.CodeQuotaExceeded, "POST", at + "/chunks", openapi.MediaChunks, openapi.AppendFrame(nil, v.chunks[0].Digest, v.encoded[v.chunks[0].Digest])},
		{openapi.CodeQuotaExceeded, "POST", at + "/commit", openapi.MediaManifest, newVersion(s.t, v.digest, []byte("{}")).doc},
		{openapi.CodeBadName, "GET", "/v1/quotas/.acme", "", nil},
		{openapi.CodeBadName, "PUT", "/v1/quotas/.acme", mediaJSON, []byte(`{"max_bytes":1}`)},
		{openapi.CodeBadName, "DELETE", "/v1/quotas/.acme", "", nil},
		{openapi.CodeBadName, "GET", "/v1/quotas?after=.x", "", nil},
		{openapi.CodeBadRequest, "GET", "/v1/quotas?limit=0", "", nil},
		{openapi.CodeBadRequest, "PUT", quotaURL, mediaJSON, []byte(`{}`)},
		{openapi.CodeBadRequest, "PUT", quotaURL, mediaJSON, []byte(`{"max_bytes":-1}`)},
		{openapi.CodeBadRequest, "PUT", quotaURL, mediaJSON, []byte(`{"max_bytes":null}`)},
		{openapi.CodeBadRequest, "PUT", quotaURL, mediaJSON, []byte(`{"max_stored_bytes":1152921504606846977}`)},
		{openapi.CodeTooLarge, "PUT", quotaURL, mediaJSON, make([]byte, openapi.MaxJSON+1)},
	} {
		s.fails(m.want, m.method, m.path, m.media, m.body)
	}
	s.send(http.StatusNoContent, "DELETE", quotaURL, "", nil)
	s.fails(openapi.CodeNotFound, "DELETE", quotaURL, "", nil)
}

// quotaWrites are refused by a registry that only reads.
func quotaWrites() []mistake {
	return []mistake{
		{openapi.CodeReadOnly, "PUT", quotaURL, mediaJSON, []byte(`{"max_bytes":1}`)},
		{openapi.CodeReadOnly, "DELETE", quotaURL, "", nil},
	}
}
