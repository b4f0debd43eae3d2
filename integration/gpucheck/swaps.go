package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/integration/gpuclient"
	"github.com/ingot-ml/ingot/openapi"
)

// rounds is how often a swap is measured.
const rounds = 3

// swap has those who use a variant use another, and waits until all these have it.
func (b *bench) swap(ctx context.Context, from, to string, who ...*gpuclient.Lease) (openapi.SwapReceipt, error) {
	var before []int
	for _, l := range who {
		before = append(before, l.State().Images)
	}
	got, err := b.stack.client.Swap(ctx, openapi.SwapRequest{From: ref(from), To: ref(to),
		Device: b.device.UUID().String(), Deadline: patience.Seconds()})
	if err != nil {
		return got, fmt.Errorf("swap %s to %s: %w", from, to, err)
	}
	for i, l := range who {
		ctx, stop := context.WithTimeout(ctx, patience)
		err := l.Await(ctx, func(s gpuclient.State) bool {
			return s.Images > before[i] && s.Version == got.Version.String()
		})
		stop()
		if err != nil {
			return got, fmt.Errorf("swap %s to %s: a client waits for its image: %w", from, to, err)
		}
	}
	return got, nil
}

// leased calls f with leases on one variant, the only one on the GPU.
func (b *bench) leased(ctx context.Context, tag string, n int, f func([]*gpuclient.Lease) error) error {
	if err := b.only(ctx, tag); err != nil {
		return err
	}
	var leases []*gpuclient.Lease
	for range n {
		l, err := b.attach(ctx, tag)
		if err != nil {
			return errors.Join(err, b.leave(ctx, leases...))
		}
		leases = append(leases, l)
	}
	err := f(leases)
	return errors.Join(err, b.leave(ctx, leases...))
}

// fullSwap goes from a small model to the whole one, of which nothing is on the GPU.
func fullSwap(ctx context.Context, b *bench) error {
	s, err := b.running()
	if err != nil {
		return err
	}
	best := time.Duration(1 << 62)
	for range rounds {
		err := b.leased(ctx, otherTag, 1, func(who []*gpuclient.Lease) error {
			got, err := b.swap(ctx, otherTag, baseTag, who...)
			if err != nil {
				return err
			}
			if got.BytesUploaded != s.bytes() || got.Kind == openapi.SwapInPlace || got.Kind == openapi.SwapResident {
				return fmt.Errorf("the swap was %s and uploaded %d bytes of %d", got.Kind, got.BytesUploaded, s.bytes())
			}
			best = min(best, busy(got))
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.full = best
	b.right("swap to another model at the same addresses", "every byte checked")
	b.measured("swap of everything", best.Seconds()*1000, "ms")
	return nil
}

// smallSwap goes to and fro between a base and a variant, in place.
func smallSwap(ctx context.Context, b *bench) error {
	s, err := b.running()
	if err != nil {
		return err
	}
	differ := s.differ(s.base(baseTag, 1), s.tuned(tunedTag, 1, 2))
	best, paused, copies := time.Duration(1<<62), 1e9, 0
	err = b.leased(ctx, baseTag, 1, func(who []*gpuclient.Lease) error {
		from, to := baseTag, tunedTag
		for range 2 * rounds {
			got, err := b.swap(ctx, from, to, who...)
			if err != nil {
				return err
			}
			if got.Kind != openapi.SwapInPlace || got.BytesUploaded != differ {
				return fmt.Errorf("swap %s to %s was %s and uploaded %d bytes, where %d differ", from, to, got.Kind, got.BytesUploaded, differ)
			}
			best, paused, copies = min(best, busy(got)), min(paused, got.PausedMS), got.Copies
			from, to = to, from
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.small = best
	share := float64(differ) / float64(s.bytes()) * 100
	b.counted("bytes uploaded by a swap in place", float64(differ), "B", fmt.Sprintf("%s %% of the model", number(share)), true)
	b.measured("copies of a swap in place", float64(copies), "copies")
	b.measured("swap in place", best.Seconds()*1000, "ms")
	b.measured("pause of a swap in place", paused, "ms")
	if s.full > 0 {
		of := best.Seconds() / s.full.Seconds() * 100
		b.held("swap in place, of a swap of everything", of, "%", "<= 8 %", of <= 8)
	}
	return nil
}

// residentSwap goes to and fro between two versions that are both on the GPU.
func residentSwap(ctx context.Context, b *bench) error {
	if _, err := b.running(); err != nil {
		return err
	}
	paused, total := 1e9, 1e9
	err := b.leased(ctx, baseTag, 1, func(who []*gpuclient.Lease) error {
		if _, _, err := b.loadGPU(ctx, tunedTag); err != nil {
			return err
		}
		from, to := baseTag, tunedTag
		for range 2 * rounds {
			got, err := b.swap(ctx, from, to, who...)
			if err != nil {
				return err
			}
			if got.BytesUploaded+got.BytesDeviceCopied != 0 {
				return fmt.Errorf("a swap to what is on the GPU moved %d bytes", got.BytesUploaded+got.BytesDeviceCopied)
			}
			paused, total = min(paused, got.PausedMS), min(total, got.TotalMS)
			from, to = to, from
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.right("swap to a version on the GPU moves nothing", "every byte checked")
	b.held("pause of a swap to a version on the GPU", paused, "ms", "<= 20 ms", paused <= 20)
	b.measured("swap to a version on the GPU", total, "ms")
	return nil
}

// twoClients has two clients use one image, and both swapped at once.
func twoClients(ctx context.Context, b *bench) error {
	if _, err := b.running(); err != nil {
		return err
	}
	var before openapi.GPUDevice
	err := b.leased(ctx, baseTag, 1, func([]*gpuclient.Lease) (err error) {
		before, err = b.usage(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return b.leased(ctx, baseTag, 2, func(who []*gpuclient.Lease) error {
		after, err := b.usage(ctx)
		if err != nil {
			return err
		}
		b.counted("GPU memory that a second client takes", float64(after.Used-before.Used), "B", "0", after.Used == before.Used)
		got, err := b.swap(ctx, baseTag, tunedTag, who...)
		if err != nil {
			return err
		}
		b.counted("clients that a swap moved", float64(got.Leases), "clients", "2", got.Leases == 2)
		return nil
	})
}
