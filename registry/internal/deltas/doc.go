// Package deltas owns how a chunk is stored as a difference from another one: which
// base is chosen, how a chunk is read through its bases, and what of this a caller may
// have the registry do in a minute.
//
// Laws:
//   - A stored delta needs two bases at most: an anchor is whole, a middle is a delta of
//     an anchor, a step is a delta of a middle. So the oldest version costs no more to
//     read than the newest.
//   - The choice depends on placements and sizes alone. It changes what a chunk costs,
//     never what it is.
//   - Whoever reads gets verified plain bytes or an error. Memory is bounded by the number
//     of readers at a time.
package deltas
