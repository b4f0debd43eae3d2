package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// Leased is a Model that an agent of this machine keeps in memory.
type Leased struct {
	Agent *agent.Agent
	Ref   name.Ref
	// Deadline is how long the agent tries at a time; 0 is as it is told.
	Deadline time.Duration
}

// Hold implements Model.
func (l Leased) Hold(ctx context.Context) (Held, error) {
	lease, err := l.Agent.Lease(ctx, openapi.LeaseRequest{
		Ref: l.Ref.String(), Deadline: l.Deadline.Seconds(), Client: "ingot gate",
	}, agent.LeaseOptions{})
	if err != nil {
		return nil, judge(err)
	}
	return watch(lease), nil
}

// judge marks what an agent will not say otherwise the next time.
func judge(err error) error {
	sent, told := errors.AsType[*openapi.Error](err)
	if told && !sent.Code.Temporary() || errors.Is(err, agent.ErrSocket) || errors.Is(err, agent.ErrProtocol) {
		return fmt.Errorf("%w; %w", err, ErrPermanent)
	}
	return err
}

// leaseHeld is a lease that somebody looks after.
type leaseHeld struct {
	lease *agent.Lease
	over  chan struct{}
	ended chan struct{} // closed when watching has ended
}

// watch returns a Held that is over when the lease ends by itself, or when the
// reference has another version.
func watch(lease *agent.Lease) *leaseHeld {
	h := &leaseHeld{lease: lease, over: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		<-lease.Moved()
		close(h.over)
	}()
	return h
}

// Over implements Held.
func (h *leaseHeld) Over() <-chan struct{} { return h.over }

// Release implements Held.
func (h *leaseHeld) Release() error {
	err := h.lease.Close()
	<-h.ended
	return err
}
