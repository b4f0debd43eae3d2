package gpuclient

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// dial opens a connection of leases.
func dial(ctx context.Context, socket string) (*leaseconn.Conn[openapi.LeaseFrame], error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ends the handshake
	defer stop()
	if err := upgrade(c); err != nil {
		_ = c.Close() // nothing was leased
		return nil, fmt.Errorf("agent at %s: %w", socket, err)
	}
	return leaseconn.New[openapi.LeaseFrame](c.(*net.UnixConn), openapi.MaxLeaseFrame), nil
}

// upgrade asks for the protocol of leases. The agent says nothing before a first
// frame, so what is buffered takes nothing from the frames.
func upgrade(c net.Conn) error {
	_, err := fmt.Fprintf(c, "POST /v1/lease HTTP/1.1\r\nHost: ingot\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: 0\r\n\r\n", openapi.LeaseProtocol)
	if err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	_ = r.Body.Close() // there is none
	if r.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("lease: %s", r.Status)
	}
	return nil
}
