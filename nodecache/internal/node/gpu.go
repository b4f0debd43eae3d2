package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// GPU is what a node asks of each of its GPUs; a *gpu.Device can do it. Has, Leases
// and Weigh return at once.
type GPU interface {
	UUID() string
	// Load brings a version onto the GPU, Hint only into room that is free.
	Load(ctx context.Context, v gpu.Version, o gpu.Order) (openapi.SwapReceipt, error)
	Hint(ctx context.Context, v gpu.Version) error
	Lease(ctx context.Context, v gpu.Version, t gpu.Terms) (Mapping, error)
	// Swap has those who use a version use another. The error is gpu.ErrNotOn when the
	// first is not there.
	Swap(ctx context.Context, from ledger.Key, to gpu.Version, o gpu.Order) (openapi.SwapReceipt, error)
	// Unload takes a version off the GPU. The error is ledger.ErrLeased when somebody
	// uses it, and ledger.ErrUnknown when it is not there.
	Unload(k ledger.Key) (freed int64, err error)
	Pin(k ledger.Key, pinned bool)
	Has(k ledger.Key) bool
	Leases(k ledger.Key) int // those that have no image now too
	Weigh(k ledger.Key) (own, shared int64)
	Usage() openapi.GPUDevice
}

// Mapping is the use of a version on a GPU, as the GPU gives it.
type Mapping interface {
	// Ref and Version are what it is of, which a swap changes.
	Ref() name.Ref
	Version() chunker.Digest
	Asks() <-chan gpu.Ask
	Export(slab uint64) (*os.File, error)
	Paused(id uint64)
	Detach()
	Acquire(priority int, deadline time.Duration)
	Release()
}

// noGPU says why nothing can be on a GPU.
func (n *Node) noGPU(what string) error {
	err := noTier(what, openapi.TierGPU)
	if n.config.GPUMessage != "" {
		return openapi.Errorf(openapi.CodeBadRequest, "%v: %s", err, n.config.GPUMessage)
	}
	return err
}

// on lists the GPUs that have k.
func (n *Node) on(k ledger.Key) (list []GPU) {
	for _, g := range n.config.GPUs {
		if g.Has(k) {
			list = append(list, g)
		}
	}
	return list
}

// named returns the GPU of that UUID.
func (n *Node) named(uuid string) (GPU, error) {
	known := make([]string, 0, len(n.config.GPUs))
	parsed, err := cuda.ParseUUID(uuid)
	for _, g := range n.config.GPUs {
		if err == nil && g.UUID() == parsed.String() {
			return g, nil
		}
		known = append(known, g.UUID())
	}
	return nil, openapi.Errorf(openapi.CodeNotFound, "the node does not use a GPU %s; it uses %s", uuid, strings.Join(known, ", "))
}

// choose returns the GPU for a version of ref: the one that is named, else that of
// the configuration, else one that has it, else one that has what the reference was
// before, from which it may differ little, else the one with the most room.
func (n *Node) choose(ref name.Ref, k ledger.Key, uuid string) (GPU, error) {
	last := ""
	n.mu.Lock()
	if m := n.models[ref]; m != nil {
		uuid, last = cmp.Or(uuid, m.Device), m.device
	}
	n.mu.Unlock()
	if uuid != "" {
		return n.named(uuid)
	}
	if list := n.on(k); len(list) > 0 {
		return list[0], nil
	}
	if g, err := n.named(last); err == nil {
		return g, nil
	}
	return n.roomiest(), nil
}

// roomiest returns the GPU with the most room.
func (n *Node) roomiest() (best GPU) {
	var most int64
	for _, g := range n.config.GPUs {
		u := g.Usage()
		room := u.Budget - u.Used
		if u.State == openapi.DeviceFailed {
			room -= u.Budget // behind all that work
		}
		if best == nil || room > most {
			best, most = g, room
		}
	}
	return best
}

// onto is a version in the words of package gpu. waiting hears how far it is on its
// way into RAM.
func (n *Node) onto(ref name.Ref, k ledger.Key, waiting func(done, total int64)) gpu.Version {
	return gpu.Version{Key: k, Ref: ref, Hold: func(ctx context.Context) (*gpu.Held, error) { return n.hold(ctx, k, waiting) }}
}

// intoRAM is what was tried when a version that should be on a GPU has no room before.
const intoRAM = "bring it into ram first"

// hold brings a version into RAM, and keeps it there until that is released.
func (n *Node) hold(ctx context.Context, k ledger.Key, waiting func(done, total int64)) (*gpu.Held, error) {
	if n.ram == nil {
		return nil, noTier("hold "+k.String(), openapi.TierRAM)
	}
	n.mu.Lock()
	v := n.version(k)
	v.held++
	there := v.ram && n.ram.ledger.Lease(k, n.config.Now()) == nil
	n.mu.Unlock()
	if !there {
		if err := n.holdMissing(ctx, k, waiting); err != nil {
			n.unheld(k)
			return nil, told(intoRAM, err)
		}
	}
	release := sync.OnceFunc(func() {
		n.ram.release(k)
		n.unheld(k)
	})
	m, err := n.manifest(ctx, k)
	if err != nil {
		release()
		return nil, err
	}
	domain := n.config.RAM.Domain(k.Repo.Namespace)
	return &gpu.Held{Manifest: m, Place: domain.Place, Read: domain.Read, Release: release}, nil
}

// holdMissing leases a version in RAM that has to be brought.
func (n *Node) holdMissing(ctx context.Context, k ledger.Key, waiting func(done, total int64)) error {
	j := n.join(ctx, k, openapi.TierRAM, nil)
	defer n.leave(j) // which leases it until then
	if err := n.await(ctx, j, nil, waiting); err != nil {
		return err
	}
	return n.ram.ledger.Lease(k, n.config.Now())
}

// unheld notes that somebody has let go of a version.
func (n *Node) unheld(k ledger.Key) {
	n.mu.Lock()
	n.version(k).held--
	n.mu.Unlock()
	n.settle(k)
}

// offGPU takes a version off all GPUs.
func (n *Node) offGPU(k ledger.Key) (freed int64, err error) {
	var errs []error
	for _, g := range n.on(k) {
		bytes, err := g.Unload(k)
		if errors.Is(err, ledger.ErrUnknown) {
			err = nil // gone since we looked
		}
		freed += bytes
		errs = append(errs, err)
	}
	if err = errors.Join(errs...); err != nil {
		err = fmt.Errorf("unload %s from the GPU: %w", k, err)
	}
	return freed, err
}
