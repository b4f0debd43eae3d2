package s3

import (
	"context"
	"net"
	"time"
)

// Quick makes the pauses between tries short.
func Quick(s *Space) { s.pause = time.Millisecond }

// Endpoint is what messages call the store.
func Endpoint(s *Space) string { return s.endpoint }

// Tries is how often a call that may happen twice is made.
const Tries = tries

// Silence is how long a peer may be silent.
const Silence = silence

// Impatient returns a connection that fails when its peer is silent.
func Impatient(c net.Conn) net.Conn { return &impatient{c} }

// DialFunc returns dial, whose connections are wrapped.
func DialFunc(dial func(context.Context, string, string) (net.Conn, error), wrap func(net.Conn) net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return wrap(c), nil
	}
}

// Order returns the buckets in the order in which a blob is looked for in them.
func Order(buckets []string, name string) []string {
	space := newSpace(nil, Location{Bucket: buckets[0]}, buckets, nil)
	var names []string
	for _, b := range space.order(name) {
		names = append(names, b.name)
	}
	return names
}
