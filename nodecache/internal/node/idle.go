package node

import (
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
)

// tickEvery is how exact times without use are.
const tickEvery = time.Second

// tick lets go, now and then, what nobody uses.
func (n *Node) tick() {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			n.fallIdle()
			n.watermark()
			n.reapOrphans()
		case <-n.ctx.Done():
			return
		}
	}
}

// rest says of a version what all references that are served from it allow.
type rest struct {
	stay           bool // one of them is in use, or pinned
	gpu, ram, disk bool // none was used for so long that it may leave the tier
}

// fallIdle lets versions that are idle for long enough fall by one tier.
func (n *Node) fallIdle() {
	now := n.config.Now()
	n.mu.Lock()
	rests := map[ledger.Key]*rest{}
	for _, m := range n.models {
		if m.current.IsZero() {
			continue
		}
		k := m.key(m.current)
		r := rests[k]
		if r == nil {
			r = &rest{gpu: true, ram: true, disk: true}
			rests[k] = r
		}
		idle := now.Sub(m.lastUse)
		r.gpu = r.gpu && m.IdleGPU > 0 && idle >= m.IdleGPU
		r.ram = r.ram && m.IdleRAM > 0 && idle >= m.IdleRAM
		r.disk = r.disk && m.IdleDisk > 0 && idle >= m.IdleDisk
		r.stay = r.stay || m.Pin || len(m.leases) > 0 || m.keeping
	}
	var fromGPU, fromRAM, fromDisk []ledger.Key
	for k, r := range rests {
		v := n.versions[k]
		switch {
		case r.stay || v == nil || v.leases > 0 || v.held > 0:
		case v.onGPU():
			if r.gpu {
				fromGPU = append(fromGPU, k)
			}
		case v.ram && r.ram:
			fromRAM = append(fromRAM, k)
		case v.disk && !v.ram && r.disk:
			fromDisk = append(fromDisk, k)
		}
	}
	n.mu.Unlock()
	for _, k := range fromGPU {
		n.restGPU(k)
	}
	for _, k := range fromRAM {
		n.rest(k, n.ram, openapi.TierDisk)
	}
	for _, k := range fromDisk {
		n.rest(k, n.disk, openapi.TierNone)
	}
}

// rest takes an idle version out of a tier.
func (n *Node) rest(k ledger.Key, from *shelf, to openapi.Tier) {
	if _, err := from.remove(k); err != nil {
		return // leased since we looked
	}
	n.count(func(c *Counters) {
		if from == n.ram {
			c.Idle.RAM++
		} else {
			c.Idle.Disk++
		}
	})
	n.rested(k, to)
}

// restGPU takes an idle version off the GPUs.
func (n *Node) restGPU(k ledger.Key) {
	if _, err := n.offGPU(k); err != nil {
		return // leased since we looked
	}
	n.count(func(c *Counters) { c.Idle.GPU++ })
	n.rested(k, openapi.TierRAM)
}

// rested notes that an idle version fell.
func (n *Node) rested(k ledger.Key, to openapi.Tier) {
	n.mu.Lock()
	for _, m := range n.models {
		if m.Ref.Repo == k.Repo && m.current == k.Digest {
			m.hold = min(m.hold, to)
		}
	}
	n.mu.Unlock()
	n.config.Logger.Info("version was idle and fell", "repo", k.Repo.String(), "version", k.Digest.Short(), "to", to.String())
	n.settle(k)
	n.dirty.Ring()
}

// watermark lets the disk fall to the lower mark when it is above the upper one.
func (n *Node) watermark() {
	if n.config.High > 0 && n.disk.ledger.Used() > n.config.High {
		n.disk.trim(n.config.Low)
	}
}
