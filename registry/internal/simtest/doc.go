// Package simtest owns the simulation of a registry: the real code of several
// replicas, their clients and their collectors over registers and a store that
// fail in every way that real ones do, one call after the other in an order that a
// seed decides.
//
// Laws:
//   - A seed decides everything. Two runs of one make the same calls in the same
//     order, which their hashes show.
//   - Every call to the registers, the store or a chunk index parks, and only the
//     scheduler lets one go on, once nobody in the bubble can move by himself. So
//     all that happens between two calls happens alone.
//   - What is asserted is asserted after every change, from what the registers and
//     the store hold, and knows nothing of how the code came to it.
//   - Faults stay within the contracts of packages registers and blobs: a register
//     is linearizable, a blob is whole. Everything else may be lost, late or twice.
//
// docs/reliability.md says how it is run and what it has found.
package simtest
