package nodecache

import (
	"context"

	"github.com/ingot-ml/ingot/nodecache/internal/files"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
)

// engine is a node.Node in the words of nodeapi, which names its leases by what
// they can do, together with what the node keeps as files.
type engine struct {
	*node.Node
	files *files.Keeper
}

func (e engine) Lease(ctx context.Context, o node.LeaseOrder, waiting func(done, total int64)) (nodeapi.Lease, error) {
	l, err := e.Node.Lease(ctx, o, waiting)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (e engine) LeaseGPU(ctx context.Context, o node.LeaseOrder, waiting func(done, total int64)) (nodeapi.GPULease, error) {
	l, err := e.Node.LeaseGPU(ctx, o, waiting)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (e engine) Declare(ctx context.Context, d openapi.LeaseDeclare, segments []node.Orphan, pid int) (nodeapi.Held, error) {
	held, err := e.Node.Declare(ctx, d, segments, pid)
	if err != nil {
		return nil, err
	}
	return held, nil
}
