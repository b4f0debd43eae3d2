package integration_test

import (
	"net/http"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

const retentionURL = repoURL + "/retention"

// testHistory looks at what versions were made from and how they are stored, and has
// a rule say which of them stay.
func (s *session) testHistory(base, next version) {
	s.t.Helper()
	var log openapi.Log
	s.get(http.StatusOK, "GET", repoURL+"/log?ref=next&limit=1", "", nil, &log)
	if len(log.Entries) != 1 || log.Entries[0].Digest != next.digest || log.Entries[0].New != 1 || log.Next != next.digest.String() {
		s.t.Errorf("a page of a log: %+v", log)
	}
	var end openapi.Log
	s.get(http.StatusOK, "GET", repoURL+"/log?after="+log.Next, "", nil, &end)
	if len(end.Entries) != 1 || end.Entries[0].Digest != base.digest || end.Entries[0].New != 3 || end.Next != "" {
		s.t.Errorf("the end of a log: %+v", end)
	}
	var e openapi.Encodings
	if s.get(http.StatusOK, "GET", next.url()+"/encodings", "", nil, &e); e.Whole.Chunks != 3 || e.Shared.Chunks != 2 || e.Added.Chunks != 1 {
		s.t.Errorf("encodings: %+v", e)
	}

	var rule openapi.Retention
	s.get(http.StatusOK, "PUT", retentionURL, mediaJSON, []byte(`{"keep_last":1,"keep_every":10,"keep_best":{"count":2,"metric":"ingot.loss","order":"min"},"grace_seconds":3600}`), &rule)
	if s.get(http.StatusOK, "GET", retentionURL, "", nil, &rule); rule.KeepLast != 1 || rule.KeepBest.Count != 2 || *rule.GraceSeconds != 3600 {
		s.t.Errorf("retention: %+v", rule)
	}
	for _, how := range []string{"?dry_run=yes", ""} {
		var report openapi.RetentionReport
		if s.get(http.StatusOK, "POST", retentionURL+"/apply"+how, "", nil, &report); report.Versions != 2 || report.Kept[openapi.KeptTagged] != 2 {
			s.t.Errorf("retention applied%s: %+v", how, report)
		}
	}
	s.send(http.StatusNoContent, "DELETE", retentionURL, "", nil)
}

func historyMistakes() []mistake {
	nothing := chunker.Sum([]byte("nothing")).String()
	return []mistake{
		{openapi.CodeBadName, "GET", repoURL + "/log?ref=.x", "", nil},
		{openapi.CodeBadName, "GET", repoURL + "/log?ref=@" + nothing[1:], "", nil},
		{openapi.CodeBadName, "GET", repoURL + "/log?ref=" + nothing, "", nil},
		{openapi.CodeBadName, "GET", repoURL + "/log?after=x", "", nil},
		{openapi.CodeBadRequest, "GET", repoURL + "/log?limit=0", "", nil},
		{openapi.CodeNotFound, "GET", repoURL + "/log?ref=absent", "", nil},
		{openapi.CodeNotFound, "GET", repoURL + "/log?ref=@" + nothing, "", nil},
		{openapi.CodeNotFound, "GET", repoURL + "/log?after=" + nothing, "", nil},
		{openapi.CodeNotFound, "GET", "/v1/repos/acme/other/log", "", nil},
		{openapi.CodeBadName, "GET", repoURL + "/versions/main/encodings", "", nil},
		{openapi.CodeNotFound, "GET", repoURL + "/versions/" + nothing + "/encodings", "", nil},
		{openapi.CodeNotFound, "GET", retentionURL, "", nil},
		{openapi.CodeBadName, "GET", "/v1/repos/acme/.llama/retention", "", nil},
		{openapi.CodeNotFound, "DELETE", retentionURL, "", nil},
		{openapi.CodeBadName, "DELETE", "/v1/repos/acme/.llama/retention", "", nil},
		{openapi.CodeNotFound, "POST", retentionURL + "/apply", "", nil},
		{openapi.CodeBadRequest, "POST", retentionURL + "/apply?dry_run=no", "", nil},
		{openapi.CodeBadName, "POST", "/v1/repos/acme/.llama/retention/apply", "", nil},
		{openapi.CodeBadName, "PUT", "/v1/repos/acme/.llama/retention", mediaJSON, []byte(`{"keep_last":1}`)},
		{openapi.CodeBadName, "PUT", "/v1/repos/acme/llama.git/retention", mediaJSON, []byte(`{"keep_last":1}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{"grace_seconds":1}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{"keep_last":0}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{"keep_last":1,"keep_every":-1}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{"keep_last":null}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{"keep_last":1,"grace_seconds":-1}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{"keep_best":{"count":0,"metric":"loss","order":"min"}}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{"keep_best":{"count":1,"metric":"","order":"min"}}`)},
		{openapi.CodeBadRequest, "PUT", retentionURL, mediaJSON, []byte(`{"keep_best":{"count":1,"metric":"loss","order":"least"}}`)},
		{openapi.CodeTooLarge, "PUT", retentionURL, mediaJSON, make([]byte, openapi.MaxJSON+1)},
	}
}

// historyWrites are what a read-only registry refuses.
func historyWrites() []mistake {
	return []mistake{
		{openapi.CodeReadOnly, "PUT", retentionURL, mediaJSON, []byte(`{"keep_last":1}`)},
		{openapi.CodeReadOnly, "DELETE", retentionURL, "", nil},
		{openapi.CodeReadOnly, "POST", retentionURL + "/apply", "", nil},
	}
}
