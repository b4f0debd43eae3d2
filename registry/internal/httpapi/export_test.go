package httpapi

import "time"

// ParseIndexes is parseIndexes.
var ParseIndexes = parseIndexes

// SetWait says how long requests wait for memory.
func (a *API) SetWait(d time.Duration) { a.wait = d }
