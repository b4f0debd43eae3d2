package nodeapi

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// maxClientFrame bounds what a client may send in a frame, in bytes: the longest
// are lists of tensors to bring first.
const maxClientFrame = openapi.MaxJSON

// firstFrameTime is how long a client may take to say what it wants.
const firstFrameTime = 10 * time.Second

// lease turns the connection of the request into one of leases, and serves it.
func (a *API) lease(w http.ResponseWriter, r *http.Request) error {
	if err := checkUpgrade(r); err != nil {
		return err
	}
	if local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr); local == nil || local.Network() != "unix" {
		return openapi.Errorf(openapi.CodeNotAllowed,
			"leases share memory, which only the agent's unix socket can: ask there, on the machine of the agent")
	}
	if !a.enter() {
		return openapi.Errorf(openapi.CodeBusy, "the agent has %d connections of leases, its most, or is stopping", a.config.Leases)
	}
	defer a.leave()
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	unix, ok := c.(*net.UnixConn)
	if !ok || buffered.Reader.Buffered() > 0 {
		// Descriptors that came with those bytes are lost, and there is no request to
		// answer any more.
		a.logger.DebugContext(r.Context(), "lease client spoke before it was asked to")
		_ = c.Close()
		return nil
	}
	a.serveLease(unix)
	return nil
}

func checkUpgrade(r *http.Request) error {
	asked := r.Header.Get("Upgrade")
	if !strings.EqualFold(asked, openapi.LeaseProtocol) || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
		return openapi.Errorf(openapi.CodeBadRequest, "Upgrade %.40q, want Connection: Upgrade and Upgrade: %s", asked, openapi.LeaseProtocol)
	}
	if r.ContentLength != 0 {
		return openapi.Errorf(openapi.CodeBadRequest, "a request that upgrades has no body")
	}
	return nil
}

// serveLease answers the upgrade and serves the connection until it ends.
func (a *API) serveLease(unix *net.UnixConn) {
	_ = unix.SetDeadline(time.Now().Add(firstFrameTime)) // it ends with the connection only
	answer := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + openapi.LeaseProtocol + "\r\n\r\n"
	if _, err := unix.Write([]byte(answer)); err != nil {
		_ = unix.Close() // the client is gone
		return
	}
	conn := leaseconn.New[openapi.LeaseFrame](unix, maxClientFrame)
	conn.SetPatience(a.config.Stall)
	s := newSession(a, conn)
	defer s.end()
	if err := s.run(); err != nil {
		s.tell(err)
	}
}
