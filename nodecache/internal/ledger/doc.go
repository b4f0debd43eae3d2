// Package ledger owns the account of a tier: which versions hold which chunks,
// what that takes of the budget, and who has to leave when there is no room. It
// moves no bytes; whoever keeps the account makes the tier follow it.
//
// Laws:
//   - A chunk that several versions hold is there once and counts once.
//   - What is leased or pinned stays, whoever asks for its room.
//   - A version holds all of its chunks or is not in the account.
//   - A call that fails has changed nothing.
//   - What leaves is first chunks that no version holds, then the versions that
//     were not used for the longest time. One whose leaving would not be needed
//     after all, because what it frees is too little or others free enough, stays.
//   - The order of use is the order of the calls. Times are for people, so that a
//     clock that jumps throws nobody out.
//
// The bytes that are used exceed the budget only by what Hold and AddLoose were
// told to add: they speak of what is there already.
//
// Every function takes time in proportion to the chunks of the version that it is
// about and of those that leave, not to what else is in the account. One that finds
// no room has looked at all that could leave.
package ledger
