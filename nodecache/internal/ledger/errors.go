package ledger

import (
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/registry/name"
)

// Errors of a Ledger.
var (
	// ErrFull reports that what is leased or pinned leaves too little room. It may
	// pass: a *FullError says who has it.
	ErrFull = errors.New("no room")
	// ErrTooLarge reports what is larger than the whole budget.
	ErrTooLarge = errors.New("larger than the budget")
	// ErrLeased reports a version that can't leave because somebody leases it.
	ErrLeased = errors.New("version is leased")
	// ErrUnknown reports a version that is not in the account.
	ErrUnknown = errors.New("version is not in the account")
	// ErrShared reports a chunk into whose room no other can come, because it is not
	// one version's alone.
	ErrShared = errors.New("others hold it too")
)

// FullError says why there is no room. It is ErrFull or ErrTooLarge.
type FullError struct {
	Key    Key    // that wants room, if it is a version
	Name   string // otherwise
	Need   int64  // bytes that it adds; all of its bytes if it is too large
	Budget int64  // bytes
	Free   int64  // bytes that are free when everything that may leave has left
	Count  int    // most versions, if that and not Need is in the way; otherwise 0
	// Holders have what is not free, the largest first.
	Holders []Holder

	tooLarge bool
}

// Holder is a version or something else that stays.
type Holder struct {
	Key    Key
	Name   string // of what is no version
	Bytes  int64  // of all its chunks, those that others hold too included
	Leases int
	Pinned bool
}

func (e *FullError) Error() string {
	what := e.Name
	if e.Key.Repo != (name.Repo{}) {
		what = e.Key.String()
	}
	switch {
	case e.tooLarge:
		return fmt.Sprintf("%s takes %d bytes, and the budget is %d: %v", what, e.Need, e.Budget, ErrTooLarge)
	case e.Count > 0:
		return fmt.Sprintf("%s would be more than %d versions, and %d are in use or pinned: %v", what, e.Count, len(e.Holders), ErrFull)
	}
	return fmt.Sprintf("%s needs %d bytes more, and %d of %d are neither in use nor pinned: %v", what, e.Need, e.Free, e.Budget, ErrFull)
}

// Is reports whether target is the sentinel of e.
func (e *FullError) Is(target error) bool {
	if e.tooLarge {
		return target == ErrTooLarge
	}
	return target == ErrFull
}
