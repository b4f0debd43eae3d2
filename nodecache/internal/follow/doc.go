// Package follow owns how a node learns where tags are, and how the registry learns
// of the node.
//
// Laws:
//   - Events and polls say when to look; where a tag is, is always looked up. So
//     events may be late, doubled, out of order or made up.
//   - Nothing is missed for good: after each connection every followed tag is looked
//     up, and without one every tag is, again and again.
//   - A tag that moves faster than it can be looked up is told of as often as it was
//     looked up, and at last with where it is. Of one tag nothing is told by two
//     goroutines at a time.
//   - A version that is incomplete, as its own annotation says, is not told of: the
//     tag counts as where it was before.
//   - A registry that is gone is waited for, with pauses, and costs nothing else.
package follow
