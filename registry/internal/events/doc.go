// Package events owns who is told that tags have changed.
//
// Laws:
//   - Whoever changes a tag never waits for those who listen.
//   - A listener learns of the last change of every tag that it asked for and may
//     read, or that it has missed some and must look at all of them again.
//   - What waits for a listener is bounded: of each tag only the newest change, and
//     so many tags.
//   - Nothing is kept for those who do not listen: they look when they begin to.
//
// A hub tells of what its own process does, and Follow of what others do to the same
// registers, some seconds later. It says that a tag has changed, and
// where to; the tag itself is the truth, because those who move one tag at the same
// time may be heard in another order.
package events
