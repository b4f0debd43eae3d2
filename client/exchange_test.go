package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// vouching is a registry that exchanges each JWT once.
type vouching struct {
	now   time.Time
	seen  map[string]bool
	asked int
	down  bool
}

func (v *vouching) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.asked++
	var q openapi.Exchange
	err := json.NewDecoder(r.Body).Decode(&q)
	if v.down || err != nil || r.URL.Path != "/v1/tokens/exchange" || r.Header.Get("Authorization") != "" || v.seen[q.Token] {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(openapi.ErrorBody{Error: openapi.Errorf(openapi.CodeUnauthorized, "no")})
		return
	}
	v.seen[q.Token] = true
	_ = json.NewEncoder(w).Encode(openapi.Exchanged{Token: "for-" + q.Token, Expires: v.now.Add(15 * time.Minute)})
}

// TestExchanger renews a token as the file changes.
func TestExchanger(t *testing.T) {
	v := &vouching{now: time.Unix(1_800_000_000, 0), seen: map[string]bool{}}
	server := httptest.NewServer(v)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	x, err := NewExchanger(server.URL, file, Options{Patience: time.Millisecond, Token: func(context.Context) (string, error) { return "", errors.New("asked") }})
	if err != nil {
		t.Fatal(err)
	}
	x.now = func() time.Time { return v.now }
	put := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	get := func(what, want, wrong string, asked int) {
		t.Helper()
		got, err := x.Token(t.Context())
		if got != want || v.asked != asked || (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: %q, %v after %d exchanges; want %q, %q after %d", what, got, err, v.asked, want, wrong, asked)
		}
	}
	get("no file", "", "no such file", 0)
	put("no JWT")
	get("no JWT", "", "no JWT", 0)
	put("a.b.1\n")
	get("the first", "for-a.b.1", "", 1)
	get("again", "for-a.b.1", "", 1)
	put("a.b.2")
	get("while it is good", "for-a.b.1", "", 1)
	v.now = v.now.Add(13 * time.Minute)
	get("soon over", "for-a.b.2", "", 2)
	v.now = v.now.Add(13 * time.Minute)
	get("soon over, and the file is the same", "for-a.b.2", "", 2)
	v.now = v.now.Add(3 * time.Minute)
	get("over, and the file is the same", "", "nobody has renewed it", 2)
	v.down = true
	put("a.b.3")
	get("refused", "", "exchange", 3)
	get("a moment later", "", "exchange", 3)
	v.down = false
	v.now = v.now.Add(time.Minute)
	get("tried again", "for-a.b.3", "", 4)
	v.down = true
	put("a.b.4")
	v.now = v.now.Add(13 * time.Minute)
	get("refused while it is good", "for-a.b.3", "", 5)
	get("a moment later", "for-a.b.3", "", 5)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x.turn <- struct{}{}
	if _, err := x.Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("in line behind another: %v", err)
	}
}

// TestExchangeInPlain would send a JWT to another machine where anybody can read it.
func TestExchangeInPlain(t *testing.T) {
	r, err := New("http://192.0.2.1:7070", Options{Patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Exchange(t.Context(), "a.b.c"); !errors.Is(err, ErrPlain) {
		t.Errorf("%v, want ErrPlain", err)
	}
}
