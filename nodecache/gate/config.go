package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The defaults of a Config.
const (
	DefaultDeadline  = 5 * time.Minute
	DefaultIdle      = 5 * time.Minute
	DefaultWaiting   = 1024
	DefaultReadyPath = "/health"
)

// Config says what a gate stands before.
type Config struct {
	// Upstream is the service: scheme, host and perhaps a path that goes before all
	// others.
	Upstream *url.URL
	// ReadyPath is where a GET of the service answers 2xx when it takes requests;
	// empty is DefaultReadyPath.
	ReadyPath string
	// Model is what the service needs.
	Model Model
	// Deadline is how long a request is held at most; 0 is DefaultDeadline.
	Deadline time.Duration
	// Idle is how long the model stays leased after the last request; 0 is
	// DefaultIdle.
	Idle time.Duration
	// Waiting is the most requests that are held at a time; 0 is DefaultWaiting.
	Waiting int
	// Local is a gate for the programs of this machine: requests that pages in a browser
	// make are refused, unless the page is the service's own, and so are those sent to a
	// name that is not known to lead here. Hosts are further such names, and Origins
	// pages that may ask.
	Local   bool
	Hosts   []string
	Origins []string
	// Transport reaches the service; nil is TCP.
	Transport http.RoundTripper
	// Logger gets what happens; nil is silence.
	Logger *slog.Logger
}

// Model is what a gate waits for.
type Model interface {
	// Hold brings the model in, and keeps it until the Held is released. ctx bounds
	// the bringing in. An error that is Permanent is told to all who wait.
	Hold(ctx context.Context) (Held, error)
}

// Held is a model that is there.
type Held interface {
	// Over is closed when the model should be held anew: it may be gone though nobody
	// released it, or has another version.
	Over() <-chan struct{}
	// Release lets it go.
	Release() error
}

// ErrPermanent marks an error of Hold that another try does not mend.
var ErrPermanent = errors.New("another try will not help")

// withDefaults returns c with every zero replaced by what it means.
func (c Config) withDefaults() (Config, error) {
	if c.Upstream == nil || c.Upstream.Host == "" || c.Upstream.Scheme != "http" && c.Upstream.Scheme != "https" {
		return c, fmt.Errorf("gate: upstream %v: want a URL such as http://127.0.0.1:8000", c.Upstream)
	}
	c.ReadyPath = cmp.Or(c.ReadyPath, DefaultReadyPath)
	if !strings.HasPrefix(c.ReadyPath, "/") {
		return c, fmt.Errorf("gate: ready path %.80q: want one that begins with /", c.ReadyPath)
	}
	if c.Model == nil {
		return c, errors.New("gate: no model to wait for")
	}
	if c.Deadline < 0 || c.Idle < 0 || c.Waiting < 0 {
		return c, errors.New("gate: deadline, idle time and number of waiting requests cannot be below zero")
	}
	c.Deadline = cmp.Or(c.Deadline, DefaultDeadline)
	c.Idle = cmp.Or(c.Idle, DefaultIdle)
	c.Waiting = cmp.Or(c.Waiting, DefaultWaiting)
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
