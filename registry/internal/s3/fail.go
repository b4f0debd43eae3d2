package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// Errors that an operator can act on. Each comes with a sentence that says how.
var (
	// ErrRefused reports a store that refuses us: our credentials, our rights or our
	// clock.
	ErrRefused = errors.New("the store refuses the request")
	// ErrNoBucket reports a bucket that the store does not have.
	ErrNoBucket = errors.New("no such bucket")
	// ErrUnreachable reports a store that does not answer at its address, or answers
	// that it cannot serve us now.
	ErrUnreachable = blobs.ErrUnavailable
	// ErrAnswer reports an answer that no S3 store gives, or an object that is not
	// what we wrote.
	ErrAnswer = errors.New("the store's answer makes no sense")
)

// sentence is an error that reads as one line for the operator, of a kind that
// callers look for, with what the store or the network said behind it.
type sentence struct {
	text  string
	kind  error
	cause error
}

func (s *sentence) Error() string { return s.text }

func (s *sentence) Unwrap() []error { return []error{s.kind, s.cause} }

// response returns what the store answered, if err is an answer of the store.
func response(err error) (minio.ErrorResponse, bool) {
	var resp minio.ErrorResponse
	ok := errors.As(err, &resp)
	return resp, ok
}

// signed reports whether an answer is a document of the store, and not of
// something that stands before it.
func signed(resp minio.ErrorResponse) bool { return resp.XMLName.Local == "Error" }

// errAbsent reports an object that the store does not have.
var errAbsent = errors.New("no such object")

// absent reports whether the store says that it has no such object. Only a document
// of the store says so: a proxy before it has pages of its own for 404.
func absent(err error) bool {
	resp, ok := response(err)
	return ok && resp.StatusCode == http.StatusNotFound && resp.Code == minio.NoSuchKey && signed(resp)
}

// sendable lists answers after which the same request may get another one.
var sendable = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, 499, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// sendableCodes are more of them: for one object of many, which has no status of its
// own, and for bytes that were not what was sent when they arrived.
var sendableCodes = []string{
	minio.InternalError, "SlowDown", "SlowDownWrite", "ServiceUnavailable", "RequestTimeout", "OperationAborted",
	"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody",
}

// transient reports whether a request that may happen twice is worth another try.
func transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		// Either the caller's context, which ends the tries anyway, or a time limit of
		// the connection.
		var timeout net.Error
		return errors.As(err, &timeout) && timeout.Timeout()
	}
	resp, ok := response(err)
	switch {
	case errors.Is(err, errUnconfirmed):
		return true
	case errors.Is(err, errAbsent), errors.Is(err, ErrAnswer), errors.Is(err, ErrUnreachable), errors.Is(err, errRange), noSpace(resp):
		return false
	case !ok:
		return true
	case resp.StatusCode == http.StatusNotFound && !signed(resp):
		return true // a proxy's page
	}
	return slices.Contains(sendable, resp.StatusCode) || slices.Contains(sendableCodes, resp.Code)
}

// unsent reports whether a request certainly did not leave this machine.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// refused reports whether the store has answered, for certain, that a write has not
// happened.
func refused(err error) bool {
	resp, ok := response(err)
	if resp.StatusCode == http.StatusNotFound && !signed(resp) {
		return false // a proxy's page
	}
	return ok && resp.StatusCode/100 == 4 && resp.StatusCode != http.StatusConflict && !slices.Contains(sendable, resp.StatusCode)
}

// noSpace reports whether the store says that it is full.
func noSpace(resp minio.ErrorResponse) bool {
	return resp.StatusCode == http.StatusInsufficientStorage || resp.Code == "XMinioStorageFull" ||
		resp.Code == "QuotaExceeded" || resp.Code == "XMinioAdminBucketQuotaExceeded" || resp.Code == "InsufficientStorage"
}

// explain says in one line what is wrong and what to do, where that can be known.
func (b bucket) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !unsent(err) {
		return err
	}
	say := func(kind error, format string, args ...any) error {
		return &sentence{fmt.Sprintf(format, args...), kind, err}
	}
	resp, ok := response(err)
	if !ok {
		return b.explainNetwork(err)
	}
	switch {
	case noSpace(resp):
		return say(blobs.ErrNoSpace, "bucket %s is full or over its quota (%s)", b.name, resp.Code)
	case resp.StatusCode == http.StatusNotFound && resp.Code == minio.NoSuchBucket:
		return say(ErrNoBucket, "bucket %s does not exist at %s: make it, or name another", b.name, b.endpoint)
	case resp.Code == minio.AccessDenied || resp.Code == "AllAccessDisabled":
		return say(ErrRefused, "access to bucket %s is denied: allow these credentials ListBucket on it and GetObject, PutObject and DeleteObject below its prefix", b.name)
	case slices.Contains([]string{minio.InvalidAccessKeyID, minio.SignatureDoesNotMatch, "InvalidToken", "ExpiredToken", "InvalidClientTokenId"}, resp.Code):
		return say(ErrRefused, "%s refuses the credentials (%s): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile", b.endpoint, resp.Code)
	case resp.Code == "RequestTimeTooSkewed":
		return say(ErrRefused, "the clock of this machine and that of %s are too far apart: set this one right (NTP)", b.endpoint)
	case slices.Contains([]string{"PermanentRedirect", "AuthorizationHeaderMalformed", "InvalidRegion", "IllegalLocationConstraintException"}, resp.Code):
		return say(ErrRefused, "bucket %s is in another region (%s): set AWS_REGION", b.name, plainText(resp.Region))
	}
	if slices.Contains(sendable, resp.StatusCode) {
		return say(ErrUnreachable, "%s cannot serve us now: it answers %d %s", b.endpoint, resp.StatusCode, plainText(resp.Code))
	}
	return say(ErrAnswer, "%s answers %d %s: %s", b.endpoint, resp.StatusCode, plainText(resp.Code), plainText(resp.Message))
}

func (b bucket) explainNetwork(err error) error {
	var op *net.OpError
	var request *url.Error
	switch {
	case unsent(err) && errors.As(err, &op):
		return &sentence{fmt.Sprintf("%s cannot be reached: %v: check AWS_ENDPOINT_URL and that the store runs", b.endpoint, op.Err), ErrUnreachable, err}
	case errors.As(err, &request):
		return &sentence{fmt.Sprintf("%s does not answer: %s", b.endpoint, plainText(request.Err.Error())), ErrUnreachable, err}
	}
	return err
}

// plainText makes text of a store fit for one line of a message.
func plainText(s string) string {
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
