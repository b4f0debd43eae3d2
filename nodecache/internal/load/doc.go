// Package load owns the way of a version's chunks into a tier of a node: from the
// disk and the registry into RAM, or from the registry onto the disk.
//
// Laws:
//   - A chunk that is in the target is not moved, one that is on the disk is not
//     fetched, and one that many loads want is fetched once: by the load that holds
//     its flight, while the others wait and take over if that load fails.
//   - A chunk is made known only when all its bytes are right: the disk and the
//     fetcher have verified them, each in its way.
//   - A chunk that comes as a delta of one that the node holds is kept whole, as any
//     other, but by a target that stages deltas.
//   - Whatever ends a load, it has given back every place that it did not fill, and
//     nothing of it runs any more.
//   - Of bytes, a load holds one chunk for each of those who work for it. All else
//     is a few words for each chunk of the version.
//
// A chunk is in one of four queues at a time, or with somebody who works on it:
//
//	         ┌─ reads ────► readers ──┐
//	steps ───┼─ fetches ──► fetcher ──┼─► published
//	         ├─ landings ► waiter     │
//	         └─ fillings ► waiter ────┘
//
// A reader passes a chunk that the disk had lost on to fetches, and the fetcher one
// that another load fetches to landings, whence it is read, or fetched if the other
// has failed. A place that another load fills is in fillings; if that gives it up,
// this load takes the place and the chunk comes as any other. Each queue has room
// for all chunks, so that whoever passes one on never waits. Those who fetch wait
// for nobody, landings only for those who fetch, and fillings only for those three,
// so no loads wait for each other in a circle.
//
// Bytes wait nowhere: a place in RAM is filled where it is.
package load
