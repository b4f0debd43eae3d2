//go:build !linux

package leaseconn

// Process returns 0: the system does not tell who connected.
func (c *Conn[F]) Process() int { return 0 }
