// Package patch owns how a version comes into the memory of another in RAM, when
// there is no room for both: the chunks that change are staged, each as a delta of
// the chunk that it comes over if that is short, and then written where that lies.
//
// Laws:
//   - Nothing in RAM changes before every chunk that comes is at hand, and whoever
//     staged one has verified it.
//   - A chunk is made in a buffer and verified there before a byte of the old one is
//     written over, and what it takes to make the old one again is kept until the end.
//   - A patch that fails puts every byte back, verified too, or says that the old
//     version is gone. Nobody finds a chunk by its name that is half written.
//   - What it takes beside the two versions never exceeds the memory that it was
//     given: staged chunks, what undoes them, and its buffers.
//
// A Stage is filled as a tier is: it is the target of a load. Then Begin takes the
// memory, Apply writes, and if that fails Recall and Restore put back what was there,
// or Forsake lets go of both.
package patch
