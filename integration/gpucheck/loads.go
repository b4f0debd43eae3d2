package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/integration/gpuclient"
	"github.com/ingot-ml/ingot/openapi"
)

// running returns the stack, or why there is none.
func (b *bench) running() (*stack, error) {
	if b.stack == nil || !b.stack.ready {
		return nil, skipf("there is no agent with the GPU")
	}
	select {
	case <-b.stack.agent.done:
		return nil, fmt.Errorf("the agent has ended: %s", b.stack.agent.last())
	default:
	}
	return b.stack, nil
}

// loadGPU brings a variant onto the GPU.
func (b *bench) loadGPU(ctx context.Context, tag string) (openapi.SwapReceipt, time.Duration, error) {
	begin := time.Now()
	got, err := b.stack.client.Load(ctx, openapi.LoadRequest{Ref: ref(tag), Tier: openapi.TierGPU, Device: b.device.UUID().String()})
	took := time.Since(begin)
	if err != nil {
		return openapi.SwapReceipt{}, took, fmt.Errorf("load %s: %w", tag, err)
	}
	if got.GPU == nil {
		return openapi.SwapReceipt{}, took, fmt.Errorf("load %s: the receipt says nothing of the GPU", tag)
	}
	return *got.GPU, took, nil
}

// only lets every variant but those named fall from the GPU into memory.
func (b *bench) only(ctx context.Context, tags ...string) error {
	for _, v := range b.stack.variants {
		keep := false
		for _, t := range tags {
			keep = keep || t == v.name
		}
		if keep {
			continue
		}
		if err := b.unload(ctx, v.name, openapi.TierRAM); err != nil {
			return err
		}
	}
	return nil
}

// unload lets a variant fall to a tier. One that is not on the node, or lower, stays.
func (b *bench) unload(ctx context.Context, tag string, to openapi.Tier) error {
	status, err := b.stack.client.Status(ctx)
	if err != nil {
		return err
	}
	for _, m := range status.Models {
		if m.Ref != ref(tag) || m.Tier <= to {
			continue
		}
		if _, err := b.stack.client.Unload(ctx, openapi.UnloadRequest{Ref: m.Ref, Tier: to}); err != nil {
			return fmt.Errorf("unload %s: %w", tag, err)
		}
	}
	return nil
}

// attach leases a variant on the GPU, and has every image of it looked at.
func (b *bench) attach(ctx context.Context, tag string) (*gpuclient.Lease, error) {
	return gpuclient.Attach(ctx, gpuclient.Options{
		Socket: b.path("agent.sock"), Driver: b.driver, Check: b.stack.sums.check,
		Request: openapi.LeaseRequest{Ref: ref(tag), Device: b.device.UUID().String(), Client: "gpucheck", Deadline: patience.Seconds()},
	})
}

// patience is how long something is waited for that is only a matter of time.
const patience = time.Minute

// leave ends leases, and waits until the agent knows.
func (b *bench) leave(ctx context.Context, leases ...*gpuclient.Lease) error {
	var err error
	for _, l := range leases {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	for until := time.Now().Add(patience); err == nil; time.Sleep(10 * time.Millisecond) {
		status, e := b.stack.client.Status(ctx)
		held := 0
		for _, m := range status.Models {
			held += m.Leases
		}
		if e == nil && held > 0 && time.Now().After(until) {
			e = fmt.Errorf("%d leases have ended, and the agent still counts them", held)
		}
		if err = e; held == 0 {
			break
		}
	}
	return err
}

// firstLoad brings the base from the disk, whose files are in the page cache, onto
// the GPU, in a RAM tier in which nothing is pinned.
func firstLoad(ctx context.Context, b *bench) error {
	s, err := b.running()
	if err != nil {
		return err
	}
	got, took, err := b.loadGPU(ctx, baseTag)
	if err != nil {
		return err
	}
	s.first = took
	b.measured("first load, disk (page cache) to GPU", took.Seconds(), "s")
	b.measured("first load, disk (page cache) to GPU: rate", float64(s.bytes())/took.Seconds()/1e9, "GB/s")
	b.counted("bytes uploaded by the first load", float64(got.BytesUploaded), "B", fmt.Sprint(s.bytes()), got.BytesUploaded == s.bytes())
	l, err := b.attach(ctx, baseTag)
	if err != nil {
		return err
	}
	b.right("every byte of the first load", "checksums of all chunks, computed on the GPU")
	return b.leave(ctx, l)
}

// pinning waits until the RAM tier is pinned.
func pinning(ctx context.Context, b *bench) error {
	s, err := b.running()
	if err != nil {
		return err
	}
	begin := time.Now()
	want := s.bytes() * 9 / 10 // pieces that are not full are not pinned
	var d openapi.GPUDevice
	for d, err = b.usage(ctx); err == nil && d.Pinned < want && time.Since(begin) < patience; d, err = b.usage(ctx) {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	pieces := fmt.Sprintf("at least %s, in pieces of 64 MiB", size(want))
	b.counted("memory that the agent has pinned", float64(d.Pinned)/mib, "MiB", pieces, d.Pinned >= want || s.bytes() < gib)
	b.measured("after the load until it is pinned", time.Since(begin).Seconds(), "s")
	return nil
}

// pinnedLoad brings the base from pinned memory onto the GPU, and compares the rate
// with that of the driver alone.
func pinnedLoad(ctx context.Context, b *bench) error {
	s, err := b.running()
	if err != nil {
		return err
	}
	best, copies, slabs := time.Duration(1<<62), 0, 0
	for range 3 {
		if err := b.only(ctx); err != nil {
			return err
		}
		got, _, err := b.loadGPU(ctx, baseTag)
		if err != nil {
			return err
		}
		if got.BytesUploaded != s.bytes() {
			return fmt.Errorf("a load uploaded %d bytes of %d", got.BytesUploaded, s.bytes())
		}
		best, copies, slabs = min(best, busy(got)), got.Copies, got.SlabsNew
	}
	s.load = best
	rate := float64(s.bytes()) / best.Seconds() / 1e9
	b.measured("load from pinned memory", best.Seconds()*1000, "ms")
	b.measured("copies of a load", float64(copies), "copies")
	b.measured("slabs of a load", float64(slabs), "slabs")
	if b.slab > 0 {
		b.measured("what these slabs take by the driver's figures above", float64(slabs)*b.slab.Seconds()*1000, "ms")
	}
	if b.raw == 0 {
		b.measured("load from pinned memory: rate", rate, "GB/s")
		return nil
	}
	b.held("load from pinned memory: rate", rate, "GB/s", fmt.Sprintf(">= 95 %% of %s", number(b.raw)), rate >= 0.95*b.raw)
	return nil
}

// busy is the time of a receipt without waiting for others.
func busy(r openapi.SwapReceipt) time.Duration {
	return time.Duration(max(r.TotalMS-r.QueuedMS, 0.001) * float64(time.Millisecond))
}

// variantBytes loads variants that differ from the base in a layer each, beside it.
func variantBytes(ctx context.Context, b *bench) error {
	if _, err := b.running(); err != nil {
		return err
	}
	if err := b.only(ctx, baseTag); err != nil {
		return err
	}
	if _, _, err := b.loadGPU(ctx, baseTag); err != nil {
		return err
	}
	before, err := b.usage(ctx)
	if err != nil {
		return err
	}
	var own int64
	for i := range layers {
		got, _, err := b.loadGPU(ctx, fmt.Sprint(layerTag, i+1))
		if err != nil {
			return err
		}
		// What a variant has of its own was uploaded or copied on the GPU.
		own += got.BytesUploaded + got.BytesDeviceCopied
	}
	after, err := b.usage(ctx)
	if err != nil {
		return err
	}
	limit := float64(before.Used+own) * 1.02
	b.counted(fmt.Sprintf("GPU memory of a base and %d variants", layers), float64(after.Used)/mib, "MiB",
		fmt.Sprintf("<= %s, the base and the slabs that differ, and 2 %%", number(limit/mib)), float64(after.Used) <= limit)
	naive := float64(before.Used) * (layers + 1)
	b.counted("of what as many models without anything in common take", float64(after.Used)/naive*100, "%", "", true)
	for i := range layers {
		l, err := b.attach(ctx, fmt.Sprint(layerTag, i+1))
		if err != nil {
			return err
		}
		if err := b.leave(ctx, l); err != nil {
			return err
		}
	}
	b.right("every byte of the variants", "")
	return b.only(ctx, baseTag)
}
