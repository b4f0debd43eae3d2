package openapi

import (
	"fmt"
	"maps"
	"slices"
)

// Code says what kind of failure an Error is. Codes are stable; messages are not.
type Code string

// The codes, with the HTTP status of each in codes.
const (
	CodeBadRequest    Code = "bad_request"    // the request itself is wrong
	CodeBadName       Code = "bad_name"       // a repository, tag, digest or push id is misspelt
	CodeBadManifest   Code = "bad_manifest"   // the version document breaks a rule
	CodeBadChunk      Code = "bad_chunk"      // an encoded chunk is damaged, or is not the one it is named for
	CodeNoBase        Code = "no_base"        // a chunk is a delta of what cannot be used: send it whole
	CodeUnauthorized  Code = "unauthorized"   // who asks is not known
	CodeForbidden     Code = "forbidden"      // who asks may read, but not do this
	CodeQuotaExceeded Code = "quota_exceeded" // the namespace may not hold more
	CodeReadOnly      Code = "read_only"      // this registry only reads: write to another replica
	CodeNotFound      Code = "not_found"      // nothing of that name, or not for who asks
	CodeNotAllowed    Code = "not_allowed"    // no such method here
	CodeMissingChunks Code = "missing_chunks" // upload those of Missing again, then commit again
	CodeTagMoved      Code = "tag_moved"      // the tag is not where the request expected it
	CodePushClosed    Code = "push_closed"    // the push expired or is done: start another
	CodeConflict      Code = "conflict"       // somebody else changed the same thing: look and try again
	CodeTooLarge      Code = "too_large"      // a body or count beyond its limit
	CodeBusy          Code = "busy"           // too much at once: try again after a pause
	CodeUnavailable   Code = "unavailable"    // stopping, or its store does not answer: try again later
	CodeNoSpace       Code = "no_space"       // the store is full
	CodeInternal      Code = "internal"       // a fault of the registry, told in its log
)

var codes = map[Code]int{
	CodeBadRequest:    400,
	CodeBadName:       400,
	CodeUnauthorized:  401,
	CodeForbidden:     403,
	CodeQuotaExceeded: 403,
	CodeReadOnly:      403,
	CodeNotFound:      404,
	CodeNotAllowed:    405,
	CodeMissingChunks: 409,
	CodeConflict:      409,
	CodePushClosed:    410,
	CodeTagMoved:      412,
	CodeTooLarge:      413,
	CodeBadManifest:   422,
	CodeBadChunk:      422,
	CodeNoBase:        422,
	CodeBusy:          429,
	CodeInternal:      500,
	CodeUnavailable:   503,
	CodeNoSpace:       507,
}

// Status returns the HTTP status that goes with c; 500 for one it does not know.
func (c Code) Status() int {
	if status, ok := codes[c]; ok {
		return status
	}
	return 500
}

// Temporary reports whether the same request may succeed later without anybody
// doing anything.
func (c Code) Temporary() bool { return c == CodeBusy || c == CodeUnavailable || c == CodeInternal }

// Error is every failure on the wire, as {"error": {...}}.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	// Missing is, for CodeMissingChunks, the indexes of the chunks in the
	// manifest's table; at most MaxMissing of them, the others come next time.
	Missing []uint32 `json:"missing,omitempty"`
}

// ErrorBody is the JSON document around an Error.
type ErrorBody struct {
	Error *Error `json:"error"`
	// RequestID is that of the header X-Request-Id, for whoever reads the log.
	RequestID string `json:"request_id,omitempty"`
}

// Errorf returns an Error with that code and message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Is makes errors.Is compare codes, so that &Error{Code: c} is a sentinel.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Codes returns every code, in order.
func Codes() []Code { return slices.Sorted(maps.Keys(codes)) }
