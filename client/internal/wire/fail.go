package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cenkalti/backoff/v5"

	"github.com/ingot-ml/ingot/openapi"
)

// maxError bounds the body of a failure in bytes.
const maxError = 64 << 10

// broken is the failure of a connection.
func broken(ctx context.Context, method, target string, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		err = cause
	}
	return fmt.Errorf("%s %s: %w: %w (is it running, and is the address right?)", method, target, ErrUnreachable, err)
}

// refused is the failure that a response with a bad status tells.
func (c *Caller) refused(resp *http.Response, method, target string, body io.Reader) error {
	err := told(resp, method, target, body)
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if after := retryAfter(resp.Header.Get("Retry-After")); after > 0 {
			return &paused{err, backoff.RetryAfterError{Duration: min(after, c.patience)}}
		}
		return err
	}
	return backoff.Permanent(err)
}

// told returns the registry's own error, or what can be said of an answer that
// is not one of a registry.
func told(resp *http.Response, method, target string, body io.Reader) error {
	var doc openapi.ErrorBody
	b, err := io.ReadAll(io.LimitReader(body, maxError))
	if err == nil && json.Unmarshal(b, &doc) == nil && doc.Error != nil && doc.Error.Code != "" {
		doc.Error.Message = Printable(doc.Error.Message)
		return doc.Error
	}
	err = fmt.Errorf("%s %s: status %d, not in a registry's words", method, target, resp.StatusCode)
	if resp.StatusCode >= 500 {
		return fmt.Errorf("%w: %w", err, ErrUnreachable)
	}
	return err
}

// Printable takes out what would move a terminal's cursor.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// paused is a failure that came with a time to wait.
type paused struct {
	error
	after backoff.RetryAfterError
}

func (p *paused) Unwrap() []error { return []error{p.error, &p.after} }

// settled takes off what only concerned the attempts.
func settled(err error) error {
	var p *paused
	if errors.As(err, &p) {
		return p.error
	}
	return err
}

// retryAfter reads seconds or a date; 0 for anything else.
func retryAfter(value string) time.Duration {
	if n, err := strconv.Atoi(value); err == nil && n >= 0 {
		return time.Duration(min(n, 3600)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// patience is a BackOff with full jitter, from 200 ms to 5 s, that gives up some
// time after the first failure. Time before it, in which bytes moved, is free.
type patience struct {
	backoff.ExponentialBackOff
	most time.Duration
	end  time.Time
}

func newPatience(most time.Duration) *patience {
	return &patience{most: most, ExponentialBackOff: backoff.ExponentialBackOff{
		// Half of what is meant: the library draws from 0 to twice the interval.
		InitialInterval:     100 * time.Millisecond,
		MaxInterval:         2500 * time.Millisecond,
		RandomizationFactor: 1,
		Multiplier:          2,
	}}
}

// NextBackOff implements backoff.BackOff.
func (p *patience) NextBackOff() time.Duration {
	if p.end.IsZero() {
		p.end = time.Now().Add(p.most)
	}
	if time.Now().After(p.end) {
		return backoff.Stop
	}
	return p.ExponentialBackOff.NextBackOff()
}
