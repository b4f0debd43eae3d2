package view

import "time"

// Patience sets how long listings wait for hashes.
func (v *View) Patience(d time.Duration) { v.hashes.wait = d }
