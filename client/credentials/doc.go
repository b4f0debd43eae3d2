// Package credentials owns the tokens of a user: the file in which they are kept, where
// else one may come from, and which goes to which registry.
//
// Laws:
//   - What is kept for an origin, a scheme with a host and a port, is given for no
//     other.
//   - Nobody but the user can read the file: one that others can is not used, and said
//     to be wrong. It is replaced at once or not at all.
//   - What comes from a file is read again when the file has changed, so that a token
//     may be renewed under a process that runs.
//   - No error and no answer holds a token.
package credentials
