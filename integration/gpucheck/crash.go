package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/ingot-ml/ingot/integration/gpuclient"
	"github.com/ingot-ml/ingot/openapi"
)

// moverCommand is what the agent starts its mover with.
const moverCommand = "mover"

// moverCrash kills the mover in the middle of a load and of a swap, while a client
// uses an image. The client keeps what it has, and the next load is right.
func moverCrash(ctx context.Context, b *bench) error {
	s, err := b.running()
	if err != nil {
		return err
	}
	for i, part := range []float64{0.2, 0.5, 0.8} {
		wait := time.Duration(part * float64(s.load))
		if err := b.leased(ctx, baseTag, 1, func(who []*gpuclient.Lease) error { return b.crashLoad(ctx, who[0], wait) }); err != nil {
			return fmt.Errorf("load, kill %d: %w", i+1, err)
		}
	}
	b.right("mover killed in a load: the client keeps its image, the next load is right", "3 times")
	for i, part := range []float64{0, 0.02} {
		wait := time.Duration(part * float64(s.load))
		if err := b.leased(ctx, baseTag, 1, func(who []*gpuclient.Lease) error { return b.crashSwap(ctx, who[0], wait) }); err != nil {
			return fmt.Errorf("swap, kill %d: %w", i+1, err)
		}
	}
	b.right("mover killed in a swap: no image is left that is neither of the two", "2 times")
	b.right("a new mover after each of these", fmt.Sprintf("%d times", s.kills))
	return nil
}

// killMover kills the mover after a time. Just after it was killed before, there may be
// none yet.
func (b *bench) killMover(ctx context.Context, after time.Duration) error {
	limit, stop := context.WithTimeout(ctx, patience)
	defer stop()
	time.Sleep(after)
	return b.stack.agent.await(limit, func() error {
		movers := childrenOf(b.stack.agent.cmd.Process.Pid, moverCommand)
		if len(movers) != 1 {
			return fmt.Errorf("the agent has %d movers, want 1", len(movers))
		}
		if err := syscall.Kill(movers[0], syscall.SIGKILL); err != nil {
			return err
		}
		b.stack.kills++
		return nil
	})
}

// crashLoad kills the mover while it brings the tuned variant. Whether that load
// succeeds in spite of it is up to the agent.
func (b *bench) crashLoad(ctx context.Context, who *gpuclient.Lease, after time.Duration) error {
	loaded := make(chan error, 1)
	go func() {
		_, _, err := b.loadGPU(ctx, tunedTag)
		loaded <- err
	}()
	killed := b.killMover(ctx, after)
	outcome := <-loaded
	if killed != nil {
		return errors.Join(killed, outcome)
	}
	if err := b.again(ctx); err != nil {
		return fmt.Errorf("%w (the load under way: %w)", err, outcome)
	}
	if lost := who.State().Lost; lost != 0 {
		return fmt.Errorf("the client has lost its image %d times", lost)
	}
	if err := who.Use(b.stack.sums.check); err != nil {
		return fmt.Errorf("what the client has after the crash: %w", err)
	}
	return nil
}

// crashSwap kills the mover while it writes over the client's image. The client
// ends up with one of the two versions, whole, or is told that its image is gone.
func (b *bench) crashSwap(ctx context.Context, who *gpuclient.Lease, after time.Duration) error {
	swapped := make(chan error, 1)
	go func() {
		_, err := b.swap(ctx, baseTag, tunedTag)
		swapped <- err
	}()
	killed := b.killMover(ctx, after)
	outcome := <-swapped
	if killed != nil {
		return errors.Join(killed, outcome)
	}
	limit, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := who.Await(limit, func(s gpuclient.State) bool { return !s.Paused }); err != nil {
		return fmt.Errorf("the client waits for an image: %w (the swap: %w)", err, outcome)
	}
	err := who.Use(b.stack.sums.check)
	if errors.Is(err, gpuclient.ErrParked) && who.State().Lost > 0 {
		err = nil // it was told
	}
	if err != nil {
		return fmt.Errorf("what the client has after the crash: %w (the swap: %w)", err, outcome)
	}
	return b.again(ctx)
}

// back tells whether there is a mover again after the last kill.
func (b *bench) back(ctx context.Context) error {
	d, err := b.usage(ctx)
	if err == nil && (d.Restarts < b.stack.kills || d.State != openapi.DeviceReady) {
		err = fmt.Errorf("the mover was killed %d times and started again %d times, the GPU is %s: %s", b.stack.kills, d.Restarts, d.State, d.Message)
	}
	return err
}

// again loads a variant when the mover is back, and looks at every byte of it.
func (b *bench) again(ctx context.Context) error {
	limit, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := b.stack.agent.await(limit, func() error { return b.back(limit) }); err != nil {
		return err
	}
	if _, _, err := b.loadGPU(ctx, tunedTag); err != nil {
		return err
	}
	l, err := b.attach(ctx, tunedTag)
	if err != nil {
		return err
	}
	return l.Close()
}
