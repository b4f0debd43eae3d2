package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

// maxJWT bounds the token of an issuer in bytes.
const maxJWT = 16 << 10

// Exchange has the registry give a token for one of an issuer of OpenID Connect, a JWT.
// It does so once for each. Like a token it does not go over plain HTTP to another
// machine, unless Options allow that: ErrPlain.
func (r *Registry) Exchange(ctx context.Context, jwt string) (openapi.Exchanged, error) {
	if !r.wire.Private() {
		return openapi.Exchanged{}, fmt.Errorf("registry %s: %w: reach it by https", r.wire.Base(), ErrPlain)
	}
	body, err := json.Marshal(openapi.Exchange{Token: jwt})
	if err != nil {
		return openapi.Exchanged{}, fmt.Errorf("exchange a token: %w", err)
	}
	got, err := call[openapi.Exchanged](ctx, r, wire.Request{
		Method: http.MethodPost, Path: []string{"v1", "tokens", "exchange"}, Type: mediaJSON, Body: body, Accept: mediaJSON,
	})
	if err == nil && got.Token == "" {
		err = fmt.Errorf("%s answers without a token: %w", r.wire.Base(), ErrCorrupt)
	}
	return got, err
}

const (
	// renewAhead is how long before its end a token is exchanged for the next.
	renewAhead = 3 * time.Minute
	// renewPause is the least time between two exchanges that fail: a registry counts
	// them.
	renewPause = 20 * time.Second
)

// Exchanger is a token for a registry that is got for one of an issuer, which somebody
// else, such as Kubernetes, puts into a file and replaces there from time to time. It is
// safe for concurrent use.
type Exchanger struct {
	registry *Registry
	file     string
	now      func() time.Time

	turn   chan struct{} // has the one who may use what follows
	token  string
	until  time.Time
	used   string // the JWT that was exchanged last, or tried
	tried  time.Time
	failed error
}

// NewExchanger returns an Exchanger for the registry at base. It does not connect.
func NewExchanger(base, file string, o Options) (*Exchanger, error) {
	o.Token = nil // what it sends says who it is
	r, err := New(base, o)
	if err != nil {
		return nil, err
	}
	return &Exchanger{registry: r, file: file, now: time.Now, turn: make(chan struct{}, 1)}, nil
}

// Token returns the token, as Options.Token does. It exchanges another one before that
// ends; until then a registry that cannot be asked is no failure.
func (x *Exchanger) Token(ctx context.Context) (string, error) {
	select {
	case x.turn <- struct{}{}:
		defer func() { <-x.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := x.now()
	if now.Before(x.until.Add(-renewAhead)) {
		return x.token, nil
	}
	if err := x.renew(ctx, now); err != nil && !now.Before(x.until) {
		return "", err
	}
	return x.token, nil
}

// renew exchanges what is in the file, unless that was exchanged or has failed just now.
func (x *Exchanger) renew(ctx context.Context, now time.Time) error {
	jwt, err := ReadJWT(x.file)
	if err != nil {
		return err
	}
	if x.failed == nil && jwt == x.used {
		return fmt.Errorf("%s was exchanged already, and nobody has renewed it since: want one that is renewed every 10 minutes", x.file)
	}
	if x.failed != nil && now.Sub(x.tried) < renewPause {
		return x.failed
	}
	got, err := x.registry.Exchange(ctx, jwt)
	if err != nil && ctx.Err() != nil {
		return err // nothing is known of the token
	}
	x.used, x.tried, x.failed = jwt, now, nil
	if err != nil {
		x.failed = fmt.Errorf("exchange %s: %w", x.file, err)
		return x.failed
	}
	x.token, x.until = got.Token, got.Expires
	return nil
}

// ReadJWT reads the token of an issuer from a file.
func ReadJWT(file string) (text string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(io.LimitReader(f, maxJWT+1))
	if err != nil {
		return "", err
	}
	text = strings.TrimSpace(string(b))
	if len(b) > maxJWT || strings.Count(text, ".") != 2 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s holds no JWT: want three parts with dots between them, at most %d bytes", file, maxJWT)
	}
	return text, nil
}
