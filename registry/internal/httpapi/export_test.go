package httpapi

import "time"

// ParseIndexes is parseIndexes of the parameter i.
func ParseIndexes(s string) ([]uint32, error) { return parseIndexes(s, "i") }

// SetWait says how long requests wait for memory.
func (a *API) SetWait(d time.Duration) { a.wait = d }

// SetStall says how long a body may stop.
func (a *API) SetStall(d time.Duration) { a.stall = d }
