// Package soak owns the brute force: replicas over one store, everything that
// clients and operators do at once, and everything failing at once, for a time of
// one's choice ("make soak"); a short form of it is a test like any other.
//
// It has no API: all of it is tests. A round runs a cluster of real processes:
//
//   - workers push, pull, tag and delete small models, nearly equal ones as
//     differences, through a fault proxy before each replica, and keep a ledger of
//     what was acknowledged;
//   - collectors free what nothing needs, at once and with a grace of zero, and
//     choose anew how chunks are stored;
//   - a fault proxy stands between each replica and the store;
//   - replicas and the store are killed and paused at random.
//
// Then all is left in peace and held to the ledger: nothing that was acknowledged
// is lost, no byte is wrong, and the store holds what versions need and nothing
// else. What the store should hold is found out from the documents on the formats,
// not with the code of the registry.
package soak
