// Package mover owns the process that moves bytes between memory and one GPU, and
// both ends of how the agent talks to it.
//
// The agent itself never has a context on a GPU: an error there that sticks takes
// only the mover with it. Slabs stay where they are, the agent and its clients have
// them too, and a new mover gets told what the old one knew.
//
// Laws:
//   - A copy reads memory that is registered, and never across two registrations.
//     What is not registered goes through a ring of memory that is.
//   - When Copy or Sum returns, the device neither reads nor writes what was named.
//     When Unpin returns it reads nothing of that memory any more, and when DropSlab
//     returns the mover has nothing of the slab. Where the mover cannot promise
//     that it dies, which is as good.
//   - The mover checks every number that it is told as if a stranger had sent it,
//     and takes no more memory than its limits, however long a list of copies is.
//   - What is asked in passing, a pin or a slab, does not wait for a long copy.
//   - The mover ends with the agent, whatever ends that, and Close waits for its
//     end.
package mover
