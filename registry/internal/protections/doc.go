// Package protections owns which tags only admins move and delete.
//
// Laws:
//   - A tag is protected as soon as the answer is out, on every replica: nothing is
//     remembered between two looks.
//   - Who may not know of a repository is not told of a protection that names it.
//   - What was uploaded for a model has tags of its own, which nothing protects.
package protections
