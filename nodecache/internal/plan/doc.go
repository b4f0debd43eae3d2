// Package plan owns the choice of where each chunk of a version comes from when a
// node wants it in a tier: from what is there already, or the cheapest that has
// it.
//
// Laws:
//   - Each distinct chunk of the version is in a plan once, in the order in which
//     it is wanted. No source is cheaper than the one chosen.
//   - A plan is a pure function of the manifest, of what the sources have and of
//     the order that was asked for. It reads nothing, keeps nothing and knows no
//     clock, so it may be made only to be shown.
//   - A plan is a forecast. By the time that it is carried out a source may have
//     lost a chunk, so whoever does that goes on to the next source.
package plan
