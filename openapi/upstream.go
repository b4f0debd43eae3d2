package openapi

import "time"

// Bounds of what is registered.
const (
	MaxUpstreams   = 1000
	MaxUpstreamTTL = 3600
	MaxUpstreamURL = 2048
)

// Upstream is the body of PUT /v1/upstreams/{namespace}: a hub that has the models of
// a namespace, whose files nobody has hashed yet.
type Upstream struct {
	URL string `json:"url"`
	TTL int    `json:"ttl"` // seconds
}

// UpstreamInfo is a hub in a list.
type UpstreamInfo struct {
	Namespace string     `json:"namespace"` // empty: all that no other has
	URL       string     `json:"url"`
	Plain     bool       `json:"plain"`             // its files have no hashes
	Expires   *time.Time `json:"expires,omitempty"` // absent: it is in the configuration
}

// UpstreamList is the answer of GET /v1/upstreams.
type UpstreamList struct {
	Upstreams []UpstreamInfo `json:"upstreams"`
}
