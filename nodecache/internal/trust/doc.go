// Package trust owns which versions a node may load: those that somebody whom its
// operator trusts has signed.
//
// Laws:
//   - Where keys are set for a repository, nothing of a version is loaded, served or
//     kept before one of them has verified a signature of it. Where none are set,
//     nothing is asked for.
//   - Neither the registry nor the disk is believed: what they give is verified each
//     time that it is read.
//   - What was verified stays so without a network: the signature is on the disk for as
//     long as the version is.
//   - Keys hold for a repository as a whole, so that no other tag, and no digest, leads
//     around them.
package trust
