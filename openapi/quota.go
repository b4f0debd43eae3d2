package openapi

import "time"

// MaxQuota is the largest limit of a quota in bytes.
const MaxQuota = 1 << 60

// QuotaLimits say how much a namespace may hold; one that is nil is no limit.
type QuotaLimits struct {
	// Bytes are of the files of all versions, each version as if it was stored alone.
	Bytes *int64 `json:"max_bytes,omitempty"`
	// Stored are bytes as they lie in the store: what versions share counts once, and
	// what is compressed as it is compressed.
	Stored *int64 `json:"max_stored_bytes,omitempty"`
}

// Quota is how much a namespace may hold, and how much it does.
type Quota struct {
	Namespace string `json:"namespace"`
	QuotaLimits
	Updated *time.Time `json:"updated,omitempty"` // when the limits were set; absent without any
	By      string     `json:"by,omitempty"`
	Usage   *Usage     `json:"usage,omitempty"` // not in lists
}

// Usage is what a namespace holds, as the replica that is asked knows it.
type Usage struct {
	Bytes  int64 `json:"bytes"`        // of versions, each as if it was stored alone
	Stored int64 `json:"stored_bytes"` // of what versions and uploads need, each once
	// Uploads are the bytes of files that wait for a commit to want them.
	Uploads int64 `json:"upload_bytes"`
	// Pushing are stored bytes of pushes that are not committed; in Stored too.
	Pushing int64     `json:"pushing_bytes"`
	Weighed time.Time `json:"weighed"` // when the versions were last looked at
}

// QuotaList is a page of the quotas that were set, by namespace.
type QuotaList struct {
	Quotas []Quota `json:"quotas"`
	Next   string  `json:"next,omitempty"`
}
