// Package audit owns the record of who did what: a line of JSON for everything that
// changes something, reads a version or is refused, in a file that is only ever added
// to.
//
// Laws:
//   - One entry is one line, written at once. Whatever a caller has chosen, a name or an
//     address, is escaped: it can neither end its line nor begin another.
//   - An entry that could not be written is told to the log of the program whole, and
//     from then on nothing is changed until one can be written again. So a disk that is
//     full costs at most the entries of the requests that were under way.
//   - No secret is in an entry, only the ids of tokens.
package audit
