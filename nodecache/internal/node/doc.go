// Package node owns what a node holds: which versions are in which tier, who
// uses them, and what happens when somebody wants one that is not there.
//
// Laws:
//   - A version is served only when every chunk of it is in place and verified.
//   - What is leased stays, whatever else wants the room, until its leases end.
//   - A reference moves to a new version at once, after all of that is there. The
//     old one stays while leases hold it.
//   - No tier takes more than its budget: room is made before it is used.
//   - Without a registry the node serves what it has.
//   - What is on a GPU came from RAM, and falls back to it. Who uses it there and
//     follows its reference is swapped when that has moved, with everybody's consent;
//     who does not follow is told.
//   - Whoever waits for room waits in line, until a deadline, and is then told who
//     has it.
package node
