package agent

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// handshakeTime bounds how long an agent that listens takes to answer.
const handshakeTime = 10 * time.Second

// connect opens a connection of leases.
func (a *Agent) connect(ctx context.Context) (*leaseconn.Conn[openapi.LeaseFrame], error) {
	if a.socket == "" {
		return nil, fmt.Errorf("agent %s: %w: give its path instead of a URL", a.address, ErrSocket)
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	c, err := a.dial(ctx)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ends the handshake
	err = a.upgrade(c)
	if stop() && err == nil {
		return leaseconn.New[openapi.LeaseFrame](c, openapi.MaxLeaseFrame), nil
	}
	_ = c.Close() // nothing was sent that could be lost
	if err == nil || ctx.Err() != nil {
		return nil, a.explain(ctx, ctx.Err())
	}
	return nil, err
}

// upgrade asks for the lease protocol. The agent says nothing more until it has a
// first frame, so the buffer takes nothing from the frames.
func (a *Agent) upgrade(c *net.UnixConn) error {
	request := "POST /v1/lease HTTP/1.1\r\nHost: ingot\r\nConnection: Upgrade\r\nUpgrade: " + openapi.LeaseProtocol +
		"\r\nContent-Length: 0\r\n\r\n"
	if _, err := c.Write([]byte(request)); err != nil {
		return fmt.Errorf("agent %s: %w: %w", a.address, ErrLost, err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return fmt.Errorf("agent %s: %w: %w", a.address, ErrLost, err)
	}
	defer func() { _ = r.Body.Close() }() // read as far as it is wanted
	if r.StatusCode != http.StatusSwitchingProtocols {
		return a.refusal(r)
	}
	if got := r.Header.Get("Upgrade"); !strings.EqualFold(got, openapi.LeaseProtocol) {
		return fmt.Errorf("agent %s speaks %.40q, want %s: %w", a.address, got, openapi.LeaseProtocol, ErrProtocol)
	}
	return nil
}
