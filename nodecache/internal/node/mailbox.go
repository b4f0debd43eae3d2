package node

import (
	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// mailbox holds the version that a reference has moved to, the last of several.
// Node.mu is held when something is put into it.
type mailbox chan chunker.Digest

func newMailbox() mailbox { return make(mailbox, 1) }

// tell puts a version of ref into the mailbox. What names a version never moves.
func (b mailbox) tell(ref name.Ref, d chunker.Digest) {
	if !ref.Digest.IsZero() {
		return
	}
	select {
	case <-b:
	default:
	}
	b <- d
}
