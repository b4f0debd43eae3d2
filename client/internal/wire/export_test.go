package wire

import "time"

// RetryAfter reads the header of that name.
var RetryAfter = retryAfter

// SetStall sets how long no byte may move.
func (c *Caller) SetStall(d time.Duration) { c.stallBody = d }
