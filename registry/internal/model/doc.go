// Package model owns the protocols of the registry as graphs of states, small
// enough to be walked to the end, and the walk.
//
// Pushes is the push protocol against collection, readers, re-pointing (protocol
// R) and whatever a store may do late; Tags is tags against retirement. Their
// steps carry the names that docs/formats/registry.md gives them, P0 to P6, G0 to
// G6 and R0 to R4, so that model and code can be read side by side. Other replicas
// finish, give up, take back and retire at any moment; a crash is an actor that
// never moves again, and there is no clock.
//
// Laws:
//   - A model says what the protocol says, or allows more. Where it allows less, a
//     comment tells why nothing is lost by that.
//   - Every rule of a protocol that safety rests on has a Flaw, which is the
//     protocol without that rule. A walk finds what each of them breaks: a model in
//     which nothing can go wrong shows nothing.
//   - A walk is breadth first and the same every time, so that the first trace it
//     finds is a shortest one.
//   - What an object holds is known by a number of its own, and so is what it is a
//     delta of: a version can be decoded when its body names bases that do, wherever
//     they lie, and all of them are there.
//   - Nothing in here knows a store or an engine. Compare-and-swap is modelled by
//     what it is for: versions of registers never come back, so a swap succeeds just
//     when nobody has written since the read.
package model
