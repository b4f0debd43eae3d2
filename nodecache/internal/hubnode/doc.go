// Package hubnode owns a node as a catalog.Source: what clients of the Hugging Face
// Hub see of it.
//
// Laws:
//   - What the node follows is where the node serves it; where everything else is, the
//     registry says, and if that does not answer, the node says where it was last.
//   - Bytes come from the fastest place that has them. What is not on the node is
//     fetched as it is read, and no chunk twice at a time.
//   - Without a registry everything that the node has is served.
package hubnode
