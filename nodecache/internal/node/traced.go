package node

import (
	"context"

	"github.com/ingot-ml/ingot/openapi/trace"
)

// traced is load as a span of whoever began the job.
func (n *Node) traced(ctx context.Context, v *version, j *job) error {
	ctx, span := trace.Start(ctx, "load into "+j.tier.String())
	err := n.load(ctx, v, j)
	span.Text("ingot.version", j.key.String())
	span.Number("ingot.bytes.total", j.receipt.BytesTotal)
	span.Number("ingot.bytes.reused", j.receipt.BytesReused)
	span.Number("ingot.bytes.received", j.receipt.BytesReceived)
	span.End(err)
	return err
}
