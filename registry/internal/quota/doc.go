// Package quota owns how much each namespace may hold, and how much it does: it is the
// versions.Quota of a registry.
//
// What a namespace holds is weighed now and then, and what is pushed through this
// replica is added in between, so that the question costs no request of a store. So the
// figures may be wrong for a while:
//   - What other replicas have taken since the last weighing is not in them. Each may
//     take up to the limit by itself meanwhile: with n of them a namespace may come to
//     hold what was free n times, of what is pushed between two weighings.
//   - What was freed is known after the next weighing. Nothing is refused by figures
//     that are older than that.
//   - Stored bytes of pushes that were never committed count until nothing has come for
//     Unfinished, or the replica starts again; a collection may free them earlier or
//     later.
//   - Of more than 131,072 places of chunks the stored bytes are reckoned, right to one
//     per cent or so.
//
// Laws:
//   - What was refused leaves nothing that can be read: chunks that came before are of no
//     version, and the next collection frees them.
//   - A limit never keeps anybody from reading, deleting, or moving a tag.
//   - What somebody is told of a namespace they could add up from what they may read of
//     it.
package quota
