package nodecache

import (
	"context"
	"sync"
)

// background starts what goes on beside the requests, until ctx ends.
func (n *Node) background(ctx context.Context, wg *sync.WaitGroup) {}
