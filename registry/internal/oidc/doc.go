// Package oidc owns who vouches for machines: issuers of OpenID Connect, such as a
// Kubernetes cluster or a CI service, whose tokens (JWTs) say who somebody is, and the
// rules by which that is worth something here.
//
// Laws:
//   - What a JWT says counts only after its issuer's key has verified it, by an
//     algorithm with two keys: none, and those by a shared secret, are no signatures.
//   - It counts only for the audience that is set for the issuer, within its time, and
//     as far as a rule says so that all claims match exactly.
//   - For an ingot token a JWT is given once, by all replicas together.
//   - By itself a JWT only reads.
//   - Whoever is refused is not told why, and the log is.
//   - An issuer that does not answer keeps nobody from anything but its own JWTs, and is
//     not asked more often because somebody sends wrong ones.
package oidc
