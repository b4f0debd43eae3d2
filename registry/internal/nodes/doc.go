// Package nodes owns what nodes have said of themselves lately. All of it is soft:
// it is in memory only, each report has a lifetime, and a node that goes on reports
// again.
//
// Laws:
//   - A report counts until its lifetime is over, whatever the wall clock does.
//   - Memory is bounded, by the number of nodes and by what they say.
//   - Of the versions that a node holds, a principal sees those that it may read, and
//     who reports the node may read too.
//   - A node is spoken of by one subject, until that has been silent for too long.
package nodes
