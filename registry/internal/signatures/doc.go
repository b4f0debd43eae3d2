// Package signatures owns the signatures that a registry keeps beside its versions.
//
// Laws:
//   - Whoever may push to a repository may add a signature, and whoever may delete
//     there may take one away. That a signature is here says nothing of who has made
//     it, and the registry trusts no key: readers verify.
//   - What is kept has the form of a signature, names the version that it is kept
//     beside, and is bounded, each and all of a version together.
//   - A signature goes with the version that it was brought for. One that is made again
//     has none, even if it is the same.
//   - Nothing that a push or pull does reads or writes a signature.
package signatures
