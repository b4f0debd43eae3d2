package httpapi_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

func (f *failing) Summary(context.Context, access.Principal, versions.SummaryFilter) (s openapi.Summary, err error) {
	return s, f.err
}

func (f *failing) RepoSummary(context.Context, access.Principal, name.Repo, chunker.Digest, int) (s openapi.RepoSummary, err error) {
	return s, f.err
}

func (f *failing) LayerMap(context.Context, access.Principal, name.Repo, chunker.Digest, []name.Ref) (m openapi.LayerMap, err error) {
	return m, f.err
}

// summed is a Service that notes what it is asked to sum up.
type summed struct {
	httpapi.Service
	filter  versions.SummaryFilter
	against []name.Ref
	after   chunker.Digest
	limit   int
}

func (s *summed) Summary(_ context.Context, _ access.Principal, f versions.SummaryFilter) (openapi.Summary, error) {
	s.filter = f
	sum := openapi.Summary{Models: []openapi.ModelSummary{}}
	for i := range f.Limit {
		sum.Models = append(sum.Models, openapi.ModelSummary{Name: fmt.Sprintf("acme/model-%d", i)})
	}
	return sum, nil
}

func (s *summed) RepoSummary(_ context.Context, _ access.Principal, _ name.Repo, after chunker.Digest, limit int) (openapi.RepoSummary, error) {
	s.after, s.limit = after, limit
	return openapi.RepoSummary{}, nil
}

func (s *summed) LayerMap(_ context.Context, _ access.Principal, _ name.Repo, _ chunker.Digest, against []name.Ref) (openapi.LayerMap, error) {
	s.against = against
	return openapi.LayerMap{}, nil
}

// answered sends one request to an API that is not behind a network.
func answered(api http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w.Result()
}

func TestSummaryQueries(t *testing.T) {
	s := &summed{}
	api := httpapi.New(httpapi.Config{Service: s, Memory: 1 << 20})
	for target, want := range map[string]versions.SummaryFilter{
		"/v1/summary": {Limit: 100},
		"/v1/summary?namespace=acme&q=Ll%20a&after=acme/x&limit=7": {Namespace: "acme", Search: "Ll a", After: "acme/x", Limit: 7},
	} {
		if resp := answered(api, "GET", target); resp.StatusCode != http.StatusOK || s.filter != want {
			t.Errorf("%s: status %d, %+v", target, resp.StatusCode, s.filter)
		}
	}
	digest := chunker.Sum([]byte("x"))
	if resp := answered(api, "GET", "/v1/repos/acme/llama/summary?limit=3&after="+digest.String()); resp.StatusCode != http.StatusOK || s.after != digest || s.limit != 3 {
		t.Errorf("of a repository: status %d, %v, %d", resp.StatusCode, s.after, s.limit)
	}
	answered(api, "GET", "/v1/repos/acme/llama/versions/"+digest.String()+"/map?against=acme/a&against=acme/b:v1")
	if want := []name.Ref{{Repo: name.Repo{Namespace: "acme", Name: "a"}, Tag: "main"}, {Repo: name.Repo{Namespace: "acme", Name: "b"}, Tag: "v1"}}; !reflect.DeepEqual(s.against, want) {
		t.Errorf("against %v", s.against)
	}
}

// TestSummaryPacked packs long answers for those who take that.
func TestSummaryPacked(t *testing.T) {
	api := httpapi.New(httpapi.Config{Service: &summed{}, Memory: 1 << 20})
	long := "/v1/summary?limit=1000"
	plain := answered(api, "GET", long)
	want, err := io.ReadAll(plain.Body)
	if err != nil || plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("plain: %v, %v", plain.Header, err)
	}
	packed := answered(api, "GET", long, "Accept-Encoding", "gzip")
	if packed.Header.Get("Content-Encoding") != "gzip" || packed.ContentLength > int64(len(want))/5 || packed.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("packed: %v, plain it has %d bytes", packed.Header, len(want))
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got, expect openapi.Summary
	if err := json.NewDecoder(z).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &expect); err != nil || !reflect.DeepEqual(got, expect) {
		t.Errorf("unpacked it is another: %v", err)
	}
	if short := answered(api, "GET", "/v1/summary?limit=1", "Accept-Encoding", "gzip"); short.Header.Get("Content-Encoding") != "" {
		t.Error("a short answer is packed")
	}
	if head := answered(api, "HEAD", long, "Accept-Encoding", "gzip"); head.StatusCode != http.StatusOK {
		t.Errorf("HEAD: status %d", head.StatusCode)
	}
}
