package node

import (
	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// Move is the version that a reference names now.
type Move struct {
	Version chunker.Digest
	// Patch says that it is not there yet: it comes into the memory of the version that
	// is leased, as soon as nobody leases that.
	Patch bool
}

// mailbox holds where a reference has moved, the last of several. Node.mu is held
// when something is put into it.
type mailbox chan Move

func newMailbox() mailbox { return make(mailbox, 1) }

// tell puts a version of ref into the mailbox. What names a version never moves.
func (b mailbox) tell(ref name.Ref, m Move) {
	if !ref.Digest.IsZero() {
		return
	}
	select {
	case <-b:
	default:
	}
	b <- m
}
