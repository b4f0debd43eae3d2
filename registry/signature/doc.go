// Package signature owns detached signatures of versions: the form in which they
// travel and are kept, the keys, and what it means that one is good.
// docs/formats/signature.md describes the form.
//
// A signature is a Sigstore bundle around a DSSE envelope around an in-toto statement
// whose subject is the manifest of a version.
//
// Laws:
//   - What is verified is what is read: the bytes that were signed are parsed, and no
//     other copy of them.
//   - A signature is one of a version only if its statement says that this is what it
//     is for. The same key may sign other statements of the same manifest, such as what
//     a scanner found: those are no approval.
//   - Nothing in a bundle says which keys are trusted. A bundle that names a key, or
//     brings one along, is good only if a key that the caller has verifies it.
//   - Nothing is read from the network, and no clock is asked.
package signature
