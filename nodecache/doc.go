// Package nodecache owns the assembly of a node: its configuration, the tiers,
// the engine that fills them, and the servers that answer for it.
//
// Laws:
//   - It works without a registry and without a GPU, with what is on the node. What
//     of a GPU is missing, it says.
//   - Serve returns after everything that it started has ended.
package nodecache
