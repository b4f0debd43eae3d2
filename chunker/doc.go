// Package chunker owns what a chunk is: its name, its size limits, and where a
// file is cut into chunks.
//
// Laws:
//   - A digest is the BLAKE3-256 of plain bytes. How a chunk is encoded, packed
//     or placed never changes its name.
//   - Boundaries are a pure function of the file's bytes (through the tensor
//     extents that its format declares). The same bytes give the same chunks in
//     any file, order, shard or container.
//   - The chunks of a file cover every byte exactly once, in order.
//
// The package knows nothing of files, networks or stores.
package chunker
