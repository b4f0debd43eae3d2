package node

import (
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
)

// GPUEvent takes what a GPU says of a version: of what is dropped from it, the tier
// is where it is now.
func (n *Node) GPUEvent(k ledger.Key, e openapi.NodeEvent) {
	n.mu.Lock()
	switch e.Type {
	case openapi.EventLoaded:
		n.counters.GPU.Loads++
	case openapi.EventSwapped:
		n.counters.GPU.Swaps++
	case openapi.EventDropped:
		n.counters.GPU.Dropped++
		e.Tier = n.versions[k].tier()
	}
	n.mu.Unlock()
	n.tell(k, e)
	if e.Type == openapi.EventDropped {
		n.settle(k)
	}
	n.dirty.Ring()
}

// GPUState tells how a GPU is from now on. If it works, what should be there is
// brought.
func (n *Node) GPUState(uuid, message string, works bool) {
	n.config.Logger.Warn("the state of a GPU has changed", "gpu", uuid, "state", message)
	n.events.tell(openapi.NodeEvent{Type: openapi.EventGPU, Tier: openapi.TierGPU, Device: uuid, Message: message})
	if !works {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.models {
		if m.Tier == openapi.TierGPU {
			n.keepLocked(m)
		}
	}
}

// GPUMoved counts bytes that went onto a GPU, or from place to place there.
func (n *Node) GPUMoved(uploaded, copied int64) {
	n.count(func(c *Counters) {
		c.GPU.Uploaded += uploaded
		c.GPU.DeviceCopied += copied
	})
}
