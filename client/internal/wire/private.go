package wire

// Private tells whether what is sent to the registry can be read by nobody on the way,
// or is allowed to be.
func (c *Caller) Private() bool {
	return c.base.Scheme == "https" || c.insecure || loopback(c.base.Hostname())
}
