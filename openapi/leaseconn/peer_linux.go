package leaseconn

import "golang.org/x/sys/unix"

// Process returns the id of the process that connected, 0 when the system does
// not tell.
func (c *Conn[F]) Process() int {
	raw, err := c.unix.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { // fails with the connection, which others notice
		if who, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(who.Pid)
		}
	})
	return pid
}
