package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"syscall"
	"unicode"

	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// advice says, for kinds of failure, what to do next, where the error itself
// cannot know it. The first that fits is given.
var advice = []struct {
	kind error
	next string
}{
	{&openapi.Error{Code: openapi.CodeBusy}, "try again in a while"},
	{&openapi.Error{Code: openapi.CodeUnavailable}, "try again in a while"},
	{&openapi.Error{Code: openapi.CodeInternal}, "its log tells more"},
	{&openapi.Error{Code: openapi.CodeUnauthorized}, `"ingot login" keeps a token for the registry, and "ingot whoami" tells what it is to it`},
	{&openapi.Error{Code: openapi.CodeForbidden}, `"ingot whoami" tells what your token allows`},
	{client.ErrPlain, `or allow it with "ingot login --insecure" or INGOT_INSECURE=true`},
	{&openapi.Error{Code: openapi.CodeTagMoved}, `look at it with "ingot show", and name that digest with --expect, or leave --expect out`},
	{&openapi.Error{Code: openapi.CodeNoSpace}, "free some space where the registry keeps its data"},
	{client.ErrUnreachable, `start one with "ingot serve", or name another with --registry`},
	{signature.ErrUntrusted, `have it signed with "ingot sign", or name another key`},
	{client.ErrLeaves, "--follow-links stores what it points at"},
	{format.ErrMalformed, "fetch the file again, or push it with --allow-malformed, as plain bytes"},
	{client.ErrBusyFile, "wait until that is done, or name another FILE"},
	{client.ErrBehind, "import the archive from a FILE: a pipe does not go back"},
	{client.ErrBusyFolder, "wait until that is done, or pull into another folder"},
	{syscall.ENOSPC, "free some space"},
	{syscall.EDQUOT, "free some space"},
	{syscall.ENOTDIR, "a file stands where a folder is needed: move it, or name another folder"},
	{syscall.EROFS, "nothing can be written there: name another folder"},
	{fs.ErrPermission, "change its owner or mode, or name another place"},
}

// goesOn marks a transfer that can be gone on with.
type goesOn struct{ error }

// Unwrap makes errors.Is see the cause.
func (g goesOn) Unwrap() error { return g.error }

// advised is an error that says itself what to do.
type advised struct{ error }

// Unwrap makes errors.Is see the cause.
func (a advised) Unwrap() error { return a.error }

// explain says what failed, and the next step.
func explain(err error) string {
	message := err.Error()
	// A connection that cannot be made is told without the request it was for.
	var failed *url.Error
	if errors.Is(err, client.ErrUnreachable) && errors.As(err, &failed) {
		base, _, _ := strings.Cut(failed.URL, "/v1/")
		message = fmt.Sprintf("registry %s cannot be reached: %v", strings.TrimSuffix(base, "/healthz"), failed.Err)
	}
	if next := nextStep(err); next != "" {
		message += "; " + next
	}
	if errors.As(err, new(goesOn)) {
		message += "; run the same command again: it goes on where it stopped"
	}
	return message
}

// nextStep says what to do about err, or nothing when that says it.
func nextStep(err error) string {
	if errors.Is(err, errUsage) || errors.Is(err, errInput) || errors.As(err, new(advised)) {
		return ""
	}
	if sent, ok := errors.AsType[*openapi.Error](err); ok && sent.Code == openapi.CodeNotFound {
		return lookAround(sent.Message)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "if its certificate is from an authority of your own, name that with INGOT_CA_FILE"
	}
	for _, a := range advice {
		if errors.Is(err, a.kind) {
			return a.next
		}
	}
	return ""
}

// lookAround says how to find what is there, from what a registry says is not.
func lookAround(message string) string {
	missing, ok := strings.CutSuffix(message, ": not found")
	if !ok {
		return ""
	}
	if ref, err := name.ParseRef(missing); err == nil {
		return fmt.Sprintf(`"ingot ls %s" lists what is there`, ref.Repo)
	}
	return `"ingot ls" lists what is there`
}

// oneLine makes a message safe to show: messages hold names from files and words
// from registries, which may hold line breaks or worse.
func oneLine(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, message)
}
