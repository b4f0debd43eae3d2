package hub_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// guarded is a source that lets nobody read. Callers with a bad token are told so.
type guarded struct{ catalog.Source }

type badToken struct{}

func refuse(ctx context.Context) error {
	if ctx.Value(badToken{}) != nil {
		return openapi.Errorf(openapi.CodeUnauthorized, "this token is not known")
	}
	return catalog.ErrGated
}

func (guarded) Refs(ctx context.Context, _ name.Repo) ([]catalog.Ref, error) {
	return nil, refuse(ctx)
}

func (guarded) Revision(ctx context.Context, _ name.Repo, _ string) (*catalog.Revision, error) {
	return nil, refuse(ctx)
}

// TestGated has clients ask for what they may not read. A registry refuses nobody, so
// the endpoint is asked that it has, over a source that does.
func TestGated(t *testing.T) {
	t.Parallel()
	endpoint := hub.New(hub.Config{Source: guarded{}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer hf_bad") {
			r = r.WithContext(context.WithValue(r.Context(), badToken{}, true))
		}
		endpoint.ServeHTTP(w, r)
	}))
	defer server.Close()
	for _, venv := range []string{"hub0", "hub1", "hub2"} {
		t.Run(venv, func(t *testing.T) {
			if got := (python{venv: venv}).run(t, server.URL, "gated.py"); len(got.Ran) != 2 {
				t.Errorf("it has run %v", got.Ran)
			}
		})
	}
}

// huge is a source of one file of 60 GB, whose bytes nobody gets to ask for.
type huge struct{ catalog.Source }

func (huge) Revision(_ context.Context, repo name.Repo, _ string) (*catalog.Revision, error) {
	sum := strings.Repeat("ab", 32)
	return &catalog.Revision{Repo: repo, Commit: sum[:catalog.CommitLen],
		Files: []catalog.File{{Path: "large.gguf", Size: 60_000_000_000, SHA256: sum, ETag: sum}}}, nil
}

// Open implements catalog.Source.
func (huge) Open(context.Context, *catalog.Revision, *catalog.File) (stream.Content, error) {
	return nil, errors.New("nothing is there")
}

// TestTooLarge has clients that may not use Xet ask for a file of 60 GB: they say
// themselves that it is too large, and what to do.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(hub.New(hub.Config{Source: huge{}}))
	defer server.Close()
	for _, env := range []python{{venv: "hub0"}, {venv: "hub1", vars: []string{withoutXet}}, {venv: "hub2", vars: []string{withoutXet}}} {
		t.Run(env.venv, func(t *testing.T) {
			if got := env.run(t, server.URL, "large.py"); len(got.Ran) != 1 {
				t.Errorf("it has run %v", got.Ran)
			}
		})
	}
}
