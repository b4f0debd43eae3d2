package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/events"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
)

// revocable is an Authenticator whose one token can be revoked.
type revocable struct{ revoked atomic.Bool }

func (r *revocable) Authenticate(*http.Request) (access.Principal, error) {
	if r.revoked.Load() {
		return access.Principal{}, openapi.Errorf(openapi.CodeUnauthorized, "revoked")
	}
	return access.Principal{Subject: "alice", Scopes: "acme/*:pull"}, nil
}

// TestListenersAreRevoked ends a stream soon after the token is revoked that it was asked
// for with.
func TestListenersAreRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &revocable{}
		api := httpapi.New(httpapi.Config{Events: events.NewHub(access.NewScoped()), Authenticator: a, Memory: 1 << 20})
		p, ended := &page{header: http.Header{}}, make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			defer close(ended)
			api.ServeHTTP(p, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events?match=*", nil))
		}()
		time.Sleep(31 * time.Second)
		a.revoked.Store(true)
		select {
		case <-ended:
		case <-time.After(16 * time.Second):
			t.Fatal("the stream goes on")
		}
		if n := strings.Count(p.text.String(), ": alive"); n != 2 {
			t.Errorf("%d signs of life, want those before: %q", n, p.text.String())
		}
	})
}
