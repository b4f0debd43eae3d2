package integration_test

import (
	"bytes"
	"net/http"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

// testSummaries asks for what the page shows.
func (s *session) testSummaries(base, next version) {
	s.t.Helper()
	var sum openapi.Summary
	if s.get(http.StatusOK, "GET", "/v1/summary?namespace=acme&q=LLA&limit=1", "", nil, &sum); len(sum.Models) != 1 ||
		sum.Models[0].Name != "acme/llama" || sum.Models[0].Versions != 2 || sum.Totals.Versions != 2 || sum.Weighed == nil || sum.Weighed.Unique == 0 {
		s.t.Errorf("summary: %+v", sum)
	}
	var repo openapi.RepoSummary
	if s.get(http.StatusOK, "GET", repoURL+"/summary?limit=1", "", nil, &repo); repo.Count != 2 || len(repo.Versions) != 1 ||
		repo.Versions[0].Digest != next.digest || repo.Versions[0].New != 1 || len(repo.Tags) == 0 || repo.Next != next.digest.String() {
		s.t.Errorf("summary of a repository: %+v", repo)
	}
	if s.get(http.StatusOK, "GET", repoURL+"/summary?after="+repo.Next, "", nil, &repo); len(repo.Versions) != 1 || repo.Versions[0].Digest != base.digest {
		s.t.Errorf("its second page: %+v", repo)
	}
	for query, why := range map[string]string{"": openapi.WhyParent, "?against=acme/llama@" + base.digest.String(): openapi.WhyAsked} {
		var m openapi.LayerMap
		s.get(http.StatusOK, "GET", next.url()+"/map"+query, "", nil, &m)
		if len(m.Sources) != 1 || m.Sources[0].Digest != base.digest || m.Sources[0].Why != why || m.Sources[0].Shared != 300<<10+2 || len(m.Layers) != 3 {
			s.t.Errorf("map: %+v", m)
		}
	}
	// Where everybody may do everything, nobody needs a cookie.
	if got := s.send(http.StatusOK, "POST", "/v1/session", mediaJSON, []byte(`{"token":"hf_x"}`)); len(got.Cookies()) != 0 {
		s.t.Errorf("a cookie of an open registry: %v", got.Header)
	}
	s.send(http.StatusNoContent, "DELETE", "/v1/session", "", nil)
	shown := s.do(s.t.Context(), "GET", "/", "", nil, http.Header{"Accept": {"text/html"}})
	if shown.StatusCode != http.StatusOK || !bytes.Contains(shown.body, []byte(`type="module"`)) {
		s.t.Errorf("a browser gets %d, %.300s", shown.StatusCode, shown.body)
	}
}

func summaryMistakes(v version) []mistake {
	nothing := chunker.Sum([]byte("nothing")).String()
	return []mistake{
		{openapi.CodeBadName, "GET", "/v1/summary?namespace=..", "", nil},
		{openapi.CodeBadName, "GET", "/v1/summary?after=acme", "", nil},
		{openapi.CodeBadRequest, "GET", "/v1/summary?limit=1001", "", nil},
		{openapi.CodeBadRequest, "GET", "/v1/summary?q=" + string(bytes.Repeat([]byte("x"), openapi.MaxSearch+1)), "", nil},
		{openapi.CodeBadName, "GET", repoURL + "/summary?after=x", "", nil},
		{openapi.CodeBadRequest, "GET", repoURL + "/summary?limit=0", "", nil},
		{openapi.CodeNotFound, "GET", repoURL + "/summary?after=" + nothing, "", nil},
		{openapi.CodeNotFound, "GET", "/v1/repos/acme/other/summary", "", nil},
		{openapi.CodeBadName, "GET", repoURL + "/versions/main/map", "", nil},
		{openapi.CodeBadName, "GET", v.url() + "/map?against=llama", "", nil},
		{openapi.CodeNotFound, "GET", v.url() + "/map?against=acme/llama:absent", "", nil},
		{openapi.CodeNotFound, "GET", repoURL + "/versions/" + nothing + "/map", "", nil},
		{openapi.CodeBadRequest, "GET", v.url() + "/map?against=a/b&against=a/b&against=a/b&against=a/b&against=a/b", "", nil},
		{openapi.CodeBadRequest, "POST", "/v1/session", mediaJSON, []byte(`{}`)},
		{openapi.CodeTooLarge, "POST", "/v1/session", mediaJSON, make([]byte, openapi.MaxJSON+1)},
	}
}
