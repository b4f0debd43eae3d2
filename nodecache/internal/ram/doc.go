// Package ram owns the memory of a node's RAM tier: shared memory in which chunks
// lie so that other processes can use them where they are.
//
// Memory comes in segments, memfds of 1 GiB of addresses, each for one domain: a
// client that gets a segment's descriptor sees nothing of another domain. A
// segment is slots of 2 MiB. A chunk of that size has a slot of its own; smaller
// ones have whole pages of slots that they share. Chunks that belong together lie
// one behind the other, so that a client can use them as one array.
//
// Laws:
//   - What is resident never exceeds the budget. Addresses are free: pages take
//     memory when they are filled, and give it back when their chunk leaves, so
//     that holes between chunks cost nothing.
//   - A chunk is filled by one, and seen by others only when it is published. From
//     then on nobody changes it. Its memory may be given to another chunk, which
//     nobody sees before that is filled in its turn.
//   - Behind a chunk the rest of its last page is zero.
//   - Clients get descriptors that cannot be written through. Processes of the same
//     user and of root are trusted: they could open the memory of this process too.
//   - Memory that is pinned for a device holds published chunks and nothing else, and
//     whoever pinned it ends that before a page of it is given back: the device would
//     go on reading the page that was there.
//   - A segment of which nothing is used is given back to the system.
package ram
