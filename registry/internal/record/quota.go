package record

import "time"

// Quota is the register u/<namespace>: how much the namespace may hold, in bytes. A
// limit that is absent is none.
type Quota struct {
	Stamp
	Bytes  *int64    `json:"bytes,omitempty"`  // of all versions, each as if it was stored alone
	Stored *int64    `json:"stored,omitempty"` // as they lie in the store
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// QuotaPrefix is what the keys of all quotas begin with.
const QuotaPrefix = "u/"

// QuotaKey returns the register of a namespace's quota.
func QuotaKey(namespace string) string { return QuotaPrefix + namespace }
