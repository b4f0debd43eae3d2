package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache/hfcache"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// The exit codes. They are a contract, and exitHelp is how people learn of them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnreachable = 4
	exitCorrupt     = 5
	exitConflict    = 6
	exitInput       = 7
	exitNoSpace     = 8
	exitDenied      = 9
	exitUntrusted   = 10
	exitInterrupted = 130
)

// exitHelp ends the help of every command.
const exitHelp = `Exit codes:
    0  done
    1  failed in another way
    2  wrong usage: a flag, an argument, a misspelt REF
    3  not found
    4  the registry or the agent cannot be reached or is not available: try again
    5  corrupt: bytes are not what their name says
    6  conflict: a tag has moved, another pull works in the folder
    7  the input cannot be stored: a malformed file, a path that escapes; or
       something stands in the way of what is to be written
    8  no space left, or none that a quota leaves
    9  not allowed: the registry or the agent wants a token, or one that allows more
   10  no good signature by a key that is trusted
  130  interrupted
`

// errUsage marks what the user typed wrong.
var errUsage = errors.New("usage")

// usage is an errUsage that says only what is wrong.
type usage string

func usagef(format string, args ...any) error { return usage(fmt.Sprintf(format, args...)) }

func (u usage) Error() string { return string(u) }

func (u usage) Is(target error) bool { return target == errUsage }

// errInput marks a file that is not what a command can read.
var errInput = errors.New("input")

// input is an errInput that says only what is wrong.
type input string

func inputf(format string, args ...any) error { return input(fmt.Sprintf(format, args...)) }

func (i input) Error() string { return string(i) }

func (i input) Is(target error) bool { return target == errInput }

// failure is the JSON document of an error.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Exit    int    `json:"exit"`
}

// fail tells the user of err and returns the exit code.
func (p *program) fail(ctx context.Context, err error) int {
	f := failure{Message: oneLine(explain(err))}
	f.Code, f.Exit = judge(err)
	if ctx.Err() != nil {
		f.Code, f.Exit = "interrupted", exitInterrupted
		if errors.Is(err, context.Canceled) {
			f.Message = "interrupted" // and not what that has stopped
		}
	}
	if p.logger != nil && !p.json {
		p.logger.Error("ingot failed", "err", f.Message, "code", f.Code, "exit", f.Exit)
		return f.Exit
	}
	if !p.json {
		fmt.Fprintf(p.stderr, "ingot: %s\n", f.Message)
		return f.Exit
	}
	// A reader that has gone away still has the exit code.
	_ = json.NewEncoder(p.stderr).Encode(map[string]failure{"error": f})
	return f.Exit
}

// judge is the one place that says what kind of failure an error is: a word for
// programs, and the exit code.
func judge(err error) (code string, exit int) {
	if code, exit = judgePlace(err); exit != exitDone {
		return code, exit
	}
	var sent *openapi.Error
	switch {
	case errors.Is(err, errUsage), errors.Is(err, name.ErrName), errors.Is(err, client.ErrPlain), errors.Is(err, hfcache.ErrName),
		errors.Is(err, registry.ErrNotData), errors.Is(err, registry.ErrExposed):
		return "usage", exitUsage
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "no_space", exitNoSpace
	case errors.As(err, &sent):
		return string(sent.Code), judgeCode(sent.Code)
	case errors.Is(err, agent.ErrSocket):
		return "usage", exitUsage
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, agent.ErrNoAgent), errors.Is(err, agent.ErrLost):
		return "unreachable", exitUnreachable
	case errors.Is(err, catalog.ErrNoRepo), errors.Is(err, catalog.ErrNoRevision):
		return "not_found", exitNotFound
	case errors.Is(err, signature.ErrUntrusted):
		return "untrusted", exitUntrusted
	case errors.Is(err, client.ErrCorrupt), errors.Is(err, codec.ErrCorrupt), errors.Is(err, hfcache.ErrWrong):
		return "corrupt", exitCorrupt
	case errors.Is(err, client.ErrBusyFolder), errors.Is(err, hfcache.ErrBusy):
		return "busy_folder", exitConflict
	case errors.Is(err, client.ErrBusyFile):
		return "busy_file", exitConflict
	case errors.Is(err, client.ErrInput), errors.Is(err, errInput):
		return "input", exitInput
	case errors.Is(err, client.ErrObstacle), errors.Is(err, syscall.ENOTDIR):
		return "obstacle", exitInput
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "permission", exitFailed
	}
	return "failed", exitFailed
}

// judgePlace is judge for where registries are kept; exitDone is everything else.
func judgePlace(err error) (code string, exit int) {
	for _, kind := range []struct {
		err  error
		code string
		exit int
	}{
		{registry.ErrLocation, "usage", exitUsage},
		{registry.ErrUnreachable, "unreachable", exitUnreachable},
		{registry.ErrMigrating, "migrating", exitUnreachable},
		{registry.ErrNoBucket, "not_found", exitNotFound},
		{registry.ErrNoRegistry, "not_found", exitNotFound},
		{registry.ErrForeign, "obstacle", exitInput},
		{registry.ErrOverlap, "obstacle", exitInput},
		{registry.ErrDestination, "obstacle", exitInput},
		{registry.ErrSourceWritten, "conflict", exitConflict},
		{registry.ErrCopyDiffers, "corrupt", exitCorrupt},
		{registry.ErrNoSpace, "no_space", exitNoSpace},
		{registry.ErrUnfit, "unfit", exitFailed},
	} {
		if errors.Is(err, kind.err) {
			return kind.code, kind.exit
		}
	}
	return "", exitDone
}

// judgeCode returns the exit code for what a registry sent.
func judgeCode(code openapi.Code) int {
	switch code {
	case openapi.CodeBadName:
		return exitUsage
	case openapi.CodeNotFound:
		return exitNotFound
	case openapi.CodeBadChunk:
		return exitCorrupt
	case openapi.CodeTagMoved, openapi.CodeConflict:
		return exitConflict
	case openapi.CodeBadManifest, openapi.CodeTooLarge:
		return exitInput
	case openapi.CodeNoSpace, openapi.CodeQuotaExceeded:
		return exitNoSpace
	case openapi.CodeUnauthorized, openapi.CodeForbidden:
		return exitDenied
	}
	if code.Temporary() {
		return exitUnreachable
	}
	return exitFailed
}
